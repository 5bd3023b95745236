"""The data set of a stream as options name it, and opening the stream."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune_cl.api.places import data_folder
from tune_cl.errors import TuneCLError
from tune_cl.options import Runtime
from tune_cl.records import SearchRecord, StreamRecord
from tune_cl.streams import OwnData, Stream, download, open_stream, own_data, shape_of, with_own_data


def own_folders(given: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """What `--data-set` gives: name of a data set -> folder, file of settings, or the settings.

    Raises:
        TuneCLError: one of them has no name, or a name comes twice.
    """
    if isinstance(given, Mapping):
        return dict(given)
    found: dict[str, Any] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = Path(text).stem, text
        if not name or not path:
            raise TuneCLError(f"--data-set {text}: write NAME=DIR: a name, and the folder of its images")
        if name in found:
            raise TuneCLError(f"--data-set {text}: {name} is given twice")
        found[name] = _settings(path)
    return found


def _settings(text: str) -> Any:
    """A path; or settings, as a script gives them and a recorded command has them."""
    try:
        return json.loads(text) if text.startswith("{") else text
    except ValueError:
        return text


def listed_folders(given: Sequence[str]) -> list[OwnData]:
    """What `--data-set` gives, measured, for `--list`; nothing is kept of it.

    Raises:
        TuneCLError: one of them is not in order.
    """
    return [own_data(name, path, only_look=True) for name, path in own_folders(given).items()]


def other_data(record: SearchRecord, fingerprint: str) -> str:
    """What is wrong where a search's training data are no longer there, and how they come back."""
    dataset = shape_of(record.stream).dataset
    there = (
        f"the training files of {dataset.name} are not those of then (fingerprint {record.data_fingerprint[:12]}, now "
        f"{fingerprint[:12]})"
    )
    if dataset.source == "embedded":
        return f"{there}; install the tune_cl of then"
    option = "--data-set" if dataset.source == "folder" else "--data-root"
    return f"{there}; name the {option} of then, or put its files there again"


def open_named(record: StreamRecord, options: Runtime, *, only_look: bool = False) -> Stream:
    """Fetch the data set first where `--download` asks for it, then open the stream; only to look, write nothing.

    Raises:
        TuneCLError: `--download` without `--data-root`, or the data are not in order.
    """
    record, _ = with_own_data(record, own_folders(options.data_sets))
    data_root = data_folder(options)
    if options.download and not only_look:
        if data_root is None:
            raise TuneCLError("--download needs --data-root DIR: the folder to fetch the data set into")
        download(shape_of(record).dataset, data_root)
    return open_stream(record, data_root, options.accept_modified_data, only_look=only_look)
