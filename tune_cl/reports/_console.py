"""What a person reads of a comparison on the console."""

import textwrap
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tune_cl.reports._differences import evaluate_commands
from tune_cl.reports._models import Comparison, Difference
from tune_cl.reports._setting import setting_line
from tune_cl.reports._tables import DataTable, doubts, tables
from tune_cl.text import never_trained_again_text, plain_table

_HEADING = 10  # characters of a heading's line
_STYLES = {"real": "bold green", "within noise": "bold", "unknown": "bold yellow"}


def console_parts(comparison: Comparison) -> Iterator[RenderableType]:
    """The parts of the report, from top to bottom."""
    yield Text(f"\nComparison of {_names(comparison)}", style="bold")
    yield Text(setting_line(comparison))
    yield Text()
    for table in tables(comparison):
        yield Text(table.title, style="bold")
        yield _rendered(table)
        yield Text(table.note, style="dim")
        if table.name == "best":
            yield from _untrained(comparison)
        yield Text()
    yield from _verdicts(comparison)
    yield from _doubts(comparison)
    yield from _notes(comparison)


def _untrained(comparison: Comparison) -> Iterator[Text]:
    """What the base task of each best trial would give by itself."""
    for entry in comparison.searches:
        if entry.never_trained_again is not None:
            yield Text(f"{entry.label}: {never_trained_again_text(entry.never_trained_again, comparison.objective)}")


def _names(comparison: Comparison) -> str:
    labels = [entry.label for entry in comparison.searches]
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _rendered(table: DataTable) -> Table:
    rendered = plain_table()
    for i, column in enumerate(table.columns):
        rendered.add_column(Text(_folded(column)), justify="left" if i < table.words else "right")
    for i, row in enumerate(table.rows):
        rendered.add_row(*(Text(_broken(cell)) for cell in row), style="dim" if i in table.dim else "")
    wide = Console(width=10_000)  # a console that is too narrow shall wrap lines, not crop columns
    rendered.width = Measurement.get(wide, wide.options, rendered).maximum
    return rendered


def _folded(column: str) -> str:
    """A heading on lines of a few words, so that tables stay narrow; a name without blanks stays whole."""
    return "\n".join(textwrap.wrap(column, _HEADING, break_long_words=False, break_on_hyphens=False)) or column


def _broken(cell: str) -> str:
    """A cell with its interval on a line of its own."""
    return cell.replace(" [", "\n[", 1)


def _verdicts(comparison: Comparison) -> Iterator[Text]:
    if not comparison.differences:
        return
    yield Text("Is it better, or is it noise?", style="bold")
    yield from (_verdict(difference) for difference in comparison.differences)
    commands = list(evaluate_commands([entry.search for entry in comparison.searches]))
    if commands:
        yield Text("To know, evaluate on test data:")
        yield from (Text(f"  {command}", style="bold cyan", no_wrap=True) for command in commands)
    yield Text()


def _verdict(difference: Difference) -> Text:
    return Text("  ").append(difference.sentence, style=_STYLES[difference.verdict])


def _doubts(comparison: Comparison) -> Iterator[Text]:
    rows = doubts(comparison).rows
    if rows:
        yield Text("Cautions", style="bold")
        for label, data, sentence in rows:
            yield Text(f"  {label}, {data} data: ", style="bold yellow").append(sentence, style="default")
        yield Text()


def _notes(comparison: Comparison) -> Iterator[Text]:
    if comparison.notes:
        yield Text("To bear in mind", style="bold")
        yield from (Text(f"  {note}") for note in comparison.notes)
        yield Text()
