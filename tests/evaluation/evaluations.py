"""The search that tests evaluate, and how."""

from dataclasses import dataclass
from pathlib import Path

from search_cli import CHEAP

# A memory, and a nearest-mean read-out beside the linear one.
SEARCH = (
    "--space",
    "icarl",
    *CHEAP,
    "--trials",
    "2",
    "--sampler",
    "random",
    "--search-seed",
    "3",
    "--scheduler",
    "none",
    "--name",
    "s",
)
EVALUATION = ("--orders", "2", "--seeds", "1", "--with-default")
SHORT = ("--orders", "1", "--seeds", "1", "--with-default")  # the first two runs of that
WATCHER = Path(__file__).parent / "watcher_path"


@dataclass(frozen=True)
class Evaluated:
    """A search and its evaluation, run by their scripts; `opened` names every test file that a process opened."""

    folder: Path
    output: str
    opened: list[str]
