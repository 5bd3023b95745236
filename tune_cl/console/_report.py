"""What is said at the end of a search: what was found, what it cost, where it lies, what to type next."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from tune_cl.commands import continue_command, evaluate_command
from tune_cl.records import BestSummary, Finalists, SearchFolder, SearchRecord, Summary, TrialSummary
from tune_cl.text import (
    count_text,
    duration_text,
    finalists_text,
    gain_text,
    never_trained_again_text,
    noise_text,
    plain_table,
    setting_text,
    trial_counts_text,
    trials_text,
    unit_text,
    value_text,
)
from tune_cl.tracking import SearchEnded

_BEST_SHOWN = 5
_FAILED_SHOWN = 5
_WARNED_SHOWN = 5
_LUXURY = (
    "These scores use validation images of classes from earlier increments. That is the tuner's luxury, not the "
    "method's: a continual learner in use would not have them any more."
)


def report(record: SearchRecord, folder: SearchFolder, end: SearchEnded, wandb_line: str) -> Iterator[RenderableType]:
    """The parts of the report, from top to bottom."""
    summary = end.summary
    word = "Out of time" if end.out_of_time else "Interrupted" if end.interrupted else "Done"
    yield _heading(word, record, summary)
    if end.interrupted:
        yield from _lost(end.in_flight)
    yield from _failures(summary, folder)
    yield from _warnings(summary)
    yield from _ranking(record, summary)
    if summary.finalists is not None:
        yield from _finalists(summary.finalists)
    if summary.best is None:
        yield Text("No trial has finished, so there is no best configuration yet.", style="bold")
    else:
        yield from _choice(record, summary, summary.best)
        yield Text()
        yield from _doubts(record, summary)
        yield Text(_LUXURY)
    yield Text()
    yield _cost(summary)
    yield from _sharing(summary)
    yield from _places(folder, summary, wandb_line)
    yield from _next(record, folder, end)


def _heading(word: str, record: SearchRecord, summary: Summary) -> Text:
    counts = trial_counts_text(summary.trials)
    heading = Text(f"\n{word}: ", style="bold").append(record.name, style="bold")
    return heading.append(f"  {counts}; training took {duration_text(summary.seconds)} in all\n", style="not bold")


def _lost(in_flight: list[str]) -> Iterator[Text]:
    if in_flight:
        yield Text("In the middle of:")
        yield from (Text(f"  {phase}") for phase in in_flight)
        yield Text(
            "Every phase that had ended is kept. A saved one goes on where it was, another from its last checkpoint "
            "(--checkpoint-every), if it had one."
        )
    else:
        yield Text("Nothing is lost: no phase was in flight.")
    yield Text()


def _failures(summary: Summary, folder: SearchFolder) -> Iterator[Text]:
    failed = [trial for trial in summary.table if trial.state == "failed"]
    for trial in failed[:_FAILED_SHOWN]:
        why = trial.reason or f"see {folder.trial(trial.trial).error}"
        yield Text(f"Trial {trial.trial:04d} failed: ", style="red").append(why, style="default")
    if len(failed) > _FAILED_SHOWN:
        yield Text(f"{len(failed) - _FAILED_SHOWN} more failed; see error.txt in their folders.", style="red")
    if failed:
        yield Text()


def _warnings(summary: Summary) -> Iterator[Text]:
    """Signs that a phase learned nothing, the best trial's first; trials that share a stage share its warnings."""
    best = summary.best.trial if summary.best is not None else None
    by_text: dict[str, list[int]] = {}
    for trial in sorted(summary.table, key=lambda trial: (trial.trial != best, trial.trial)):
        for warning in trial.warnings:
            by_text.setdefault(warning, []).append(trial.trial)
    if not by_text:
        return
    yield Text("Warnings:", style="bold yellow")
    for warning, trials in list(by_text.items())[:_WARNED_SHOWN]:
        whose = f"{trials_text(sorted(trials))}{', the best among them' if best in trials and trials[1:] else ''}"
        yield Text(f"  {whose}{' (the best)' if trials == [best] else ''}, {warning}", style="yellow")
    if len(by_text) > _WARNED_SHOWN:
        yield Text(f"  {len(by_text) - _WARNED_SHOWN} more; see summary.json.", style="yellow")
    yield Text()


def _ranking(record: SearchRecord, summary: Summary) -> Iterator[RenderableType]:
    sign = -1.0 if record.direction == "min" else 1.0
    finished = [trial for trial in summary.table if trial.state == "finished" and trial.value is not None]
    if not finished:
        return
    finished.sort(key=lambda trial: (-sign * (trial.value or 0.0), trial.trial))
    default = next((trial.value for trial in finished if trial.trial == 0), None)
    table = plain_table()
    table.add_column("trial")
    table.add_column("value", justify="right")
    table.add_column("against default", justify="right")
    for trial in finished[:_BEST_SHOWN]:
        table.add_row(Text(f"{trial.trial:04d}"), Text(value_text(trial.value)), Text(_against(trial, default, sign)))
    yield Text(f"Best of {len(finished)} finished trials, by {record.objective}", style="bold")
    yield table
    yield Text()


def _finalists(race: Finalists) -> Iterator[RenderableType]:
    """The means by which the winner was chosen, and what they cost."""
    table = plain_table()
    for column in ("trial", "mean", *(f"seed {seed}" for seed in race.seeds)):
        table.add_column(column, justify="left" if column == "trial" else "right")
    for line in race.table:
        table.add_row(Text(f"{line.trial:04d}"), *(Text(value_text(value)) for value in (line.mean, *line.values)))
    yield Text(f"Finalists, by the mean over {len(race.seeds)} train seeds", style="bold")
    yield table
    for run, why in race.failed.items():
        yield Text(f"Finalist {run} failed: ", style="red").append(why, style="default")
    yield Text(
        f"Beside the trials: {race.runs} runs of finalists, {count_text(race.images_trained)} images, "
        f"{duration_text(race.seconds)} of training."
    )
    yield Text()


def _against(trial: TrialSummary, default: float | None, sign: float) -> str:
    if trial.trial == 0:
        return "default"
    return "-" if default is None or trial.value is None else gain_text(sign * (trial.value - default))


def _choice(record: SearchRecord, summary: Summary, best: BestSummary) -> Iterator[RenderableType]:
    if best.trial == 0 and summary.finalists is None:
        yield Text("The default (trial 0) is the best of those that finished: this search found no gain.", style="bold")
        yield Text()
    table = plain_table()
    table.add_column("parameter", overflow="fold")
    table.add_column("default", justify="right", overflow="fold")
    table.add_column("")
    table.add_column("chosen", overflow="fold")
    for path, chosen in best.parameters.items():
        default = record.default.get(path)
        changed = chosen != default
        was = "-" if default is None else setting_text(default)
        row = [Text(path), Text(was), Text("→" if changed else "="), Text(setting_text(chosen))]
        table.add_row(*row, style="" if changed else "dim")
    yield Text(f"Best configuration (trial {best.trial:04d})", style="bold")
    yield table
    if summary.finalists is not None:
        yield Text()
        yield Text(finalists_text(summary.finalists))
    if best.trial and (summary.finalists is None or summary.finalists.winner is None):
        yield Text()
        yield from _gain(record, summary, best)


def _gain(record: SearchRecord, summary: Summary, best: BestSummary) -> Iterator[Text]:
    if best.default_value is None:
        yield Text("The default (trial 0) did not finish, so there is no gain to state.")
        return
    sign = -1.0 if record.direction == "min" else 1.0
    gain = Text("Gain over the default: ").append(gain_text(sign * (best.value - best.default_value)), style="bold")
    gain.append(f" ({value_text(best.default_value)} → {value_text(best.value)}) ")
    tried = sum(trial.state == "finished" for trial in summary.table)
    noise = noise_text(sign * (best.value - best.default_value), best.gain_error)
    yield gain.append(
        f"on the search's own validation data, one run each. {noise} It is optimistic by selection: the winner is the "
        f"best of {tried} on these very data. To know it, evaluate the choice: see below."
    )


def _doubts(record: SearchRecord, summary: Summary) -> Iterator[Text]:
    """What leaving the base task's classifier as it is would give, and what speaks against the choice."""
    if summary.never_trained_again is not None:
        yield Text(never_trained_again_text(summary.never_trained_again, record.objective))
    yield from (Text("Caution: ", style="bold yellow").append(c.sentence, style="default") for c in summary.cautions)
    if summary.never_trained_again is not None or summary.cautions:
        yield Text()


def _cost(summary: Summary) -> Text:
    paid, alone = summary.images_trained, summary.images_trained_as_if_alone
    trained, reused = summary.stages.get("trained", 0), summary.stages.get("reused", 0)
    line = Text(f"Stages: {trained} trained, {reused} reused. ")
    line.append(f"Images trained: {count_text(paid)}; every trial alone would have cost {count_text(alone)}")
    return line.append(f" ({1 - paid / alone:.0%} saved)." if alone > paid > 0 else ".")


def _sharing(summary: Summary) -> Iterator[Text]:
    """What sharing saved against what it could save, and the price of waiting for each other."""
    if summary.sharing is not None:
        s = summary.sharing
        bases = f"{s.base_configurations} base configuration{'s' if s.base_configurations > 1 else ''}"
        own = s.saving if s.own is None else s.own
        yield Text(
            f"What its trials shared with each other made the search {own:.2f} times cheaper than trial by trial (in "
            f"{unit_text(s.unit)}); a base task of {s.base_share:.0%} of the cost, {bases} and {s.trials} trials allow "
            f"{s.bound:.2f}."
        )
        if s.found:
            yield Text(
                f"It found stages that had been trained before it, worth {s.found:.0%} of the cost trial by trial; "
                f"with them it was {s.saving:.2f} times cheaper."
            )
    if summary.idle_seconds >= 1:
        yield Text(f"Waiting for what other trials were training: {duration_text(summary.idle_seconds)} in all.")


def _places(folder: SearchFolder, summary: Summary, wandb_line: str) -> Iterator[Text]:
    places: dict[str, Path | str] = {"everything": folder.path}
    if summary.best is not None:
        places |= {
            "best configuration": folder.best_config,
            "its weights": folder.best_weights if folder.best_weights.exists() else "not written: its stages are gone",
            "default": folder.trial(0).config,
        }
    if folder.page.exists():
        places["page for a browser"] = folder.page
    for name, path in places.items():
        yield Text(f"  {name:<20}{path}", no_wrap=True)
    if wandb_line:
        yield Text(f"  {wandb_line}", no_wrap=True)
    yield Text()


def _next(record: SearchRecord, folder: SearchFolder, end: SearchEnded) -> Iterator[Text]:
    if end.interrupted:
        yield Text("To continue, type the same command:")
        yield command_text(continue_command(record.command, None, record.typed_in))
        return
    if end.summary.best is not None:
        yield Text("Next, evaluate the choice, on other class orders and seeds, and on test data:")
        yield command_text(evaluate_command(record.command, folder.path, record.typed_in))
    yield Text("To search on, ask for more trials:")
    yield command_text(continue_command(record.command, 2 * max(record.trials, 1), record.typed_in))


def command_text(command: str) -> Text:
    """A command on a line of its own, to be copied."""
    return Text(f"  {command}", style="bold cyan", no_wrap=True)
