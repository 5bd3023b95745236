"""The search that a command names."""

from pathlib import Path

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import SearchFolder


def named_search(name: str, results: Path) -> SearchFolder:
    """The folder of a search, by its path or by its name below the folder of searches.

    Raises:
        TuneCLError: there is no such folder.
    """
    below = results / name
    path = below if not Path(name).is_dir() and below.is_dir() else Path(name)
    if not path.is_dir():
        known = [p.name for p in results.iterdir() if (p / "search.json").exists()] if results.is_dir() else []
        raise TuneCLError(
            f"{name}: no such folder, and no search of that name in {results}{near_matches(Path(name).name, known)}"
        )
    return SearchFolder(path)
