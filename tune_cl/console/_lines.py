"""What is said where there is no terminal: one plain line per event."""

from tune_cl.console._state import ViewState
from tune_cl.text import replay_text, setting_text, trial_counts_text, value_text, waiting_text
from tune_cl.tracking import (
    Event,
    IncrementReported,
    SearchEnded,
    SearchStarted,
    SlotDeferred,
    TrialEnded,
    TrialStarted,
)


def line_of(event: Event, before: ViewState) -> str | None:
    """The line of an event, given the state that it met, and one for each warning; None if there is nothing to say."""
    match event:
        case SearchStarted(record=record):
            resumed = f", {event.resumed} of them done before" if event.resumed else ""
            what = f"{record.method} on {record.stream.name}, budget {record.budget}, {event.planned} trials{resumed}"
            return f"search {record.name}: {what}; results in {event.folder.path}"
        case TrialStarted():
            settings = " ".join(f"{path}={setting_text(value)}" for path, value in event.parameters.items())
            by = f" ({event.proposer})" if event.proposer else ""
            return f"trial {event.trial:04d}: start {settings}".rstrip() + by
        case SlotDeferred():
            return waiting_text(event.waits_for)
        case IncrementReported():
            return _increment_line(event, before)
        case TrialEnded():
            trial = before.trials.get(event.trial)
            after = "" if trial is None or trial.last is None else f" after increment {trial.last}"
            value = "" if trial is None or event.state == "failed" else f" with {value_text(trial.value)}"
            reason = f": {event.reason}" if event.reason else ""
            return f"trial {event.trial:04d}: {event.state}{after}{value}{reason}"
        case SearchEnded():
            word = "out of time" if event.out_of_time else "interrupted" if event.interrupted else "ended"
            return f"search {word}: {trial_counts_text(event.summary.trials)}"
        case _:
            return None


def _increment_line(event: IncrementReported, before: ViewState) -> str:
    row = event.row
    horizon = "" if before.record is None else f"/{before.record.horizon}"
    objective = "objective" if before.record is None else before.record.objective
    stages = ", ".join(
        f"{stage.phase} {'reused' if stage.origin == 'reused' else f'trained in {stage.seconds:.1f} s'}"
        for stage in row.stages
    )
    stages = stages or "nothing to train"
    trial = f"trial {event.trial:04d}: "
    warnings = [f"{trial}warning: {warning}" for warning in row.told_warnings()]
    line = f"{trial}increment {row.increment}{horizon} {objective} {value_text(event.value)} ({stages})"
    return "\n".join([line + replay_text(row), *warnings])
