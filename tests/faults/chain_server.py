"""A process that has imported torch once and forks a fresh one for each chain.

It reads a request per line of standard input and answers each in a line: `{"arguments": [...], "output": FILE}` starts
`run_chain` in a new process and answers its id; `{"wait": PID, "seconds": S}` answers how it ended: its exit code,
minus the signal that killed it, or null where it still runs.
"""

import argparse
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tiny_chains import TIMES, rows_of, run_config, tiny_stream
from tripwire import Tripwire

from tune_cl.chain import Chain
from tune_cl.records import RunConfig
from tune_cl.store import StageStore

# Phases of 4 (base classifier), 8 and 9 steps.
LONGER = {"base.generator.steps": 9, "increment.generator.steps": 9, "increment.classifier.epochs": 2}


def configuration() -> RunConfig:
    """What every case runs: five stages."""
    return run_config("genifer", LONGER, horizon=2)


def run_chain(arguments: Sequence[str]) -> None:
    """Run the chain to its end; write its rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stages", type=Path)
    parser.add_argument("wires", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--checkpoint-every", type=float, default=math.inf)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    Tripwire(given.wires).set_in_chain()
    store = StageStore(given.stages, TIMES, checkpoint_every=given.checkpoint_every)
    rows = rows_of(Chain(configuration(), tiny_stream(), store))
    given.rows.write_text(json.dumps([row.model_dump(mode="json") for row in rows]))


def main() -> None:
    """Serve until standard input ends."""
    tiny_stream()
    for line in sys.stdin:
        request = json.loads(line)
        answer = _wait(**request) if "wait" in request else _start(**request)
        print(json.dumps(answer), flush=True)


def _start(arguments: list[str], output: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    handle = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        run_chain(arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(wait: int, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(wait, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


if __name__ == "__main__":
    main()
