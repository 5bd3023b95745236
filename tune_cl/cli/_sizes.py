"""Sizes on the command line: 50GiB, 200MB, 10 GB, or a number of bytes."""

import re

from tune_cl.errors import TuneCLError, near_matches, shortened, shown

_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**n for n, prefix in enumerate(("k", "M", "G", "T"), 1)},
    **{f"{prefix}iB": 1024**n for n, prefix in enumerate(("K", "M", "G", "T"), 1)},
}
_MOST = 2.0**60  # bytes; more is a slip of the keyboard
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


def size(text: str, option: str) -> int:
    """Read a size in bytes; capital and small letters are the same, a bare number is bytes.

    Raises:
        TuneCLError: it is none, or not above 0; `option` is what names it.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise _bad(text, option)
    number, unit = match[1], match[2] or "B"
    factor = next((value for name, value in _UNITS.items() if name.lower() == unit.lower()), None)
    if factor is None:
        meant = near_matches(f"{number}{unit}", [f"{number}{name}" for name in _UNITS])
        hint = meant or "; write 50GiB, 200MB, or bytes"
        raise TuneCLError(f"{option} {shortened(text)}: {shown(unit)} is no unit of size{hint}")
    n_bytes = float(number) * factor
    if not 1 <= n_bytes < _MOST:
        raise _bad(text, option)
    return int(n_bytes)


def _bad(text: str, option: str) -> TuneCLError:
    return TuneCLError(f"{option} {shortened(text)}: write a size above 0 such as 50GiB, 200MB, or a number of bytes")
