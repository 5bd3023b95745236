"""Checkpoints inside a long phase: what a killed phase goes on from, to the same numbers.

`<stages>/checkpoints/<key>.pt` is a line with the SHA-256 of the rest, then what `torch.save` wrote: the step, the
time spent so far, and the state of everything that a step changes (networks, optimisers, schedule, running means).
Random numbers need no state, since they belong to a place in the stream. A file that does not fit its checksum is not
used. Two processes that train one stage write equal states, so that either may go on from the other's.
"""

import hashlib
import io
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from tune_cl.records import write_atomically
from tune_cl.store._malformed import MALFORMED

_SHARE = 0.02  # of a phase's time, that checkpoints may take at most


class Stateful(Protocol):
    """What a training step changes: a network, an optimiser, a schedule, running means."""

    def state_dict(self) -> dict[str, Any]:
        """Its whole state: tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take a state over."""


@dataclass
class PhaseCheckpoint:
    """The checkpoint of one stage in training; also its clock, which goes on where the checkpoint's stopped.

    Args:
        path: the file.
        key: the stage's.
        every: seconds of training between two checkpoints; infinity for none.
        owner: who trains.
        only_own: do not go on from what another owner has left.
    """

    path: Path
    key: str
    every: float
    owner: str | None = None
    only_own: bool = False
    resumed_at: int = 0  # the step at which this process took the phase up; 0: from its start
    _seconds_before: float = 0.0
    _cpu_before: float = 0.0
    _began: float = field(default_factory=time.perf_counter)
    _cpu_began: float = field(default_factory=time.process_time)
    _last: float = field(default_factory=time.monotonic)
    _cost: float = 0.0  # seconds that the last checkpoint took

    @property
    def seconds(self) -> float:
        """Wall time that the phase has taken so far, before an interrupt, too."""
        return self._seconds_before + time.perf_counter() - self._began

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the same, over all threads of the process."""
        return self._cpu_before + time.process_time() - self._cpu_began

    def resume(self, parts: Mapping[str, Stateful]) -> int:
        """Put the saved state into the parts; return the step to go on with, 0 where nothing usable is saved."""
        content = self._read()
        if content is None or content["parts"].keys() != parts.keys():
            return 0
        for name, part in parts.items():
            part.load_state_dict(content["parts"][name])
        self._seconds_before, self._cpu_before = content["seconds"], content["cpu_seconds"]
        self.resumed_at = int(content["step"])
        return self.resumed_at

    def step(self, step: int, steps: int, parts: Mapping[str, Stateful]) -> None:
        """Called after each step: save, if the last time is long enough ago and there is something left to do."""
        wait = max(self.every, self._cost / _SHARE if self.every else 0.0)
        if step >= steps or time.monotonic() - self._last < wait:
            return
        began = time.monotonic()
        self._write(step, parts)
        self._last = time.monotonic()
        self._cost = self._last - began

    def urge(self) -> None:
        """Save after the step under way, whatever the pace: this process is about to be ended."""
        self._last = -math.inf
        self._cost = 0.0

    def remove(self) -> None:
        """Nothing is left to go on from: the stage is published, or its phase failed by itself."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:  # a store that has become read-only keeps it; upkeep removes it
            return

    def _write(self, step: int, parts: Mapping[str, Stateful]) -> None:
        content = {
            "key": self.key,
            "owner": self.owner,
            "step": step,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "parts": {name: part.state_dict() for name, part in parts.items()},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        data = buffer.getvalue()
        try:
            write_atomically(self.path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        except OSError:  # a full disk: the phase itself may still come through, and publishing says what is wrong
            return

    def _read(self) -> dict[str, Any] | None:
        try:
            checksum, _, data = self.path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest().encode() != checksum:
            return None
        try:
            content: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
            strange = self.only_own and content.get("owner") != self.owner
            return content if content["key"] == self.key and not strange else None
        except MALFORMED:
            return None
