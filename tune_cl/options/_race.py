"""`--seeds`: whether the best trials of a search are trained again under further train seeds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune_cl.errors import TuneCLError, near_matches, shown
from tune_cl.options._bounds import SEED, Bounds

FINALISTS = Bounds(1, 100)
FRESH = Bounds(2, 100)
_SEEDS = SEED.high + 1
_KEYS = ("first", "finalists", "top", "fresh")


@dataclass(frozen=True)
class Race:
    """A race of the best trials over train seeds, after all trials.

    Attributes:
        finalists: train seeds that each finalist has in all, the search's own among them; 1: there is no race.
        top: share of the finished trials that are finalists, at least two trials; the default is always one.
        fresh: further train seeds, under which the winner and the default alone are compared.
    """

    finalists: int = 1
    top: float = 0.25
    fresh: int = 3

    def __str__(self) -> str:
        if self.finalists == 1:
            return "finalists=1"
        return f"finalists={self.finalists},top={self.top:g},fresh={self.fresh}"

    def seeds(self, own: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The train seeds that choose, the search's own first, and the fresh ones."""
        found = [(own + i) % _SEEDS for i in range(self.finalists + self.fresh)]
        return tuple(found[: self.finalists]), tuple(found[self.finalists :])

    def count(self, finished: int) -> int:
        """How many of the finished trials race for being among the best."""
        return max(2, math.ceil(self.top * finished - 1e-9))

    def most_runs(self, trials: int) -> int:
        """How many runs there can be after so many trials: those that choose, the default among them, and judge."""
        return 0 if self.finalists == 1 else (self.count(trials) + 1) * (self.finalists - 1) + 2 * self.fresh

    @classmethod
    def of(cls, value: Any, where: str) -> "Race":
        """Read it from text such as `finalists=3,top=0.25`, or from a mapping with these keys.

        `first=1` says that each trial is trained under one seed at first, as it always is.

        Raises:
            TuneCLError: a key is unknown or given twice, or its value is out of bounds.
        """
        found = dict(value) if isinstance(value, Mapping) else _pairs(value, where)
        for key in found:
            if key not in _KEYS:
                near = near_matches(str(key), _KEYS) or f"; known are {', '.join(_KEYS)}"
                raise TuneCLError(f"{where}: unknown key {shown(key)}{near}")
        if _whole(found.pop("first", 1), Bounds(1, 100), f"{where}: first") != 1:
            raise TuneCLError(
                f"{where}: first: trials are trained under one seed, so write 1 or leave it out; finalists=N says "
                "under how many the best are"
            )
        race = cls(
            finalists=_whole(found.get("finalists", cls.finalists), FINALISTS, f"{where}: finalists"),
            top=_share(found.get("top", cls.top), f"{where}: top"),
            fresh=_whole(found.get("fresh", cls.fresh), FRESH, f"{where}: fresh"),
        )
        if race.finalists == 1 and found.keys() - {"finalists"}:
            raise TuneCLError(f"{where}: finalists=1 is no race; write finalists=3, say, or leave the option out")
        return race


def race_text(value: Any, where: str) -> str:
    """The one form in which options and records have a race; see `Race.of`."""
    return str(Race.of(value, where))


def _pairs(value: Any, where: str) -> dict[str, Any]:
    parts = [part.partition("=") for part in value.split(",")] if isinstance(value, str) else []
    if not parts or not all(sign for _, sign, _ in parts):
        raise TuneCLError(f"{where} {shown(value)}: write finalists=3,top=0.25, say")
    pairs = {key.strip(): text.strip() for key, _, text in parts}
    if len(pairs) < len(parts):
        raise TuneCLError(f"{where} {shown(value)}: a key is given twice")
    return pairs


def _whole(value: Any, bounds: Bounds, where: str) -> int:
    return bounds.read(value, where) if isinstance(value, str) else bounds.check(value, where)


def _share(value: Any, where: str) -> float:
    try:
        found = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 < found <= 1:
        raise TuneCLError(f"{where}: {shown(value)}, but it must be a share above 0 and at most 1, such as 0.25")
    return found
