"""A comparison in W&B."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tune_cl.reports._figures import plots
from tune_cl.reports._models import Comparison
from tune_cl.reports._page import page
from tune_cl.reports._plotly import plotly_figure
from tune_cl.reports._tables import DataTable, doubts, tables
from tune_cl.wandb import ComparisonRun, publish_comparison

_CONFIG = {"objective", "direction", "protocol", "horizon"}
_VERDICTS = ("first", "second", "metric", "basis", "mean", "low", "high", "verdict", "sentence")


def publish(comparison: Comparison, mode: str | None, project: str | None, entity: str | None, folder: Path) -> str:
    """Publish a comparison as a W&B run with its tables, plots and page; returns a line that says where.

    Raises:
        TuneCLError: an unknown mode, 'online' without credentials, or W&B did not take it.
    """
    labels = [entry.label for entry in comparison.searches]
    run = ComparisonRun(
        name=f"{comparison.stream.name}: {', '.join(labels)}",
        config={
            **comparison.model_dump(mode="json", include=_CONFIG),
            "stream": comparison.stream.model_dump(mode="json"),
            "searches": {entry.label: entry.search.source for entry in comparison.searches},
        },
        summary=_summary(comparison),
        tables={table.name: (table.columns, table.rows) for table in _all_tables(comparison)},
        figures={plot.name: plotly_figure(plot) for plot in plots(comparison)},
        page=page(comparison),
    )
    return publish_comparison(run, mode, project, entity, folder)


def _summary(comparison: Comparison) -> dict[str, Any]:
    numbers = ("value", "default_value", "gain")
    found: dict[str, Any] = {f"{e.label}/{name}": getattr(e, name) for e in comparison.searches for name in numbers}
    for entry in comparison.searches:
        untrained = entry.never_trained_again
        figures = {} if untrained is None else untrained.model_dump(exclude={"trial", "nearest_mean"})
        found |= {f"{entry.label}/never_training_again/{name}": value for name, value in figures.items()}
        found[f"{entry.label}/cautions"] = [c.sentence for c in entry.cautions] or None
    return {name: value for name, value in found.items() if value is not None}


def _all_tables(comparison: Comparison) -> Iterator[DataTable]:
    yield from tables(comparison)
    yield doubts(comparison)
    yield _verdicts(comparison)


def _verdicts(comparison: Comparison) -> DataTable:
    rows = (
        tuple("" if (value := getattr(found, name)) is None else str(value) for name in _VERDICTS)
        for found in comparison.differences
    )
    return DataTable("differences", "Differences", _VERDICTS, tuple(rows))
