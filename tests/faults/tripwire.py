"""A wire across one moment of a run: who reaches it says so in a log and stays there until told to go on.

It patches seams of the product in the process under test only: `Chain.__init__` (steps inside phases), `Chain.advance`
(between increments), the writing and installing of a stage, and `Study.report` (a row is on disk, the study does not
know). A case that was killed in the moment has 'reached' in its log and no 'left'. A wire trips once, so that whoever
goes on later passes. The log also has a line for each phase that began to train, and for each that came through.

A folder holds all of it: `wires.json` (the moments), `log.jsonl`, and `tripped-N` and `go-N` of wire N.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Literal

Place = Literal["phase", "writing", "publishing", "between", "reporting"]


@dataclass(frozen=True)
class Moment:
    """Where a run is.

    `phase`: inside a phase, after `step`. `writing`: half of a stage's `state.pt` is written. `publishing`: its draft
    is written and not renamed yet. `between`: `increment` is done, the next has not begun. `reporting`: the driver
    has written the row of `increment`, and the study does not know of it.
    """

    place: Place
    increment: int
    phase: str = ""
    step: int = 0
    trial: int | None = None  # of a search; None: whichever comes first

    def is_reached_by(self, other: "Moment") -> bool:
        """Whether somebody who is at `other` is at this moment."""
        mine = (self.place, self.increment, self.phase, self.step)
        theirs = (other.place, other.increment, other.phase, other.step)
        return mine == theirs and self.trial in (None, other.trial)


def stretch(folder: Path, *moments: Moment) -> None:
    """Put wires across these moments, for processes that are started later."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wires.json").write_text(json.dumps([asdict(moment) for moment in moments]))
    (folder / "log.jsonl").touch()


def log_of(folder: Path, event: str | None = None) -> list[dict[str, Any]]:
    """The lines of the log, or those of one event."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines(keepends=True)]
    return [line for line in lines if event in (None, line["event"])]


def let_go(folder: Path, wire: int = 0) -> None:
    """Tell who stays at a wire to go on."""
    (folder / f"go-{wire}").touch()


class Tripwire:
    """The wires of one folder, in this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._moments = [Moment(**fields) for fields in json.loads((folder / "wires.json").read_text())]
        self._stages: dict[str, tuple[int, str]] = {}  # key -> increment and phase
        self._trial = 0

    def set_in_chain(self) -> None:
        """Patch the chain and the store."""
        from tune_cl.chain import Chain
        from tune_cl.store import StageStore

        chain_init, advance = Chain.__init__, Chain.advance
        publish, install, path_open = StageStore.publish, StageStore._install, Path.open

        def init(chain: Any, run: Any, stream: Any, store: Any, on_progress: Any = _ignore, *more: Any, **named: Any):
            to_begin: dict[tuple[int, str], str] = {}

            def look(progress: Any) -> None:
                on_progress(progress)
                if not progress.waiting:
                    self._on_step(progress, to_begin.pop((progress.increment, progress.phase), None))

            chain_init(chain, run, stream, store, look, *more, **named)
            self._trial = named.get("trial", 0)
            to_begin.update({(t, phase): key for t, phase, key in chain.planned_keys()})
            self._stages.update({key: at for at, key in to_begin.items()})

        def advance_and_look(chain: Any) -> Any:
            increment = advance(chain)
            self._reach(Moment("between", increment.row.increment, trial=increment.row.trial))
            return increment

        def publish_and_tell(store: Any, stage: Any, **named: Any) -> Any:
            self._log("trained", key=stage.record.key)
            return publish(store, stage, **named)

        def install_later(store: Any, draft: Path, key: str) -> None:
            if key in self._stages:  # what judges replay is no part of the plan
                self._reach(Moment("publishing", *self._stages[key], trial=self._trial))
            install(store, draft, key)

        def open_draft(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
            file = path_open(path, mode, *more, **named)
            if path.name != "state.pt" or path.parent.parent.name != "drafts" or mode != "wb":
                return file
            start = path.parent.name.split("-")[0]
            at = next((at for key, at in self._stages.items() if key.startswith(start)), None)
            if at is None:
                return file
            return _InTwoHalves(file, lambda: self._reach(Moment("writing", *at, trial=self._trial)))

        _patch(Chain, "__init__", init)
        _patch(Chain, "advance", advance_and_look)
        _patch(StageStore, "publish", publish_and_tell)
        _patch(StageStore, "_install", install_later)
        _patch(Path, "open", open_draft)

    def set_in_study(self) -> None:
        """Patch the study."""
        from tune_cl.study import Study

        report = Study.report

        def report_later(study: Any, number: int, increment: int, value: Any) -> Any:
            self._reach(Moment("reporting", increment, trial=number))
            return report(study, number, increment, value)

        _patch(Study, "report", report_later)

    def _on_step(self, progress: Any, begins: str | None) -> None:
        here = Moment("phase", progress.increment, progress.phase, progress.step, self._trial)
        if begins:
            self._log("began", key=begins, **asdict(here))
        self._reach(here)

    def _reach(self, here: Moment) -> None:
        for wire, moment in enumerate(self._moments):
            if moment.is_reached_by(here) and self._trips(wire):
                self._log("reached", wire=wire, **asdict(here))
                while not (self._folder / f"go-{wire}").exists():
                    time.sleep(0.01)
                self._log("left", wire=wire, **asdict(here))

    def _trips(self, wire: int) -> bool:
        try:
            os.close(os.open(self._folder / f"tripped-{wire}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _log(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, "pid": os.getpid(), "node": _node(), "time": time.time(), **fields})
        handle = os.open(self._folder / "log.jsonl", os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode() + b"\n")  # one write: lines of several processes do not mix
            os.fsync(handle)
        finally:
            os.close(handle)


class _InTwoHalves:
    """A file for writing that stops half-way through each write."""

    def __init__(self, file: Any, half_way: Callable[[], None]) -> None:
        self._file, self._half_way = file, half_way

    def write(self, data: bytes) -> int:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        self._half_way()
        self._file.write(data[len(data) // 2 :])
        return len(data)

    def __enter__(self) -> "_InTwoHalves":
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.__exit__(*reason)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class SetWhenImported:
    """Finds modules as usual, and calls a function right after one of the named is imported."""

    def __init__(self, then: dict[str, Callable[[], None]]) -> None:
        self._then = dict(then)

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """The module's own spec, with a loader that calls the function at its end."""
        then = self._then.pop(name, None)
        spec = importlib.util.find_spec(name) if then else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_then(module: Any) -> None:
            execute(module)
            then()

        spec.loader.exec_module = execute_then  # type: ignore[method-assign]
        return spec


def set_by_environment() -> None:
    """Set the wires that FAULT_WIRES names in this process, once it imports what they are across."""
    folder = os.environ.get("FAULT_WIRES")
    if folder:
        wire = Tripwire(Path(folder))
        then = {"tune_cl.chain": wire.set_in_chain, "tune_cl.study": wire.set_in_study}
        sys.meta_path.insert(0, SetWhenImported(then))


def _patch(owner: type, name: str, replacement: Any) -> None:
    setattr(owner, name, replacement)


def _node() -> str | None:
    """Ray's name of this node, where this process runs in Ray."""
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray and ray.is_initialized() else None


def _ignore(progress: Any) -> None:
    """Nobody watches."""
