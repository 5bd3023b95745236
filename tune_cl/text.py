"""Numbers, times and tables as a person reads them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from typing import Any

from rich import box
from rich.table import Table

from tune_cl.metrics import METRICS, bare_name
from tune_cl.outcome import CLEAR
from tune_cl.records import Finalists, IncrementRow, NeverTrainedAgain

_NO_GAIN = "What it gains over the default is not known: a run of one of the two is missing or has failed."
_NOT_IN_IT = (
    "The interval is for these base tasks, this class order and these validation images; others would vary it further."
)
_BYTE_UNITS = ("KiB", "MiB", "GiB", "TiB")


def value_text(value: float | None) -> str:
    """A score with four decimals; an undefined one as a dash."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:z.4f}" if abs(value) < 1000 else f"{value:.4g}"


def gain_text(gain: float) -> str:
    """A difference of scores, with its sign."""
    return f"{gain:+.4f}"


def gain_verdict_text(gain: float, error: float | None, finished: int) -> str:
    """What a search alone can say of its gain over the default.

    Args:
        gain: better is positive.
        error: its standard error by the choice of validation images alone, at most; None where it is unknown.
        finished: trials among which the best was chosen.
    """
    told = f"Gain over the default: {gain_text(gain)} on the search's own validation data, one run each."
    chosen = f"It is optimistic by selection: the winner is the best of {finished} on these very data."
    return f"{told} {noise_text(gain, error)} {chosen}"


def noise_text(gain: float, error: float | None) -> str:
    """Whether the choice of validation images explains a gain; see `tune_cl.outcome.gain_error`."""
    if error is None:
        return "Whether it is more than noise is not known."
    told = f"By the choice of validation images alone its standard error is at most {error:.4f}"
    if gain <= CLEAR * error:
        return f"{told}: within noise."
    return f"{told}: more than these images explain; what other seeds and class orders would give is not known."


def finalists_text(race: Finalists) -> str:
    """What the race of a search's best trials over train seeds says of the winner."""
    seeds = f"{len(race.seeds)} train seeds"
    if race.winner is None and race.missing:
        return (
            f"The race over {seeds} is not over: until then the winner is the best trial under the search's own seed. "
            "The same command goes on."
        )
    if race.winner is None:
        return "A run of each finalist has failed, so the winner is the best trial under the search's own seed alone."
    if race.winner == 0:
        return f"The default is the best of {len(race.table)} finalists by the mean over {seeds}: no gain."
    if race.gain is None or race.gain.low is None or race.gain.high is None:
        return f"The winner is the best of {len(race.table)} finalists by the mean over {seeds}. {_NO_GAIN}"
    over = f"under {len(race.fresh_seeds)} fresh train seeds, by which nothing was chosen"
    interval = f"95 % interval {gain_text(race.gain.low)} to {gain_text(race.gain.high)}"
    verdict = (
        "within noise" if race.within_noise else "more than noise" if race.gain.low > 0 else "the default is better"
    )
    return f"Gain over the default: {gain_text(race.gain.mean)}, {interval}, {over}: {verdict}. {_NOT_IN_IT}"


def never_trained_again_text(found: NeverTrainedAgain, objective: str) -> str:
    """What never training again would give, the objective's figure first: 'Never training again: 0.2460 …'."""
    name = bare_name(objective)
    known = ("average_incremental_accuracy_excl_base", "average_incremental_accuracy", "accuracy")
    figures = {figure: METRICS.get(figure, "metric").label for figure in known}
    if name != "average_incremental_accuracy_excl_base":
        del figures["average_incremental_accuracy_excl_base"]
    shown = [name, *(other for other in figures if other != name)] if name in figures else list(figures)
    by = ", by class means of the base task" if found.nearest_mean else ""
    rest = "" if name in figures or not name else f"; {name.replace('_', ' ')} alone does not tell"
    told = ", ".join(f"{value_text(getattr(found, other))} {figures[other]}" for other in shown)
    return f"Never training again{by}: {told} (base task of trial {found.trial:04d}{rest})."


def replay_text(row: IncrementRow) -> str:
    """How the replay of an increment is judged, by what it was not trained for; empty where it is not."""
    student, spread = row.metrics.get("val/replay_student"), row.metrics.get("replay_spread")
    if student is None:
        return ""
    narrow = "" if spread is None else f", its spread {spread:.2f} of the real one"
    return f"; replay: what a student learns from it alone has accuracy {student:.4f}{narrow}"


def setting_text(value: Any) -> str:
    """A parameter's value: numbers with four significant digits, anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Of each path its shortest end that no other one has: 'weight_ce', 'generator.learning_rate'."""
    ends = {path: [path.split(".", i)[-1] for i in range(path.count("."), -1, -1)] for path in paths}
    counts = Counter(end for found in ends.values() for end in found)
    return {path: next((end for end in found if counts[end] == 1), path) for path, found in ends.items()}


def duration_text(seconds: float) -> str:
    """A time that has passed: '42 s', '3 min 20 s', '2 h 05 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def left_text(seconds: float | None) -> str:
    """A time still to come, no more exact than such a forecast can be."""
    if seconds is None:
        return "time left unknown yet"
    if seconds < 60:
        return "less than a minute left"
    if seconds < 5400:
        return f"about {math.ceil(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def count_text(number: float) -> str:
    """A large count: '950', '12.3 k', '1.50 M'."""
    if number < 10_000:
        return f"{number:.0f}"
    return f"{number / 1e3:.1f} k" if number < 1e6 else f"{number / 1e6:.2f} M"


def unit_text(unit: str) -> str:
    """A unit of cost as words: 'CPU seconds'."""
    return {"cpu_seconds": "CPU seconds", "seconds": "seconds", "images_trained": "images"}.get(unit, unit)


def trial_counts_text(counts: Mapping[str, int]) -> str:
    """'7 finished, 1 failed': states without a trial are left out."""
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no trial"


def waiting_text(waits_for: Sequence[int]) -> str:
    """'a slot waits for the base of trial 0000'."""
    trials = ", ".join(f"{trial:04d}" for trial in waits_for)
    return f"a slot waits for the base of trial{'s' if len(waits_for) > 1 else ''} {trials}"


def plain_table() -> Table:
    """A table of a report: a line under its head, and no frame."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def warnings_text(warnings: Sized) -> str:
    """'1 warning'."""
    return f"{len(warnings)} warning{'s' if len(warnings) != 1 else ''}"


def trials_text(trials: Sequence[int], most: int = 5) -> str:
    """'trials 0000, 0003 and 4 more'."""
    numbers = ", ".join(f"{trial:04d}" for trial in trials[:most])
    more = f" and {len(trials) - most} more" if len(trials) > most else ""
    return f"trial{'s' if len(trials) > 1 else ''} {numbers}{more}"


def bytes_text(size: float) -> str:
    """A size as a person reads it: '512 B', '1.5 GiB'."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in _BYTE_UNITS[:-1]:
        size /= 1024
        if size < 999.5:
            return f"{size:.3g} {unit}"
    return f"{size / 1024:.4g} {_BYTE_UNITS[-1]}"
