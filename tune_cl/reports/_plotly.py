"""A plot as a Plotly figure, as W&B shows it."""

from html import escape
from typing import Any

from tune_cl.reports._figures import Plot, Series

_DASHES = {"dotted": "dot", "dotted step": "dot"}


def plotly_figure(plot: Plot) -> Any:
    """A `plotly.graph_objects.Figure`. Names are escaped: Plotly would read '<b>' as bold and '<a>' as a link."""
    # Imported here, since it takes a second that only W&B is worth.
    from plotly import graph_objects

    figure = graph_objects.Figure()
    figure.update_layout(template="none", title=escape(plot.title), barmode="group")
    figure.update_xaxes(title=escape(plot.x), zeroline=plot.zero)
    figure.update_yaxes(title=escape(plot.y), zeroline=False)
    for series in plot.series:
        xs, ys = ([_text(point[axis]) for point in series.points] for axis in (0, 1))
        if plot.kind == "bars":
            figure.add_bar(x=xs, y=ys, name=escape(series.label), marker_color=series.colour)
            continue
        if series.band and plot.kind == "lines":
            figure.add_scatter(**_area(series))
        bars = _error_bars(series) if plot.kind == "rows" else None
        line = {
            "color": series.colour,
            "dash": _DASHES.get(series.line),
            "shape": "hv" if "step" in series.line else None,
        }
        modes = [mode for mode, there in (("lines", series.line), ("markers", series.shape)) if there]
        symbol = f"{series.shape or 'circle'}{'-open' if series.hollow else ''}"
        mark = {"color": series.colour, "symbol": symbol, "opacity": 0.45 if series.faint else 1}
        name = escape(series.label)
        figure.add_scatter(x=xs, y=ys, name=name, mode="+".join(modes), line=line, marker=mark, error_x=bars)
    return figure


def _text(value: float | str) -> float | str:
    return escape(value) if isinstance(value, str) else value


def _area(series: Series) -> dict[str, Any]:
    there = [(x, high) for x, _, high in series.band] + [(x, low) for x, low, _ in reversed(series.band)]
    look = {"fill": "toself", "fillcolor": series.colour, "opacity": 0.16, "line": {"width": 0}, "mode": "lines"}
    return {"x": [x for x, _ in there], "y": [y for _, y in there], "showlegend": False, "hoverinfo": "skip", **look}


def _error_bars(series: Series) -> dict[str, Any] | None:
    if not series.band:
        return None
    mean, (_, low, high) = float(series.points[0][0]), series.band[0]
    return {"type": "data", "symmetric": False, "array": [high - mean], "arrayminus": [mean - low]}
