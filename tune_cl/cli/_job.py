"""Where a job begins on the cluster: it travels as `job.py`, beside the package, and looks before anything is imported.

The cluster's own Python has the packages that tune_cl needs; what is missing there is said in a sentence, and not by
the traceback of the first import.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(argv: list[str]) -> int:
    """Run a command of tune_cl if this Python has what it needs; returns the exit code."""
    lacking = list(_lacking())
    if lacking:
        print(
            f"tune-cl: on the node {socket.gethostname()}, {sys.executable} lacks {', '.join(lacking)}; install them "
            "in the environment of every node, or name another Python with --python",
            file=sys.stderr,
        )
        return 2
    return shielded(lambda: _command(argv))


def shielded(run: Callable[[], int]) -> int:
    """Run in a process that does not descend from this one; returns its exit code, in both.

    To stop a job, Ray signals its process and every one that descends from it. The service of W&B is one of those, and
    ends at once, before the search has told it the last rows. So the search becomes nobody's child, and hears of the
    stop from here; should this process be killed, it ends.
    """
    result, to_job = os.pipe()
    lifeline, to_search = os.pipe()  # nothing is ever written: it closes with this process
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    between = os.fork()
    if between == 0:
        if os.fork():
            os._exit(0)
        os.close(result)
        os.close(to_search)
        return _search(run, to_job, lifeline)
    os.close(to_job)
    os.close(lifeline)
    os.waitpid(between, 0)
    with open(result) as lines:
        search = int(lines.readline())

        def pass_on(number: int, frame: FrameType | None) -> None:
            with suppress(ProcessLookupError):
                os.kill(search, number)

        for number in _SIGNALS:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return int(lines.read() or 1)  # at its very end; killed, it says nothing


def _search(run: Callable[[], int], to_job: int, lifeline: int) -> int:
    os.write(to_job, f"{os.getpid()}\n".encode())
    threading.Thread(target=_end_with, args=(lifeline,), name="lifeline", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    code = 1
    try:
        code = run()
    finally:
        os.write(to_job, str(code).encode())
    return code


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def _command(argv: list[str]) -> int:
    from tune_cl.cli.main import main as command

    return command(argv)


def _lacking() -> Iterator[str]:
    try:
        from packaging.requirements import Requirement
    except ImportError:  # Ray itself needs it: this is not the Python that Ray runs in
        yield "Ray"
        return
    for line in metadata.requires("tune_cl") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield requirement.name
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name}{requirement.specifier} (it has {version})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
