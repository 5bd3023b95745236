"""The live view: a picture of the state, made to fit the terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tune_cl.console._estimate import seconds_left
from tune_cl.console._state import Cell, TrialView, ViewState
from tune_cl.records import TrialState
from tune_cl.text import (
    duration_text,
    gain_text,
    left_text,
    setting_text,
    short_names,
    value_text,
    waiting_text,
    warnings_text,
)

STATES: dict[TrialState, tuple[str, str]] = {
    "running": ("▶", "cyan"),
    "finished": ("✓", "green"),
    "stopped": ("■", "yellow"),
    "failed": ("✗", "red"),
}
_CELL_WIDTH = 9  # "0.9500 ↺c"
_LABEL_WIDTH = 15  # state, number, mark and the gaps between them
_NOW_WIDTH = 21  # phase, bar, percent
_BAR_WIDTH = 12
_PARAMETER_LINES = 5
_LINES_FOR_NOTICES = 20  # on a lower terminal the trials are worth more
_FRAME_LINES = 11  # all but trials and notices: border 2, header 4 and a gap, table head 2, 'more' line, legend


def render(state: ViewState, width: int, height: int, now: float) -> RenderableType:
    """The whole view, at most `height` lines of at most `width` columns."""
    if state.record is None:
        return Text("waiting for the search to start", style="dim")
    notices = state.notices if height >= _LINES_FOR_NOTICES else ()
    spare = max(0, height - _LINES_FOR_NOTICES - len(state.trials)) // 2
    settings = _parameters(state, list(state.trials.values()), min(_PARAMETER_LINES, spare))
    room = max(1, height - _FRAME_LINES - len(notices) - len(settings) - bool(settings))
    shown, hidden = choose_trials(state, room)
    parts: list[RenderableType] = [_header(state, now), Text(), _table(state, shown, width)]
    if not state.trials:
        parts.append(Text("starting Ray and its workers", style="dim"))
    if hidden:
        parts.append(Text(_hidden_line(hidden), style="dim", overflow="ellipsis", no_wrap=True))
    if any(cell.reused for trial in shown for cell in trial.cells.values()):
        legend = "↺ loaded from the stage store, nothing trained; with a letter: only that phase"
        parts.append(Text(legend, style="dim", overflow="ellipsis", no_wrap=True))
    parts += [Text(), *settings] if settings else []
    parts += [Text(line, style="yellow", overflow="ellipsis", no_wrap=True) for line in notices]
    title = Text(f" {state.record.name} ", style="bold")
    return Panel(Group(*parts), title=title, title_align="left", border_style="dim", box=box.ROUNDED, width=width)


def choose_trials(state: ViewState, room: int) -> tuple[list[TrialView], list[TrialView]]:
    """Split the trials into those shown and the rest: first the running ones, the best, trial 0, then the latest."""
    best = state.best()
    latest = sorted(state.trials.values(), key=lambda t: -t.trial)
    running = sorted((t for t in latest if t.state == "running"), key=lambda t: t.trial)
    special = [t for t in (best, state.trials.get(0)) if t is not None]
    ranked = list({t.trial: t for t in (*running, *special, *latest)}.values())
    chosen = {t.trial for t in ranked[:room]}
    shown = [t for _, t in sorted(state.trials.items()) if t.trial in chosen]
    return shown, [t for t in state.trials.values() if t.trial not in chosen]


def counts_line(state: ViewState) -> Text:
    """'8 trials  ▶ 2 running  ✓ 3 finished …': zero counts left out, and the key to the table's glyphs."""
    to_come = max(0, state.planned - len(state.trials))
    line = Text(f"{state.planned} trials")
    for name, (glyph, style) in STATES.items():
        if state.count(name):
            line.append(f"  {glyph} {state.count(name)} {name}", style=style)
    line.append(f"  {to_come} to come" if to_come else "", style="dim")
    return line.append(f"  ⏸ {waiting_text(state.waits_for)}" if state.waits_for else "", style="yellow")


def best_line(state: ViewState) -> Text:
    """The best finished trial beside the default, and the gain."""
    best, default = state.best(), state.default()
    if best is None or best.value is None:
        return Text("no trial has finished yet", style="dim")
    line = Text("best so far ").append(value_text(best.value), style="bold green")
    line.append(f" (trial {best.trial:04d})", style="dim")
    if default is None or default.value is None:
        return line.append("   default not finished yet", style="dim")
    gain = (default.value - best.value) if state.lower_is_better() else (best.value - default.value)
    line.append("   default ").append(value_text(default.value))
    return line.append("   gain ").append(gain_text(gain), style="bold")


def _header(state: ViewState, now: float) -> RenderableType:
    record = state.record
    assert record is not None
    first = Table.grid(expand=True, padding=(0, 1))
    first.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    first.add_column(justify="right", no_wrap=True)
    elapsed = Text(duration_text(now - state.began), style="bold")
    left = "" if state.ended else f", {left_text(seconds_left(state, now))}"
    first.add_row(
        Text(f"{record.method} on {record.stream.name}, budget {record.budget}"), elapsed.append(left, style="not bold")
    )
    how = f"{record.objective} after each increment ({record.sampler}, {record.scheduler}, {record.device})"
    lines = [counts_line(state), best_line(state), Text(how, style="dim")]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(first, *lines)


def _table(state: ViewState, trials: list[TrialView], width: int) -> Table:
    increments = _visible_increments(state, width)
    room = width - 4 - _LABEL_WIDTH - len(increments) * (_CELL_WIDTH + 1)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, expand=True, show_edge=False)
    table.add_column("", no_wrap=True, width=1)
    table.add_column("trial", no_wrap=True, width=_LABEL_WIDTH - 3)
    for increment in increments:
        table.add_column("base" if increment == 0 else f"t={increment}", no_wrap=True, width=_CELL_WIDTH)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    best = state.best()
    for trial in trials:
        glyph, style = STATES[trial.state]
        name = Text(f"{trial.trial:04d}", style="bold" if trial is best else "")
        name.append(" best" if trial is best else " default" if trial.trial == 0 else "")
        cells = [_cell(trial, increment) for increment in increments]
        table.add_row(Text(glyph, style=style), name, *cells, _now(trial, room))
    return table


def _visible_increments(state: ViewState, width: int) -> list[int]:
    """All increments if they fit; else the base and the ones around the furthest trial."""
    assert state.record is not None
    everything = list(range(state.record.horizon + 1))
    fit = max(2, (width - 4 - _LABEL_WIDTH - _NOW_WIDTH) // (_CELL_WIDTH + 1))
    if len(everything) <= fit:
        return everything
    furthest = max((t.last for t in state.trials.values() if t.last is not None), default=0)
    end = min(max(furthest + 2, fit), len(everything))
    return [0, *everything[end - fit + 1 : end]]


def _cell(trial: TrialView, increment: int) -> Text:
    cell = trial.cells.get(increment)
    if cell is None:
        if trial.earlier and increment == trial.last:
            return Text(value_text(trial.value), style="dim")
        return Text("·" if trial.state == "running" else "", style="dim")
    return Text(value_text(cell.value)).append(_reuse_mark(cell), style="dim")


def _reuse_mark(cell: Cell) -> str:
    if not cell.reused:
        return ""
    return " ↺" if len(cell.reused) == cell.phases else " ↺" + "".join(phase[0] for phase in cell.reused)


def _now(trial: TrialView, room: int) -> Text:
    if trial.state == "failed":
        return Text(trial.reason or "see error.txt", style="red")
    if trial.state == "stopped":
        return Text(trial.reason or "", style="dim")
    if trial.state == "finished":
        line = Text("earlier run" if trial.earlier else "", style="dim")
        gap = " " if line else ""
        return line.append(f"{gap}⚠ {warnings_text(trial.warnings)}" if trial.warnings else "", style="yellow")
    if trial.progress is None:
        return Text(_waits_for(trial), style="dim")
    bar = max(0, min(_BAR_WIDTH, room - len(trial.progress.phase) - len("  100%")))
    filled = round(trial.progress.share * bar)
    line = Text(f"{trial.progress.phase} ").append("━" * filled, style="cyan")
    return line.append("╌" * (bar - filled), style="dim").append(f" {trial.progress.share:.0%}")


def _waits_for(trial: TrialView) -> str:
    """What a trial without progress is about: its worker starts, or loads what it needs for the next increment."""
    return "starting a worker" if trial.last is None else f"preparing increment {trial.last + 1}"


def _parameters(state: ViewState, trials: list[TrialView], room: int) -> list[Text]:
    """What was searched: a line for the best trial and each running one, as many as fit."""
    best = state.best()
    told = [trial for trial in trials if trial.parameters and (trial is best or trial.state == "running")]
    names = short_names(list(dict.fromkeys(path for trial in told for path in trial.parameters)))
    lines = []
    for trial in told[:room]:
        line = Text(f"{trial.trial:04d}{' best' if trial is best else ''}  ", overflow="ellipsis", no_wrap=True)
        for path, value in trial.parameters.items():
            line.append(f"{names[path]} ", style="dim").append(f"{setting_text(value)}  ")
        lines.append(line)
    return lines


def _hidden_line(hidden: list[TrialView]) -> str:
    counts = {name: sum(t.state == name for t in hidden) for name in STATES}
    return f"… {len(hidden)} more: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count)
