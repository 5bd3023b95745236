"""The data set of a stream as a command's options name it, and opening the stream."""

import argparse
from pathlib import Path

from tune_cl.cli._places import data_folder
from tune_cl.errors import TuneCLError
from tune_cl.records import SearchRecord, StreamRecord
from tune_cl.streams import OwnData, Stream, download, open_stream, own_data, shape_of, with_own_data


def own_folders(args: argparse.Namespace) -> dict[str, str]:
    """What `--data-set` gives: name of a data set -> folder, or file of settings.

    Raises:
        TuneCLError: one of them has no name, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in args.data_sets:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = Path(text).stem, text
        if not name or not path:
            raise TuneCLError(f"--data-set {text}: write NAME=DIR: a name, and the folder of its images")
        if name in found:
            raise TuneCLError(f"--data-set {text}: {name} is given twice")
        found[name] = path
    return found


def listed_folders(args: argparse.Namespace) -> list[OwnData]:
    """What `--data-set` gives, measured, for `--list`; nothing is kept of it.

    Raises:
        TuneCLError: one of them is not in order.
    """
    return [own_data(name, path, only_look=True) for name, path in own_folders(args).items()]


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


def open_named(record: StreamRecord, args: argparse.Namespace, *, only_look: bool = False) -> Stream:
    """Fetch the data set first where `--download` asks for it, then open the stream; only to look, write nothing.

    Raises:
        TuneCLError: `--download` without `--data-root`, or the data are not in order.
    """
    record, _ = with_own_data(record, own_folders(args))
    data_root = data_folder(args)
    if args.download and not only_look:
        if data_root is None:
            raise TuneCLError("--download needs --data-root DIR: the folder to fetch the data set into")
        download(shape_of(record).dataset, data_root)
    return open_stream(record, data_root, args.accept_modified_data, only_look=only_look)
