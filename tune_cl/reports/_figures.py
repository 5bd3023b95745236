"""The plots of a comparison."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from tune_cl.metrics import on_test_data
from tune_cl.reports._models import BudgetPoint, ComparedSearch, Comparison, Difference

# Apart from each other in hue and in lightness, on white and on near-black; marks and dashes tell them apart as well.
COLOURS = ("#3b7dd8", "#e07b1a", "#2a9d62", "#c8457b", "#8b6fd6", "#a8862a", "#1f9aa8", "#d9534a", "#7a8794", "#6b9a1f")
_EVERY_TICK = 20  # trials up to which each has a tick of its own
_MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "x", "hexagon", "pentagon")


@dataclass(frozen=True)
class Plot:
    """A figure with what stands around it."""

    name: str  # of its element, and in W&B
    title: str
    caption: str
    figure: Any  # plotly.graph_objects.Figure
    wide: bool = False
    height: int = 380  # pixels


def plots(comparison: Comparison) -> Iterator[Plot]:
    """All plots that there are data for, in the order in which a person reads them."""
    with_best = [entry for entry in comparison.searches if entry.best is not None]
    if any(_has_interval(difference) for difference in comparison.differences):
        yield _differences(comparison)
    test = _test(comparison)
    if test.figure.data:
        yield test
    if with_best:
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
    figure = _figure("increment", _words(metric))
    for entry in comparison.searches:
        best, default = entry.search.best, entry.search.default
        for trial, dash in ((best, "solid"), (None if default is best else default, "dot")):
            if trial is None:
                continue
            figure.add_scatter(
                x=list(range(len(trial.by_increment))),
                y=[metrics.get(metric) for metrics in trial.by_increment],
                name=_text(entry.label + ("" if trial is best else ", default")),
                mode="lines+markers",
                line={"dash": dash, "width": 2.5 if trial is best else 1.5},
                **_look(comparison, entry, open_mark=trial is not best),
            )
    figure.update_xaxes(dtick=1)
    caption = "Over all classes seen so far. Solid: the best trial; dotted: the default."
    return Plot("increments", "Accuracy after each increment", caption, figure)


def _per_classes(comparison: Comparison) -> Plot:
    figure = _figure("classes of", f"accuracy after increment {comparison.horizon}")
    for entry in comparison.searches:
        best = entry.search.best
        if best is None or not best.accuracy_matrix:
            continue
        row = best.accuracy_matrix[-1]
        figure.add_bar(
            x=["base task", *(f"increment {i}" for i in range(1, len(row)))],
            y=row,
            name=_text(entry.label),
            marker={"color": colour(comparison, entry.label)},
        )
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.06)
    caption = (
        "The best trial after the last increment: what it has kept of each increment's classes, and what it learned."
    )
    return Plot("classes", "What is left of each increment's classes", caption, figure)


def _over_budget(comparison: Comparison, name: str, axis: str, spent: Callable[[BudgetPoint], float]) -> Plot:
    figure = _figure(axis, _words(comparison.objective))
    for entry in comparison.searches:
        points = [point for point in entry.best_so_far if point.value is not None]
        if points:
            figure.add_scatter(
                x=[spent(point) for point in points],
                y=[point.value for point in points],
                customdata=[point.trials for point in points],
                hovertemplate="%{y:.4f} after %{customdata} trials",
                name=_text(entry.label),
                mode="lines+markers",
                line={"shape": "hv", "width": 2.5},
                **_look(comparison, entry),
            )
    caption = "The best finished trial so far, in order of the trials' numbers; a mark for each trial that ended."
    title = "Best value over images paid" if name == "images" else "Best value over time paid"
    return Plot(f"paid-{name}", title, caption, figure)


def _expected(comparison: Comparison) -> Plot:
    figure = _figure("trials", _words(comparison.objective))
    for entry in comparison.searches:
        found = [point for point in entry.expected_best if point.value is not None]
        banded = [point for point in found if point.low is not None]
        look = _look(comparison, entry)
        if banded:
            figure.add_scatter(
                x=[p.trials for p in banded] + [p.trials for p in reversed(banded)],
                y=[p.high for p in banded] + [p.low for p in reversed(banded)],
                fill="toself",
                fillcolor=look["marker"]["color"],
                opacity=0.16,
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
                legendgroup=look["legendgroup"],
            )
        line = {"width": 2.5}
        xs, ys = [p.trials for p in found], [p.value for p in found]
        figure.add_scatter(x=xs, y=ys, name=_text(entry.label), mode="lines+markers", line=line, **look)
        went = [point for point in entry.best_so_far if point.value is not None]
        figure.add_scatter(
            x=[point.trials for point in went],
            y=[point.value for point in went],
            name=_text(f"{entry.label}, as it went"),
            mode="lines",
            line={"dash": "dot", "shape": "hv", "width": 1.5, "color": look["marker"]["color"]},
            legendgroup=look["legendgroup"],
            showlegend=False,
        )
    most = max(len(entry.expected_best) for entry in comparison.searches)
    figure.update_xaxes(dtick=1 if most <= _EVERY_TICK else None, tickformat="d")
    caption = (
        "The default and n − 1 draws with replacement from the search's other trials, with 95 % bootstrap bands; "
        "dotted: the search as it went. A stopped or failed trial counts as drawn and cannot be the best."
    )
    return Plot("expected", "Expected best after n trials", caption, figure, wide=True)


def _test(comparison: Comparison) -> Plot:
    metric = on_test_data(comparison.objective)
    figure = _figure(_words(metric), "")
    rows = []
    for entry in reversed(comparison.searches):
        if entry.search.evaluation is None:
            continue
        for found in sorted(entry.search.evaluation.configurations, key=lambda c: c.role, reverse=True):
            told = found.metrics.get(metric)
            if told is None:
                continue
            row = _text(f"{entry.label}, {found.role}")
            rows.append(row)
            ink = colour(comparison, entry.label)
            dots = {"color": ink, "size": 7, "opacity": 0.45}
            figure.add_scatter(x=told.values, y=[row] * len(told.values), mode="markers", marker=dots, name="a run")
            mark = {"color": ink, "size": 13, "symbol": "diamond" if found.role == "chosen" else "diamond-open"}
            bars = _bars(told.mean, told.low, told.high, ink)
            figure.add_scatter(x=[told.mean], y=[row], mode="markers", marker=mark, error_x=bars, name="mean")
    figure.update_layout(showlegend=False, hovermode="closest")
    figure.update_yaxes(categoryorder="array", categoryarray=rows, range=[-0.6, len(rows) - 0.4])
    caption = "Diamonds: means with 95 % intervals; dots: every run. Open: the method's default."
    return Plot("test", "Test data", caption, figure, wide=True, height=110 + 44 * len(rows))


def _differences(comparison: Comparison) -> Plot:
    shown = [difference for difference in reversed(comparison.differences) if _has_interval(difference)]
    figure = _figure("difference", "")
    for difference in shown:
        real = difference.verdict == "real"
        ink = colour(comparison, difference.first)
        name = _text(_versus(difference))
        mark = {"color": ink, "size": 13, "symbol": "diamond" if real else "diamond-open"}
        figure.add_scatter(
            x=[difference.mean],
            y=[name],
            mode="markers",
            marker=mark,
            error_x=_bars(difference.mean, difference.low, difference.high, ink),
            name=difference.verdict,
        )
    figure.add_vline(x=0, line_width=1.5, line_dash="dash", line_color="#888888")
    figure.update_layout(showlegend=False, hovermode="closest")
    figure.update_xaxes(tickformat="+.3~f")
    figure.update_yaxes(range=[-0.6, len(shown) - 0.4])
    caption = (
        f"First minus second in {_words(shown[0].metric)}, with 95 % intervals. Open: the interval holds zero, so the "
        "difference is within noise."
    )
    return Plot("differences", "Differences on test data", caption, figure, wide=True, height=110 + 44 * len(shown))


def _versus(difference: Difference) -> str:
    if difference.second == "default":
        return f"{difference.first}: chosen − default"
    return f"{difference.first} − {difference.second}"


def _has_interval(difference: Difference) -> bool:
    return difference.low is not None and difference.high is not None


def _bars(mean: float | None, low: float | None, high: float | None, ink: str) -> dict[str, Any] | None:
    """The interval as error bars; none where there is no interval."""
    if mean is None or low is None or high is None:
        return None
    ends = {"array": [high - mean], "arrayminus": [mean - low]}
    return {"type": "data", "symmetric": False, **ends, "color": ink, "thickness": 2.5, "width": 7}


def _look(comparison: Comparison, entry: ComparedSearch, open_mark: bool = False) -> dict[str, Any]:
    place = _place(comparison, entry.label)
    symbol = _MARKS[place % len(_MARKS)] + ("-open" if open_mark else "")
    return {
        "marker": {"color": colour(comparison, entry.label), "symbol": symbol, "size": 8},
        "legendgroup": _text(entry.label),
    }


def _place(comparison: Comparison, label: str) -> int:
    return [entry.label for entry in comparison.searches].index(label)


def _words(metric: str) -> str:
    """'val/average_incremental_accuracy' -> 'average incremental accuracy'."""
    _, _, name = metric.partition("/")
    return name.replace("nme/", "nearest mean ").replace("_", " ")


def _text(name: str) -> str:
    """A name as Plotly shows it: it would read '<b>' as bold and '<a>' as a link."""
    return escape(name)


def _title(words: str) -> dict[str, Any]:
    return {"text": _text(words), "font": {"size": 13}, "standoff": 10}


def _figure(x: str, y: str) -> Any:
    # Imported here, since it takes a second that only plots are worth.
    from plotly import graph_objects

    figure = graph_objects.Figure()
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 56, "r": 16, "t": 12, "b": 44},
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": _title(x), "automargin": True, "zeroline": False},
        yaxis={"title": _title(y), "automargin": True, "zeroline": False},
    )
    return figure
