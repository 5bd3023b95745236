"""Opening the stream that a command names, with its data options."""

import argparse
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import Stream, download, open_stream, parse_name


def open_named(record: StreamRecord, args: argparse.Namespace, *, may_download: bool = True) -> Stream:
    """Fetch the data set first where `--download` asks for it, then open the stream.

    Raises:
        TuneCLError: `--download` without `--data-root`, or the data are not in order.
    """
    data_root = Path(args.data_root) if args.data_root else None
    if args.download and may_download:
        if data_root is None:
            raise TuneCLError("--download needs --data-root DIR: the folder to fetch the data set into")
        download(parse_name(record.name).dataset.name, data_root)
    return open_stream(record, data_root, args.accept_modified_data)
