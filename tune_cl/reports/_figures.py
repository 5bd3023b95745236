"""The plots of a comparison, as data: what the page draws as SVG and W&B shows with Plotly."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tune_cl.metrics import on_test_data
from tune_cl.records import EvaluatedConfiguration, Statistic
from tune_cl.reports._models import BudgetPoint, ComparedSearch, Comparison, Difference
from tune_cl.text import value_text

# Apart from each other in hue and in lightness, on white and on near-black; marks and dashes tell them apart as well.
COLOURS = ("#3b7dd8", "#e07b1a", "#2a9d62", "#c8457b", "#8b6fd6", "#a8862a", "#1f9aa8", "#d9534a", "#7a8794", "#6b9a1f")
SHAPES = ("circle", "square", "diamond")


@dataclass(frozen=True)
class Series:
    """What one search has in a plot.

    Attributes:
        points: (x, y), joined by a line if `line` says so.
        line: 'solid', 'dotted', 'step' (as a staircase), 'dotted step', or empty for marks alone.
        shape: of the marks, one of `SHAPES`; empty for none.
        hollow: marks without a filling.
        band: (x, low, high), drawn as an area; of a plot of rows, as an error bar in the row x.
        tips: what is said of each point.
    """

    label: str
    colour: str
    points: tuple[tuple[float | str, float | str], ...]
    line: str = ""
    shape: str = ""
    hollow: bool = False
    faint: bool = False
    band: tuple[tuple[float | str, float, float], ...] = ()
    tips: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plot:
    """A figure with what stands around it.

    Attributes:
        name: of its element, and in W&B.
        kind: 'lines'; 'bars', over categories; 'rows', a row of values for each category, from top to bottom.
        ticks: where the x axis has its ticks, if they are whole numbers; () for any.
        zero: mark zero, of differences.
    """

    name: str
    title: str
    caption: str
    x: str
    y: str
    series: tuple[Series, ...]
    kind: str = "lines"
    categories: tuple[str, ...] = ()
    ticks: tuple[int, ...] = ()
    zero: bool = False
    wide: bool = False
    height: int = 320  # pixels
    keys: tuple[tuple[str, str, str], ...] = field(default=())  # (label, colour, shape) of the legend


def plots(comparison: Comparison) -> Iterator[Plot]:
    """All plots that there are data for, in the order in which a person reads them."""
    if any(_has_interval(difference) for difference in comparison.differences):
        yield _differences(comparison)
    test = _test(comparison)
    if test.series:
        yield test
    along = _test_curves(comparison)
    if along.series:
        yield along
    if any(entry.best is not None for entry in comparison.searches):
        yield _per_increment(comparison)
        yield _per_classes(comparison)
        yield _over_budget(comparison, "images", "images trained, paid", lambda point: point.paid.images_trained)
        yield _over_budget(comparison, "seconds", "training time paid (minutes)", lambda point: point.paid.seconds / 60)
        yield _expected(comparison)


def colour(comparison: Comparison, label: str) -> str:
    """A search's colour in every plot."""
    return COLOURS[_place(comparison, label) % len(COLOURS)]


def _per_increment(comparison: Comparison) -> Plot:
    metric = comparison.metric("accuracy")
    series = []
    for entry in comparison.searches:
        best, default = entry.search.best, entry.search.default
        for trial, line in ((best, "solid"), (None if default is best else default, "dotted")):
            if trial is None:
                continue
            points = [(t, v) for t, row in enumerate(trial.by_increment) if (v := row.get(metric)) is not None]
            role = "best" if trial is best else "default"
            series.append(_of(comparison, entry, points, line, role, hollow=trial is not best))
    return Plot(
        "increments",
        "Accuracy after each increment",
        "Validation data, over all classes seen so far. Solid: the best trial; dotted: the default.",
        "increment",
        "accuracy",
        tuple(series),
        ticks=tuple(range(comparison.horizon + 1)),
        keys=_keys(comparison),
    )


def _per_classes(comparison: Comparison) -> Plot:
    groups = ("base", *map(str, range(1, comparison.horizon + 1)))
    series = []
    for entry in comparison.searches:
        best = entry.search.best
        if best is not None and best.accuracy_matrix:
            points = list(zip(groups, best.accuracy_matrix[-1], strict=False))
            series.append(_of(comparison, entry, points, "", "on these classes", shape=""))
    caption = (
        "The best trial after the last increment: what it has kept of each increment's classes, and what it learned."
    )
    return Plot(
        "classes",
        "What is left of each increment's classes",
        caption,
        "classes of increment",
        f"accuracy after increment {comparison.horizon}",
        tuple(series),
        kind="bars",
        categories=groups,
        keys=_keys(comparison),
    )


def _over_budget(comparison: Comparison, name: str, axis: str, spent: Callable[[BudgetPoint], float]) -> Plot:
    series = []
    for entry in comparison.searches:
        points = [point for point in entry.best_so_far if point.value is not None]
        if points:
            found = [(spent(point), point.value) for point in points if point.value is not None]
            tips = tuple(f"{entry.label}: {value_text(p.value)} after {p.trials} trials" for p in points)
            series.append(_of(comparison, entry, found, "step", tips=tips))
    caption = "The best finished trial so far, in order of the trials' numbers; a mark for each trial that ended."
    title = "Best value over images paid" if name == "images" else "Best value over time paid"
    y = _words(comparison.objective)
    return Plot(f"paid-{name}", title, caption, axis, y, tuple(series), keys=_keys(comparison))


def _expected(comparison: Comparison) -> Plot:
    series = []
    for entry in comparison.searches:
        found = [(p.trials, p.value) for p in entry.expected_best if p.value is not None]
        band = tuple((p.trials, p.low, p.high) for p in entry.expected_best if p.low is not None and p.high is not None)
        series.append(_of(comparison, entry, found, "solid", "expected", band=band))
        went = [(p.trials, p.value) for p in entry.best_so_far if p.value is not None]
        series.append(_of(comparison, entry, went, "dotted step", "as it went", shape=""))
    caption = (
        "The default and n − 1 draws with replacement from the search's other trials, with 95 % bootstrap bands; "
        "dotted: the search as it went. A stopped or failed trial counts as drawn and cannot be the best."
    )
    return Plot(
        "expected",
        "Expected best after n trials",
        caption,
        "trials",
        _words(comparison.objective),
        tuple(each for each in series if each.points),
        wide=True,
        keys=_keys(comparison),
    )


def _test(comparison: Comparison) -> Plot:
    metric = on_test_data(comparison.objective)
    series, rows = [], []
    for entry, found in _evaluated(comparison):
        told = found.metrics.get(metric)
        if told is None:
            continue
        row = f"{entry.label}, {found.role}"
        rows.append(row)
        runs = [(value, row) for value in told.values]
        series.append(_of(comparison, entry, runs, "", "a run", shape="circle", faint=True))
        band = _band(row, told)
        mean = [(told.mean, row)]
        hollow = found.role == "default"
        series.append(_of(comparison, entry, mean, "", "mean", shape="diamond", hollow=hollow, band=band))
    return Plot(
        "test",
        "Test data",
        "Diamonds: means with 95 % intervals; dots: every run. Open: the method's default.",
        _words(metric),
        "",
        tuple(series),
        kind="rows",
        categories=tuple(rows),
        wide=True,
        height=70 + 38 * len(rows),
    )


def _test_curves(comparison: Comparison) -> Plot:
    """Test accuracy along the stream, with the intervals of its means."""
    metric = on_test_data(comparison.metric("accuracy"))
    series = []
    for entry, found in _evaluated(comparison):
        told = [(t, row[metric]) for t, row in enumerate(found.by_increment) if metric in row]
        band = tuple((t, s.low, s.high) for t, s in told if s.low is not None and s.high is not None)
        points = [(t, s.mean) for t, s in told]
        chosen = found.role == "chosen"
        line = "solid" if chosen else "dotted"
        if points:
            series.append(
                _of(comparison, entry, points, line, found.role, hollow=not chosen, band=band if chosen else ())
            )
    return Plot(
        "test-increments",
        "Test accuracy after each increment",
        "Means over class orders and seeds, with 95 % intervals of the chosen configuration's. Dotted: the default.",
        "increment",
        "accuracy on test data",
        tuple(series),
        ticks=tuple(range(comparison.horizon + 1)),
        keys=_keys(comparison),
        wide=True,
    )


def _differences(comparison: Comparison) -> Plot:
    shown = [difference for difference in comparison.differences if _has_interval(difference)]
    series = []
    for difference in shown:
        if difference.mean is not None and difference.low is not None and difference.high is not None:
            row = _versus(difference)
            series.append(
                Series(
                    row,
                    colour(comparison, difference.first),
                    ((difference.mean, row),),
                    shape="diamond",
                    hollow=difference.verdict != "real",
                    band=((row, difference.low, difference.high),),
                    tips=(difference.sentence,),
                )
            )
    caption = (
        f"First minus second in {_words(shown[0].metric)}, with 95 % intervals. Open: the interval holds zero, so the "
        "difference is within noise."
    )
    return Plot(
        "differences",
        "Differences on test data",
        caption,
        "difference",
        "",
        tuple(series),
        kind="rows",
        categories=tuple(each.label for each in series),
        zero=True,
        wide=True,
        height=70 + 38 * len(series),
    )


def _evaluated(comparison: Comparison) -> Iterator[tuple[ComparedSearch, EvaluatedConfiguration]]:
    """What was evaluated of each search: the choice first."""
    for entry in comparison.searches:
        if entry.search.evaluation is not None:
            for found in sorted(entry.search.evaluation.configurations, key=lambda c: c.role):
                yield entry, found


def _band(row: str, told: Statistic) -> tuple[tuple[str, float, float], ...]:
    return () if told.low is None or told.high is None else ((row, told.low, told.high),)


def _of(
    comparison: Comparison,
    entry: ComparedSearch,
    points: Sequence[tuple[float | str, float | str]],
    line: str,
    what: str = "",
    *,
    shape: str | None = None,
    hollow: bool = False,
    faint: bool = False,
    band: tuple[tuple[float | str, float, float], ...] = (),
    tips: tuple[str, ...] = (),
) -> Series:
    """A search's series, in its colour and with its marks."""
    label = f"{entry.label}, {what}" if what else entry.label
    own = SHAPES[_place(comparison, entry.label) % len(SHAPES)] if shape is None else shape
    told = tips or tuple(f"{label}: {_number(x)}, {_number(y)}" for x, y in points)
    return Series(label, colour(comparison, entry.label), tuple(points), line, own, hollow, faint, band, told)


def _number(value: float | str) -> str:
    return value_text(value) if isinstance(value, float) else str(value)


def _keys(comparison: Comparison) -> tuple[tuple[str, str, str], ...]:
    labels = [entry.label for entry in comparison.searches]
    return tuple((label, colour(comparison, label), SHAPES[i % len(SHAPES)]) for i, label in enumerate(labels))


def _versus(difference: Difference) -> str:
    if difference.second == "default":
        return f"{difference.first}: chosen − default"
    return f"{difference.first} − {difference.second}"


def _has_interval(difference: Difference) -> bool:
    return difference.low is not None and difference.high is not None


def _place(comparison: Comparison, label: str) -> int:
    return [entry.label for entry in comparison.searches].index(label)


def _words(metric: str) -> str:
    """'val/average_incremental_accuracy' -> 'average incremental accuracy'."""
    _, _, name = metric.partition("/")
    return name.replace("nme/", "nearest mean ").replace("_", " ") or metric
