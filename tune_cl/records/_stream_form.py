"""The form of a stream's name; whether its data set is known, and its split possible, `tune_cl.streams` knows."""

import re
from typing import NamedTuple

_FORM = re.compile(r"(?P<dataset>[^-]+)-b(?P<base>0|[1-9][0-9]{0,5})-t(?P<increments>0|[1-9][0-9]{0,5})")


class StreamForm(NamedTuple):
    """What a name says."""

    dataset: str
    base: int  # classes of the base task
    increments: int


def stream_form(name: str) -> StreamForm | None:
    """Read `DATASET-b<base classes>-t<increments>`; None where a name has another form."""
    match = _FORM.fullmatch(name)
    return StreamForm(match["dataset"], int(match["base"]), int(match["increments"])) if match else None
