"""Which stages the winners of searches are made of, as the searches' own files say."""

import json
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder


def winner_keys(folder: SearchFolder, best: int | None) -> list[str]:
    """Keys of the stages of a search's best trial and of trial 0, as their rows name them."""
    trials = {0} if best is None else {0, best}
    return sorted({use.key for trial in trials for row in folder.trial(trial).rows() for use in row.stages})


def winners_in(results: Path) -> set[str]:
    """Keys of the winners and defaults of all searches in a folder.

    Raises:
        TuneCLError: a search's files cannot be read, so that its winner is not known.
    """
    keys: set[str] = set()
    for path in sorted(results.glob("*/search.json")):
        folder = SearchFolder(path.parent)
        try:
            keys.update(winner_keys(folder, _best_trial(folder)))
        except (TuneCLError, ValueError, LookupError, TypeError, OSError):
            raise TuneCLError(
                f"{folder.path}: its summary or rows cannot be read, so that the stages of its winner are not known; "
                "move the folder away if nobody needs it"
            ) from None
    return keys


def _best_trial(folder: SearchFolder) -> int | None:
    """The best trial of a summary, of this version of the record or another; None where there is none yet."""
    if not folder.summary.exists():
        return None
    best = json.loads(folder.summary.read_text())["best"]
    return None if best is None else int(best["trial"])
