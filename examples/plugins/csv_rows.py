"""A tracker: writes a line per increment to `increments.csv` in the folder of the search.

tune-cl search --space finetune --plugin examples/plugins/csv_rows.py
"""

import csv
from pathlib import Path

from tune_cl.tracking import Event, IncrementReported, SearchStarted


class CsvRows:
    """Called in the order of events; what it raises is reported, and hurts nothing else."""

    def __init__(self) -> None:
        self._path = Path()

    def handle(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, SearchStarted):
            self._path = event.folder.path / "increments.csv"
        elif isinstance(event, IncrementReported):
            with self._path.open("a", newline="") as file:
                csv.writer(file).writerow([event.trial, event.row.increment, event.row.metrics["val/accuracy"]])

    def close(self, timeout: float) -> None:
        """Nothing is left to do."""


TRACKER = CsvRows
