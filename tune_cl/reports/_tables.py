"""The tables of a comparison, the same on the console, on the page and in W&B."""

from collections.abc import Iterator
from dataclasses import dataclass

from tune_cl.metrics import on_test_data, scored_metrics
from tune_cl.outcome import accuracies_never_trained_again
from tune_cl.records import EvaluatedConfiguration, EvaluationSummary, Statistic
from tune_cl.reports._differences import chosen
from tune_cl.reports._models import ComparedSearch, Comparison, Cost, ExpectedBest, ParameterRow, TrialData
from tune_cl.text import count_text, duration_text, gain_text, setting_text, value_text

NONE = "-"
FROZEN = "frozen"
_FROZEN = "Frozen: the best trial's base task, never trained again."
_REPLAY_METRICS = (
    ("val/replay_student", "student"),
    ("replay_spread", "spread"),
    ("replay_accuracy", "recognised"),
    ("generator/edge_pixels", "edge pixels"),
    ("generator/score_gap", "score gap"),
)


def _columns() -> dict[str, str]:
    """The metrics of a comparison's tables: name without prefix -> head of the column."""
    return {metric.name: metric.short for metric in scored_metrics() if metric.short}


@dataclass(frozen=True)
class DataTable:
    """A table of text; its first column names the row, and numbers are for reading, not for computing."""

    name: str  # for anchors and keys
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    words: int = 1  # columns at the left that hold words and not numbers
    dim: frozenset[int] = frozenset()  # rows of lesser interest


def tables(comparison: Comparison) -> Iterator[DataTable]:
    """All tables, in the order in which a person reads them."""
    yield ranking(comparison)
    yield per_increment(comparison)
    yield averages(comparison)
    if (replayed := replay(comparison)).rows:
        yield replayed
    yield cost(comparison)
    if any(entry.search.evaluation is not None for entry in comparison.searches):
        yield test_results(comparison)
    yield configurations(comparison)
    yield expected(comparison)


def ranking(comparison: Comparison) -> DataTable:
    """Best, default and gain of each search, in the order given."""
    rows = [
        (
            entry.label,
            NONE if entry.best is None else f"{entry.best:04d}",
            value_text(entry.value),
            value_text(entry.default_value),
            NONE if entry.gain is None else gain_text(entry.gain),
            *(str(entry.search.count(state)) for state in ("finished", "stopped", "failed")),
        )
        for entry in comparison.searches
    ]
    return DataTable(
        "best",
        f"Best of each search, by {comparison.objective}",
        ("search", "best trial", "value", "default", "gain", "finished", "stopped", "failed"),
        tuple(rows),
        "Validation data, one run each. Every gain is optimistic by selection: the best is the best of many on these "
        "very images.",
    )


def per_increment(comparison: Comparison) -> DataTable:
    """Accuracy over the classes seen, after each increment."""
    accuracy = comparison.metric("accuracy")
    rows: list[tuple[str, ...]] = []
    dim: set[int] = set()
    for entry, role, trial in _choices(comparison):
        values = [
            trial.by_increment[t].get(accuracy) if t < len(trial.by_increment) else None for t in _range(comparison)
        ]
        if role == "default":
            dim.add(len(rows))
        rows.append((entry.label, role, *map(value_text, values)))
        if trial is entry.search.best and (untrained := _frozen_curve(entry)):
            dim.add(len(rows))
            rows.append((entry.label, FROZEN, *map(value_text, untrained)))
    return DataTable(
        "increments",
        f"{accuracy} after each increment",
        ("search", "configuration", *(str(t) for t in _range(comparison))),
        tuple(rows),
        f"Accuracy over all classes seen so far, increment 0 is the base task. {_FROZEN}",
        words=2,
        dim=frozenset(dim),
    )


def averages(comparison: Comparison) -> DataTable:
    """Both averages, forgetting, and the balance of old and new classes, at the horizon."""
    columns = {name: head for name, head in _columns().items() if name != "accuracy"}
    rows: list[tuple[str, ...]] = []
    dim: set[int] = set()
    for entry, role, trial in _choices(comparison):
        if role == "default":
            dim.add(len(rows))
        values = (trial.metric(comparison.metric(name)) for name in columns)
        rows.append((entry.label, role, *map(value_text, values)))
        if trial is entry.search.best and entry.never_trained_again is not None:
            dim.add(len(rows))
            untrained = (getattr(entry.never_trained_again, name, None) for name in columns)
            rows.append((entry.label, FROZEN, *map(value_text, untrained)))
    return DataTable(
        "averages",
        f"Averages and forgetting after increment {comparison.horizon}",
        ("search", "configuration", *columns.values()),
        tuple(rows),
        f"Validation data. Less forgetting is better; of everything else more is. {_FROZEN}",
        words=2,
        dim=frozenset(dim),
    )


def replay(comparison: Comparison) -> DataTable:
    """What was replayed at each increment, of the methods that replay images: for it can fool whoever trains on it."""
    rows: list[tuple[str, ...]] = []
    dim: set[int] = set()
    for entry, role, trial in _choices(comparison):
        for name, words in _REPLAY_METRICS:
            values = [
                trial.by_increment[t].get(name) if t < len(trial.by_increment) else None for t in _range(comparison)
            ]
            if any(value is not None for value in values):
                if role == "default":
                    dim.add(len(rows))
                rows.append((entry.label, role, words, *map(value_text, values)))
    return DataTable(
        "replay",
        "Replay at each increment",
        ("search", "configuration", "measure", *(str(t) for t in _range(comparison))),
        tuple(rows),
        "Student: accuracy on real validation images of the old classes of a small network that was trained on replay "
        "alone, always by the same recipe. Spread: of the old classifier's features within a class, over that of real "
        "images. Recognised: by the old classifier, which replay may have been trained for. Edge pixels and score gap "
        "are those of the generator that the increment trained: generated pixels at either end of the valid range, and "
        "the discriminator's mean score of real images less that of generated ones.",
        words=3,
        dim=frozenset(dim),
    )


def cost(comparison: Comparison) -> DataTable:
    """What the winner costs as if trained alone, and what the search cost."""
    rows = []
    for entry in comparison.searches:
        best = entry.search.best
        alone = (NONE, NONE) if best is None else _cost(best.alone)
        rows.append((entry.label, *alone, *_cost(entry.search.paid), *_cost(entry.search.alone)))
    return DataTable(
        "cost",
        "Cost",
        ("search", "best alone: images", "time", "paid: images", "time paid", "all alone: images", "time of all"),
        tuple(rows),
        "As if alone: every stage trained anew, which is what to compare methods by. Paid: the stages that the search "
        "trained itself. Times are wall times of training, and depend on the machine and on what else it did.",
    )


def test_results(comparison: Comparison) -> DataTable:
    """What evaluations read on test data."""
    prefix, columns = on_test_data(comparison.metric("")), _columns()
    rows: list[tuple[str, ...]] = []
    dim: set[int] = set()
    for entry in comparison.searches:
        evaluation = entry.search.evaluation
        if evaluation is None:
            rows.append((entry.label, "not evaluated", NONE, *(NONE for _ in columns)))
            continue
        for found in evaluation.configurations:
            if found.role == "default":
                dim.add(len(rows))
            role = f"{found.role} ({found.trial:04d})"
            values = (found.metrics.get(prefix + name) for name in columns)
            rows.append((entry.label, role, _runs(evaluation, found), *map(spread_text, values)))
            if found.role == "chosen" and found.never_trained_again:
                dim.add(len(rows))
                untrained = (found.never_trained_again.get(prefix + name) for name in columns)
                rows.append((entry.label, FROZEN, _runs(evaluation, found), *map(spread_text, untrained)))
    return DataTable(
        "test",
        "Test data, after the last increment",
        ("search", "configuration", "orders x seeds", *columns.values()),
        tuple(rows),
        "Retrained on training and validation images; mean ± standard deviation, [95 % interval of the mean, over "
        "class orders, or over seeds where there is one order]. Frozen: the chosen configuration's base tasks, never "
        "trained again.",
        words=2,
        dim=frozenset(dim),
    )


def significance(comparison: Comparison) -> DataTable:
    """Each difference with an interval, and whether it holds zero."""
    rows = [
        (
            found.first,
            found.second,
            NONE if found.mean is None else f"{gain_text(found.mean)} [{found.low:+.4f}, {found.high:+.4f}]",
            found.basis,
            found.over,
            "a difference" if found.verdict == "real" else found.verdict,
        )
        for found in comparison.differences
        if found.low is not None and found.high is not None
    ]
    return DataTable(
        "significance",
        f"Differences in {on_test_data(comparison.objective)}",
        ("first", "second", "first minus second", "compared", "interval over", "verdict"),
        tuple(rows),
        "95 % intervals by Student's t (paired) or Welch's; within noise: the interval holds zero. "
        "Each is an interval by itself: of several, one misses by chance more often than a single one would.",
        words=2,
    )


def per_class(comparison: Comparison) -> DataTable:
    """Accuracy on each class after the last increment: on test data where there is an evaluation, else validation."""
    by_search = [_by_class(entry) for entry in comparison.searches]
    of_any = {name: None for _, found in by_search for name in found}
    named = sorted(of_any, key=lambda name: min((found[name] for _, found in by_search if name in found), default=0.0))
    return DataTable(
        "per-class",
        "Accuracy on each class after the last increment",
        ("class", *(f"{entry.label}, {data}" for entry, (data, _) in zip(comparison.searches, by_search, strict=True))),
        tuple((name, *(value_text(found.get(name)) for _, found in by_search)) for name in named),
        "The class that any search recognises worst comes first. Validation: one run of the best trial. Test: the mean "
        "over the runs of what was chosen.",
    )


def _by_class(entry: ComparedSearch) -> tuple[str, dict[str, float]]:
    evaluation, best = entry.search.evaluation, entry.search.best
    tested = None if evaluation is None else chosen(evaluation)
    if tested is not None and tested.class_accuracy:
        return "test", tested.class_accuracy
    found = best.class_accuracy if best is not None else {}
    return "validation", {name: accuracy for name, accuracy in found.items() if accuracy is not None}


def configurations(comparison: Comparison) -> DataTable:
    """The best configurations side by side: what was searched, then what differs besides."""
    labels = [entry.label for entry in comparison.searches]
    rows = [(row.path, *(_setting(row, label) for label in labels)) for row in comparison.parameters]
    not_searched = frozenset(i for i, row in enumerate(comparison.parameters) if not row.searched)
    return DataTable(
        "configurations",
        "Best configurations",
        ("parameter", *labels),
        tuple(rows),
        "A value that differs from the search's default has the default behind it; * was searched. Parameters that "
        "nobody searched are listed where the searches differ in them.",
        dim=not_searched,
    )


def expected(comparison: Comparison) -> DataTable:
    """The expected best after 1, 2, 4, … trials."""
    most = max((len(entry.expected_best) for entry in comparison.searches), default=0)
    numbers = sorted({1, most} | {2**i for i in range(1, max(most, 1).bit_length()) if 2**i <= most}) if most else []
    rows = [
        (
            entry.label,
            *(_expected(entry.expected_best[n - 1]) if n <= len(entry.expected_best) else NONE for n in numbers),
        )
        for entry in comparison.searches
    ]
    return DataTable(
        "expected",
        "Expected best after n trials",
        ("search", *(f"n = {n}" for n in numbers)),
        tuple(rows),
        "The default and n - 1 trials drawn with replacement from this search's others, [95 % bootstrap interval]. "
        "Stopped and failed trials count as drawn and cannot be the best. It describes these trials and promises "
        "nothing: a sampler that learns does not draw independently.",
    )


def trials_of(entry: ComparedSearch) -> DataTable:
    """Every trial of a search, with what differs between them."""
    search = entry.search
    rows = []
    for trial in search.trials:
        last = str(len(trial.by_increment) - 1) if trial.by_increment else NONE
        settings = (
            setting_text(trial.parameters[path]) if path in trial.parameters else NONE for path in search.searched
        )
        costs = (*_cost(trial.alone), *_cost(trial.paid))
        rows.append((f"{trial.trial:04d}", trial.state, last, value_text(trial.value), *costs, *settings))
    costs = ("alone: images", "alone: time", "paid: images", "paid: time")
    return DataTable(
        "trials",
        f"Trials of {entry.label}",
        ("trial", "state", "increment", "value there", *costs, *search.searched),
        tuple(rows),
        "A value belongs to the increment beside it; those of different increments are not comparable.",
        words=2,
    )


def spread_text(statistic: Statistic | None) -> str:
    """'0.7312 ± 0.0104 [0.7211, 0.7413]'."""
    if statistic is None:
        return NONE
    std = "" if statistic.std is None else f" ± {statistic.std:.4f}"
    return f"{statistic.mean:.4f}{std}{_interval(statistic.low, statistic.high)}"


def doubts(comparison: Comparison) -> DataTable:
    """Why to doubt each search's choice, on validation and on test data."""
    rows = []
    for entry in comparison.searches:
        on_validation = [caution.sentence for caution in entry.cautions]
        tested = entry.search.evaluation
        on_test = [c.sentence for c in tested.cautions] if tested is not None else []
        rows += [(entry.label, "validation", sentence) for sentence in on_validation]
        rows += [(entry.label, "test", sentence) for sentence in on_test]
    return DataTable("cautions", "Cautions", ("search", "data", "caution"), tuple(rows), words=3)


def _frozen_curve(entry: ComparedSearch) -> list[float]:
    """Accuracy after each increment of the best trial's base task, never trained again; empty where it is unknown."""
    best = entry.search.best
    if best is None or entry.never_trained_again is None:
        return []
    base = entry.search.achieved(best).after(0, "accuracy")
    return [] if base is None else accuracies_never_trained_again(base, best.images_scored)


def _choices(comparison: Comparison) -> Iterator[tuple[ComparedSearch, str, TrialData]]:
    """Best and default of each search; once, where they are the same trial."""
    for entry in comparison.searches:
        best, default = entry.search.best, entry.search.default
        if best is not None:
            yield entry, "best = default" if best is default else "best", best
        if default is not None and default is not best:
            yield entry, "default", default


def _range(comparison: Comparison) -> range:
    return range(comparison.horizon + 1)


def _cost(cost: Cost) -> tuple[str, str]:
    return count_text(cost.images_trained), duration_text(cost.seconds)


def _runs(evaluation: EvaluationSummary, found: EvaluatedConfiguration) -> str:
    asked = f"{len(evaluation.class_orders)} x {len(evaluation.train_seeds)}"
    whole = len(evaluation.class_orders) * len(evaluation.train_seeds)
    return asked if len(found.runs) == whole else f"{asked} ({len(found.runs)} done)"


def _setting(row: ParameterRow, label: str) -> str:
    if label not in row.best:
        return NONE
    star = "*" if label in row.searched else ""
    best, default = row.best[label], row.default.get(label, row.best[label])
    was = f" ({setting_text(default)})" if best != default else ""
    return f"{setting_text(best)}{star}{was}"


def _expected(found: ExpectedBest) -> str:
    return f"{value_text(found.value)}{_interval(found.low, found.high)}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
