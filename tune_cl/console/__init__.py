"""A search in a terminal: live view, plain lines, the report at its end; fed by events alone."""

from tune_cl.console._console import ConsoleTracker

__all__ = [
    "ConsoleTracker",
]
