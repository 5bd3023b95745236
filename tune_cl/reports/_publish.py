"""Comparisons, searches and evaluations as W&B shows each of them in one run."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tune_cl.outcome import CLEAR
from tune_cl.records import EvaluationSummary, SearchFolder, Statistic, Summary, read_record
from tune_cl.reports._compare import compare
from tune_cl.reports._figures import plots
from tune_cl.reports._folder import read_search
from tune_cl.reports._models import Comparison
from tune_cl.reports._page import page
from tune_cl.reports._plotly import plotly_figure
from tune_cl.reports._search_view import SearchView, search_view
from tune_cl.reports._tables import DataTable, doubts, tables
from tune_cl.text import finalists_text, gain_verdict_text
from tune_cl.wandb import Overview, Subject, publish_comparison

_CONFIG = {"objective", "direction", "protocol", "horizon"}
_VERDICTS = ("first", "second", "metric", "basis", "mean", "low", "high", "verdict", "sentence")
_OF_TEST_DATA = ("test", "test-increments", "differences")  # plots
_STATISTIC = ("mean", "std", "low", "high")


def publish(comparison: Comparison, mode: str | None, project: str | None, entity: str | None, folder: Path) -> str:
    """Publish a comparison as a W&B run with its tables, plots and page; returns a line that says where.

    Raises:
        TuneCLError: an unknown mode, 'online' without credentials, or W&B did not take it.
    """
    labels = [entry.label for entry in comparison.searches]
    overview = Overview(
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
    return publish_comparison(f"{comparison.stream.name}: {', '.join(labels)}", overview, mode, project, entity, folder)


def overview(folder: SearchFolder, subject: Subject) -> Overview:
    """What W&B shows of a search, or of its evaluation, as a whole.

    Raises:
        TuneCLError: it cannot be read.
    """
    return _search(folder) if subject == "search" else _evaluation(folder)


def _search(folder: SearchFolder) -> Overview:
    view, record = search_view(folder), read_record(folder.summary, Summary)
    searched = list(view.record.ranges)
    trials = [
        (
            *(trial.trial, trial.state, trial.value, trial.proposer),
            *(trial.parameters[path] for path in searched),
            *(trial.alone.images_trained, trial.alone.seconds, trial.reason),
        )
        for trial in view.trials
    ]
    columns = ("trial", "state", "value", "proposer", *searched, "images_trained", "seconds", "reason")
    best = [(p.trials, p.value, p.paid.images_trained, p.paid.seconds) for p in view.best_so_far]
    importance = [(each.path, each.by_increment[-1]) for each in view.importance]
    drawn = plots(compare([read_search(folder)]))
    return Overview(
        config={
            **view.record.model_dump(
                mode="json", include={"method", "budget", "horizon", "trials", "ranges", "default"}
            ),
            "stream": view.record.stream.name,
            "seeds": view.record.seeds.model_dump(),
            **asdict(view.record.numerics),
        },
        summary=_search_summary(view, record),
        tables={
            "trials": (columns, trials),
            "best_so_far": (("trials", "best", "images_trained", "seconds"), best),
            **({"importance": (("parameter", "importance"), importance)} if importance else {}),
        },
        figures={plot.name: plotly_figure(plot) for plot in drawn if plot.name not in _OF_TEST_DATA},
        page=folder.page.read_text() if folder.page.exists() else "",
        bars={"importance": ("importance", "parameter", "importance")} if importance else {},
        lines={"best so far": ("best_so_far", "trials", "best")},
    )


def _search_summary(view: SearchView, summary: Summary) -> dict[str, Any]:
    """The numbers to sort searches by; what is not known is left out."""
    chosen = next((trial.parameters for trial in view.trials if trial.trial == view.best), {})
    found = {
        **{f"trials/{state}": number for state, number in summary.trials.items()},
        "best/trial": view.best,
        "best/value": view.value,
        **{f"best/{path}": value for path, value in chosen.items()},
        "default/value": view.default_value,
        "gain": view.gain,
        "never_training_again": view.frozen_value,
        "cautions": view.cautions or None,
        "images_trained": summary.images_trained,
        "seconds": summary.seconds,
    }
    race = view.finalists
    if race is not None and race.winner is not None:
        found |= {"verdict": finalists_text(race), "gain_within_noise": race.within_noise}
        found |= {} if race.gain is None else {"gain/low": race.gain.low, "gain/high": race.gain.high}
    elif view.gain is not None and view.best != 0:
        found["verdict"] = gain_verdict_text(view.gain, view.gain_error, summary.trials.get("finished", 0))
        if view.gain_error is not None:
            found |= {"gain_error": view.gain_error, "gain_within_noise": view.gain <= CLEAR * view.gain_error}
    return {name: value for name, value in found.items() if value is not None}


def _evaluation(folder: SearchFolder) -> Overview:
    evaluation = read_record(folder.evaluation.summary, EvaluationSummary)
    comparison = compare([read_search(folder)])
    by_role = {found.role: found.metrics for found in evaluation.configurations}
    by_role |= {"difference": evaluation.difference} if evaluation.difference else {}  # type: ignore[dict-item]
    metrics = [(role, metric, told) for role, found in by_role.items() for metric, told in found.items()]
    runs = [
        (found.role, run, *(told.values[i] for told in found.metrics.values()))
        for found in evaluation.configurations
        for i, run in enumerate(found.runs)
    ]
    scored = list(evaluation.configurations[0].metrics) if evaluation.configurations else []
    verdicts = [found.sentence for found in comparison.differences if found.second == "default"]
    fixed = {"class_orders", "train_seeds", "held_out", "test_fingerprint"}
    return Overview(
        config={**evaluation.model_dump(mode="json", include={*_CONFIG, "method", "stream", "budget", *fixed})},
        summary={
            **{f"{role}/{metric}": told.mean for role, metric, told in metrics},
            **{f"{role}/{metric}/{end}": value for role, metric, told in metrics for end, value in _interval(told)},
            "readings": evaluation.readings,
            "cautions": [caution.sentence for caution in evaluation.cautions],
            **({"verdict": " ".join(verdicts)} if verdicts else {}),
        },
        tables={
            "metrics": (("configuration", "metric", *_STATISTIC), [(r, m, *_numbers(told)) for r, m, told in metrics]),
            "runs": (("configuration", "run", *scored), runs),
        },
        figures={plot.name: plotly_figure(plot) for plot in plots(comparison) if plot.name in _OF_TEST_DATA},
    )


def _numbers(told: Statistic) -> tuple[float | None, ...]:
    return told.mean, told.std, told.low, told.high


def _interval(told: Statistic) -> Iterator[tuple[str, float]]:
    if told.low is not None and told.high is not None:
        yield from (("low", told.low), ("high", told.high))


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
