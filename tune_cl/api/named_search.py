"""The search that a command names."""

import os
from pathlib import Path

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import SearchFolder, given_path, given_text


def named_search(name: str | os.PathLike[str], results: Path) -> SearchFolder:
    """The folder of a search, by its path or by its name below the folder of searches.

    Raises:
        TuneCLError: there is no such folder.
    """
    path = given_text(name, "SEARCH")
    places = [SearchFolder(path), SearchFolder(results / path)]
    searches = [place for place in places if os.path.exists(place.search)]  # before a folder here that is called alike
    found = searches or [place for place in places if os.path.isdir(place.path)]
    if not found:
        for place in places:
            given_path(place.path, "SEARCH")  # why it cannot be looked at, if it cannot
        known = [p.name for p in results.iterdir() if os.path.exists(p / "search.json")] if results.is_dir() else []
        raise TuneCLError(
            f"{path}: no such folder, and no search of that name in {results}{near_matches(path.name, known)}"
        )
    return found[0]
