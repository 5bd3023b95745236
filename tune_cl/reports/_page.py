"""A comparison as one self-contained HTML file: nothing in it is fetched, and nothing from a search is executed."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape

from tune_cl.reports._differences import chosen, evaluate_commands
from tune_cl.reports._figures import Plot, colour, plots
from tune_cl.reports._models import ComparedSearch, Comparison, Difference
from tune_cl.reports._page_parts import asset, document
from tune_cl.reports._setting import class_order_text
from tune_cl.reports._tables import DataTable, configurations, doubts, per_class, significance, tables, trials_of
from tune_cl.text import gain_text, value_text

_MANY = 6  # differences that are not known, beyond which they are folded away
_MANY_CLASSES = 20  # beyond which they are folded away
_BADGES = {"real": "a difference", "within noise": "within noise", "unknown": "not known"}


def page(comparison: Comparison) -> str:
    """The page, for light and for dark screens: data, style and the script that draws them in one file."""
    drawn = list(plots(comparison))
    title = f"{', '.join(entry.label for entry in comparison.searches)} on {comparison.stream.name}"
    tip = '<div id="tip" role="status" hidden></div>'
    body = [*_header(comparison), "<main>", *_main(comparison, drawn), "</main>", *_footer(), tip]
    figures = [asdict(plot) for plot in drawn]
    return document(title, body, ("figures", figures), [asset("charts.js"), asset("comparison.js")], live=False)


def _header(comparison: Comparison) -> Iterator[str]:
    labels = [entry.label for entry in comparison.searches]
    names = labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
    way = "more" if comparison.direction == "max" else "less"
    facts = {
        "stream": comparison.stream.name,
        "objective": f"{comparison.objective} ({way} is better)",
        "after increment": str(comparison.horizon),
        "protocol": comparison.protocol,
        "class order": class_order_text(comparison.stream),
        "split seed": str(comparison.stream.split_seed),
    }
    yield "<header>"
    yield f"<h1>{escape(names)}</h1>"
    yield '<dl class="facts">'
    yield from (f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    yield "</dl>"
    yield '<ul class="cards">'
    yield from (_card(comparison, entry) for entry in comparison.searches)
    yield "</ul>"
    yield "</header>"


def _card(comparison: Comparison, entry: ComparedSearch) -> str:
    search = entry.search
    trials = f"{len(search.trials)} trial{'s' if len(search.trials) != 1 else ''}"
    method = "" if entry.label == search.method else f"{search.method}, "
    return (
        f'<li class="card" style="--chip: {colour(comparison, entry.label)}"><h3>{escape(entry.label)}</h3>'
        f'<p class="value">{value_text(entry.value)}</p><p class="soft">{escape(_chosen_text(entry))}</p>'
        f'<p class="soft">{escape(_tested(entry))}</p>'
        f"{_untrained(comparison, entry)}"
        f'<p class="soft">{escape(method)}budget {escape(search.budget)}, {trials}</p></li>'
    )


def _chosen_text(entry: ComparedSearch) -> str:
    if entry.best is None:
        return "no trial has finished"
    if entry.best == 0:
        return "on validation data, its default (trial 0000)"
    gain = "no default to compare with" if entry.gain is None else f"{gain_text(entry.gain)} against its default"
    return f"on validation data, trial {entry.best:04d}, {gain}"


def _tested(entry: ComparedSearch) -> str:
    evaluation = entry.search.evaluation
    found = None if evaluation is None else chosen(evaluation)
    told = None if found is None or evaluation is None else found.metrics.get(evaluation.objective)
    if told is None:
        return "not evaluated: validation only"
    interval = "" if told.low is None else f" [{told.low:.4f}, {told.high:.4f}]"
    return f"on test data {told.mean:.4f}{interval}"


def _untrained(comparison: Comparison, entry: ComparedSearch) -> str:
    found = entry.never_trained_again
    value = None if found is None else found.value(comparison.objective)
    return "" if value is None else f'<p class="soft">never training again: {value_text(value)}</p>'


def _main(comparison: Comparison, drawn: Sequence[Plot]) -> Iterator[str]:
    found = {table.name: table for table in tables(comparison)}
    by_name = {plot.name: plot for plot in drawn}
    yield from _doubts(comparison)
    yield from _notes(comparison)
    yield from _verdicts(comparison)
    if "test" in found:
        yield "<h2>On test data</h2>"
        yield from _grid(by_name, "differences", "test", "test-increments")
        yield _table(found["test"])
        if (tested := significance(comparison)).rows:
            yield _table(tested)
    yield "<h2>Along the stream</h2>"
    yield from _grid(by_name, "increments", "classes")
    yield _table(found["increments"])
    yield _table(found["averages"])
    yield from _matrices(comparison)
    if (classes := per_class(comparison)).rows:
        yield from _per_class(classes)
    if "replay" in found:
        yield _table(found["replay"])
    yield "<h2>Value for budget</h2>"
    yield from _grid(by_name, "paid-images", "paid-seconds", "expected")
    yield from (_table(found[name]) for name in ("expected", "best", "cost"))
    yield "<h2>What was chosen</h2>"
    yield _table(configurations(comparison))
    yield "<h2>Every trial</h2>"
    for entry in comparison.searches:
        yield f"<details><summary>{escape(entry.label)}: {escape(entry.search.source)}</summary>"
        yield _table(trials_of(entry))
        yield "</details>"


def _matrices(comparison: Comparison) -> Iterator[str]:
    """The accuracy matrix of each search's best trial as a heat map."""
    yield '<div class="heats">'
    for entry in comparison.searches:
        best = entry.search.best
        if best is not None and best.accuracy_matrix:
            yield _heat(f"{entry.label}: accuracy matrix of trial {best.trial:04d}", best.accuracy_matrix)
    yield "</div>"


def _heat(title: str, matrix: Sequence[Sequence[float]]) -> str:
    names = ["base task", *(f"increment {t}" for t in range(1, len(matrix)))]
    heads = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    empty = '<td class="empty"></td>'
    rows = (
        f'<tr><th scope="row" class="words">{name}</th>'
        + "".join(f'<td data-share="{value:.4f}">{value:.3f}</td>' for value in row)
        + empty * (len(matrix) - len(row))
        + "</tr>"
        for name, row in zip(names, matrix, strict=True)
    )
    return (
        f'<div class="sheet heat" tabindex="0" role="region" aria-label="{escape(title)}"><table>'
        f'<caption>{escape(title)}</caption><thead><tr><th scope="col" class="words">after</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _per_class(table: DataTable) -> Iterator[str]:
    """A bar behind each accuracy; folded away where there are many classes."""
    folded = len(table.rows) > _MANY_CLASSES
    if folded:
        yield f"<details><summary>{escape(table.title)}: {len(table.rows)} classes</summary>"
    yield _table(table, shares=True)
    if folded:
        yield "</details>"


def _doubts(comparison: Comparison) -> Iterator[str]:
    rows = doubts(comparison).rows
    if rows:
        yield '<section class="bear cautions"><h2>Cautions</h2><ul>'
        yield from (
            f"<li><strong>{escape(label)}, {escape(data)} data:</strong> {escape(sentence)}</li>"
            for label, data, sentence in rows
        )
        yield "</ul></section>"


def _notes(comparison: Comparison) -> Iterator[str]:
    if comparison.notes:
        yield '<section class="bear"><h2>To bear in mind</h2><ul>'
        yield from (f"<li>{escape(note)}</li>" for note in comparison.notes)
        yield "</ul></section>"


def _verdicts(comparison: Comparison) -> Iterator[str]:
    if not comparison.differences:
        return
    yield "<h2>Is it better, or is it noise?</h2>"
    known = [difference for difference in comparison.differences if difference.verdict != "unknown"]
    unknown = [difference for difference in comparison.differences if difference.verdict == "unknown"]
    yield from _list_of(known)
    if len(unknown) > _MANY:
        yield f"<details><summary>{len(unknown)} differences that are not known</summary>"
        yield from _list_of(unknown)
        yield "</details>"
    else:
        yield from _list_of(unknown)
    pairs = sum(difference.low is not None for difference in comparison.differences)
    if pairs > 1:
        yield (
            '<p class="note">Each is a 95 % interval by itself: of several, one misses by chance more often than '
            "a single one would.</p>"
        )
    commands = list(evaluate_commands([entry.search for entry in comparison.searches]))
    if commands:
        yield "<p>To know, evaluate on test data:</p>"
        yield f"<pre><code>{escape(chr(10).join(commands))}</code></pre>"


def _list_of(differences: Sequence[Difference]) -> Iterator[str]:
    if differences:
        yield '<ul class="verdicts">'
        yield from map(_verdict, differences)
        yield "</ul>"


def _verdict(difference: Difference) -> str:
    kind = difference.verdict.replace(" ", "-")
    return (
        f'<li><span class="badge {kind}">{_BADGES[difference.verdict]}</span>'
        f"<span>{escape(difference.sentence)}</span></li>"
    )


def _grid(by_name: dict[str, Plot], *names: str) -> Iterator[str]:
    shown = [by_name[name] for name in names if name in by_name]
    if shown:
        yield '<div class="plots">'
        yield from map(_plot, shown)
        yield "</div>"


def _plot(plot: Plot) -> str:
    """The place of a plot, which the script fills."""
    wide = ' class="wide"' if plot.wide else ""
    return f'<figure{wide} id="plot-{plot.name}"><h3>{escape(plot.title)}</h3></figure>'


def _table(table: DataTable, *, shares: bool = False) -> str:
    """A table; with `shares` each number, from 0 to 1, has a bar of its length."""
    heads = (f'<th scope="col"{_words(table, i)}>{escape(column)}</th>' for i, column in enumerate(table.columns))
    return (
        f'<div class="sheet" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f'<table class="table-{table.name}">'
        f"<caption>{escape(table.title)}</caption><thead><tr>{''.join(heads)}</tr></thead>"
        f"<tbody>{''.join(_row(table, i, shares) for i in range(len(table.rows)))}</tbody></table>"
        + (f'<p class="note">{escape(table.note)}</p>' if table.note else "")
        + "</div>"
    )


def _row(table: DataTable, i: int, shares: bool) -> str:
    name, *cells = table.rows[i]
    dim = ' class="dim"' if i in table.dim else ""
    rest = "".join(
        f"<td{_words(table, place)}>{_share(cell) if shares else _cell(cell)}</td>"
        for place, cell in enumerate(cells, start=1)
    )
    return f'<tr{dim}><th scope="row" class="words">{escape(name)}</th>{rest}</tr>'


def _share(cell: str) -> str:
    width = f"{100 * float(cell):.1f}%" if cell.replace(".", "", 1).isdigit() else "0"
    return f'<span class="share" style="--share: {width}">{escape(cell)}</span>'


def _words(table: DataTable, column: int) -> str:
    return ' class="words"' if column < table.words else ""


def _cell(cell: str) -> str:
    """A cell, its interval on a line of its own."""
    value, bracket, interval = cell.partition(" [")
    return f'{escape(value)}<span class="interval">[{escape(interval)}</span>' if bracket else escape(cell)


def _footer() -> Iterator[str]:
    yield (
        "<footer><p class='soft'>Written by <code>tune-cl compare</code>. Values are of validation data unless they "
        "say test. How to read it: docs/comparing.md.</p></footer>"
    )
