"""How often test data were opened for a search: what `readings.jsonl` says, held against the results it led to."""

from dataclasses import dataclass

from tune_cl.records import EvaluationFolder, EvaluationSummary, Reading, parse_run, read_lines, read_record


@dataclass(frozen=True)
class Readings:
    """The readings of test data by all evaluations of a search.

    Attributes:
        opened: how often; at least so often where `complete` is false.
        complete: whether every result has its reading on record, and no earlier summary counted more.
        trials: whose runs opened test data.
        chosen: those of them that the search had chosen at that time.
        fingerprint: of the test data, as the last reading found them.
    """

    opened: int
    complete: bool
    trials: frozenset[int]
    chosen: frozenset[int]
    fingerprint: str | None


def readings_of(folder: EvaluationFolder) -> Readings:
    """What is known of the readings. A result implies one, also where the record of it is lost.

    Raises:
        TuneCLError: a file is damaged.
    """
    recorded = list(read_lines(folder.readings, Reading))
    opened = [reading.run for reading in recorded if reading.event == "opened"]
    results = (path.parent.name for path in sorted((folder.path / "runs").glob("*/increments.jsonl")))
    lost = {run: parsed[0] for run in results if run not in opened and (parsed := parse_run(run)) is not None}
    told = read_record(folder.summary, EvaluationSummary) if folder.summary.exists() else None
    count = len(opened) + len(lost)
    trials = {reading.trial for reading in recorded} | set(lost.values())
    chosen = {reading.trial for reading in recorded if reading.role == "chosen"} | (set(lost.values()) - {0})
    fingerprint = next((r.fingerprint for r in reversed(recorded) if r.fingerprint), None)
    if told is None:
        return Readings(count, not lost, frozenset(trials), frozenset(chosen), fingerprint)
    chosen |= {*told.earlier_choices, *(c.trial for c in told.configurations if c.role == "chosen")}
    return Readings(
        opened=max(count, told.readings),
        complete=not lost and told.readings_complete and told.readings <= count,
        trials=frozenset(trials | set(told.trials_read)),
        chosen=frozenset(chosen),
        fingerprint=fingerprint or told.test_fingerprint,
    )
