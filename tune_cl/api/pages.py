"""Pages as files."""

import os
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, given_output, write_atomically
from tune_cl.reports import search_page, search_view

# What a path may be that cannot be written to; a full disk is another matter.
_NO_SUCH_PLACE = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def write_page(page: str, path: str | os.PathLike[str], what: str) -> Path:
    """Write a page; returns where.

    Raises:
        TuneCLError: it cannot be written there; `what` is what names the path.
    """
    target = given_output(path, what)
    try:
        write_atomically(target, page)
    except _NO_SUCH_PLACE as error:  # what could not be seen before
        raise TuneCLError(f"{what} {path}: cannot be written ({error.strerror}); name another file") from None
    return target


def save_report(folder: SearchFolder, path: str | os.PathLike[str] | None = None, what: str = "--html") -> Path:
    """Write the page of a search, to its own folder where no path is given; returns where.

    Raises:
        TuneCLError: the search cannot be read, or the page cannot be written there.
    """
    return write_page(search_page(search_view(folder)), folder.page if path is None else path, what)
