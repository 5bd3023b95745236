"""The search that a command names."""

from pathlib import Path

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import SearchFolder


def named_search(name: str, results: Path) -> SearchFolder:
    """The folder of a search, by its path or by its name below the folder of searches.

    Raises:
        TuneCLError: there is no such folder.
    """
    places = [SearchFolder(Path(name)), SearchFolder(results / name)]
    searches = [place for place in places if place.search.exists()]  # before a folder here that is called alike
    found = searches or [place for place in places if place.path.is_dir()]
    if not found:
        known = [p.name for p in results.iterdir() if (p / "search.json").exists()] if results.is_dir() else []
        raise TuneCLError(
            f"{name}: no such folder, and no search of that name in {results}{near_matches(Path(name).name, known)}"
        )
    return found[0]
