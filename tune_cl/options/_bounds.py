"""Bounds of every whole number that a person may write, on the command line, in a file or in a script.

Each is generous: what lies outside is a slip of the keyboard, and would end a process, fill the memory or never end.
"""

import re
from dataclasses import dataclass
from typing import Any

from tune_cl.errors import TuneCLError, shown

_WHOLE = re.compile(r"[-+]?[0-9]{1,20}")


@dataclass(frozen=True)
class Bounds:
    """The whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def check(self, value: Any, where: str) -> int:
        """Return a whole number that lies within.

        Args:
            value: as read from a file, or given to a function.
            where: what a message begins with: a file and a key, an option, an argument.

        Raises:
            TuneCLError: it is no whole number, or lies outside.
        """
        if isinstance(value, bool) or not isinstance(value, int):
            raise TuneCLError(f"{where}: {shown(value)} is not a whole number; write one from {self}")
        if not self.low <= value <= self.high:
            raise TuneCLError(f"{where}: {shown(value)}, but it must be {self._missed(value)}")
        return value

    def read(self, text: str, option: str) -> int:
        """Read an option's value.

        Raises:
            TuneCLError: it is no whole number, or lies outside.
        """
        text = text.strip()
        if not _WHOLE.fullmatch(text):
            what = "has too many digits" if re.fullmatch("[-+]?[0-9]+", text) else "is not a whole number"
            raise TuneCLError(f"{option}: {shown(text)} {what}; write one from {self}")
        if not self.low <= int(text) <= self.high:
            raise TuneCLError(f"{option} {text}: must be {self._missed(int(text))}")
        return int(text)

    def _missed(self, value: int) -> str:
        return f"at least {self.low}" if value < self.low else f"at most {self.high:,}"

    def __str__(self) -> str:
        return f"{self.low} to {self.high:,}"


SEED = Bounds(0, 2**63 - 1)
THREADS = Bounds(1, 1024)
LOADER_WORKERS = Bounds(0, 256)
TRIALS = Bounds(1, 1_000_000)
BASE_CONFIGURATIONS = Bounds(1, 1_000_000)
CONCURRENCY = Bounds(1, 10_000)
PORTS = Bounds(1, 65_535)
HORIZON = Bounds(1, 1_000_000)
ORDERS = Bounds(1, 1000)  # of an evaluation
SEEDS = Bounds(1, 1000)  # of an evaluation, for each order
