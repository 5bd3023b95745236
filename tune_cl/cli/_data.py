"""Opening the stream that a command names, with its data options."""

import argparse

from tune_cl.cli._places import data_folder
from tune_cl.errors import TuneCLError
from tune_cl.records import SearchRecord, StreamRecord
from tune_cl.streams import Stream, download, open_stream, parse_name


def other_data(record: SearchRecord, fingerprint: str) -> str:
    """What is wrong where a search's training data are no longer there, and how they come back."""
    dataset = parse_name(record.stream.name).dataset
    there = (
        f"the training files of {dataset.name} are not those of then (fingerprint {record.data_fingerprint[:12]}, now "
        f"{fingerprint[:12]})"
    )
    if dataset.source == "embedded":
        return f"{there}; install the tune_cl of then"
    return f"{there}; name the --data-root of then, or put its files there again"


def open_named(record: StreamRecord, args: argparse.Namespace, *, only_look: bool = False) -> Stream:
    """Fetch the data set first where `--download` asks for it, then open the stream; only to look, write nothing.

    Raises:
        TuneCLError: `--download` without `--data-root`, or the data are not in order.
    """
    data_root = data_folder(args)
    if args.download and not only_look:
        if data_root is None:
            raise TuneCLError("--download needs --data-root DIR: the folder to fetch the data set into")
        download(parse_name(record.name).dataset.name, data_root)
    return open_stream(record, data_root, args.accept_modified_data, only_look=only_look)
