"""One chain in a process of its own, which faults may hit, and the uninterrupted run that it is held to."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_tools import await_moment, checksums, kill, published
from tripwire import Moment, log_of, stretch

from tune_cl.records import IncrementRow

HERE = Path(__file__).parent
SECONDS = 60.0  # for anything that a chain does, on a busy machine


class ChainServer:
    """Starts chains in fresh processes: see `chain_server`."""

    def __init__(self) -> None:
        paths = [str(HERE), str(HERE.parent / "chain")]
        code = f"import sys; sys.path[:0] = {paths!r}; from chain_server import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, arguments: list[str], output: Path) -> int:
        """Start one; return its process id."""
        return self._ask({"arguments": arguments, "output": str(output)})

    def wait(self, pid: int, seconds: float = SECONDS) -> int:
        """Wait for its end; return its exit code, or minus the signal that killed it."""
        code = self._ask({"wait": pid, "seconds": seconds})
        assert code is not None, f"process {pid} still runs"
        return code

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@dataclass(frozen=True)
class Uninterrupted:
    """What a run from an empty store gives that nothing disturbs."""

    rows: list[dict[str, Any]]
    checksums: dict[str, str]
    stages: dict[tuple[int, str], str]  # (increment, phase) -> key


class ChainRun:
    """A chain on one store, run as often as it takes.

    Args:
        server: starts its processes.
        place: a folder for logs and wires; not on the disk that faults hit.
        stages: the store.
        moments: where it shall stay until it is told to go on.
        checkpoint_every: seconds between checkpoints; 0 for one after each step.
    """

    def __init__(
        self, server: ChainServer, place: Path, stages: Path, *moments: Moment, checkpoint_every: str = "inf"
    ) -> None:
        self.stages, self.wires = stages, place / "wires"
        self._server, self._place, self._every = server, place, checkpoint_every
        self._runs = 0
        self.pid = 0
        stretch(self.wires, *moments)

    def start(self) -> int:
        """Start it in a fresh process; return its id."""
        self._runs += 1
        arguments = [str(self.stages), str(self.wires), str(self._rows), f"--checkpoint-every={self._every}"]
        self.pid = self._server.start(arguments, self._output)
        return self.pid

    def start_and_await(self, wire: int = 0) -> dict[str, Any]:
        """Start it and wait until it is in the moment; return the log's line."""
        self.start()
        return self.await_moment(wire)

    def await_moment(self, wire: int = 0) -> dict[str, Any]:
        """Wait until it is in the moment; return the log's line, which is this process's own."""
        at = await_moment(self.wires, SECONDS, wire)
        assert at["pid"] == self.pid
        return at

    def kill_in_the_moment(self) -> None:
        """Kill it where it stays; the log proves that it was there."""
        kill(self.pid)
        assert self._server.wait(self.pid) == -9
        assert not log_of(self.wires, "left")

    def end(self) -> tuple[int, str]:
        """Wait for its end; return the exit code and what it printed."""
        return self._server.wait(self.pid), self._output.read_text()

    def again(self) -> list[IncrementRow]:
        """Run it in a fresh process to its end; return the rows."""
        self.start()
        code, output = self.end()
        assert code == 0, output
        return self.rows()

    def rows(self) -> list[IncrementRow]:
        """The rows of the last run."""
        return [IncrementRow.model_validate(row) for row in json.loads(self._rows.read_text())]

    def began(self) -> dict[str, int]:
        """Key -> first step, of each stage that the last process trained or began to train."""
        return {line["key"]: line["step"] for line in log_of(self.wires, "began") if line["pid"] == self.pid}

    def assert_equal(self, rows: list[IncrementRow], whole: Uninterrupted) -> None:
        """Rows and weights are those of the uninterrupted run."""
        assert [row.comparable() for row in rows] == whole.rows
        assert checksums(self.stages) == whole.checksums

    @property
    def _rows(self) -> Path:
        return self._place / f"rows-{self._runs}.json"

    @property
    def _output(self) -> Path:
        return self._place / f"output-{self._runs}.txt"


def run_uninterrupted(server: ChainServer, place: Path) -> Uninterrupted:
    """Run the chain from an empty store."""
    began = time.monotonic()
    run = ChainRun(server, place, place / "stages")
    rows = run.again()
    assert time.monotonic() - began < SECONDS
    stages = {(row.increment, use.phase): use.key for row in rows for use in row.stages}
    assert published(run.stages) == set(stages.values()) and len(stages) == 5
    return Uninterrupted([row.comparable() for row in rows], checksums(run.stages), stages)
