"""How long a search will still take, from what its increments have taken so far."""

from statistics import fmean

from tune_cl.console._state import TrialView, ViewState


def seconds_left(state: ViewState, now: float) -> float | None:
    """Expected seconds until all planned trials have ended; None while too little has been seen.

    An increment is expected to take what training it took in this session on average (one that no trial has reached
    yet: what the others after the base took; the base task: what it took last, since a reused base takes no time).
    Until one after the base was watched, the base task and the costs that were forecast say what they will take.
    A trial is expected to reach an increment as often as the trials that have ended did. The work is shared by as
    many trials as run now.
    """
    if state.record is None:
        return None
    running = [t for t in state.trials.values() if t.state == "running"]
    durations = _durations(state)
    if durations is None:
        return None
    reach = _reach(state)
    to_come = max(0, state.planned - len(state.trials))
    whole = sum(share * seconds for share, seconds in zip(reach, durations, strict=True))
    rests = [_rest(trial, durations, reach, now) for trial in running]
    return max((sum(rests) + to_come * whole) / max(1, len(running)), *rests, 0.0)


def _durations(state: ViewState) -> list[float] | None:
    """Expected seconds of each increment, or None before the first was watched."""
    assert state.record is not None
    seen: dict[int, list[float]] = {}
    for _, trial in sorted(state.trials.items()):
        for increment, cell in trial.cells.items():
            if increment == 0 or len(cell.reused) < max(1, cell.phases):  # `frozen` has increments without a phase
                seen.setdefault(increment, []).append(cell.seconds)
    later = [seconds for increment, all_seconds in seen.items() if increment > 0 for seconds in all_seconds]
    base = seen.get(0, [0.0])[-1]
    if not later:
        return _forecast(state, base)
    return [base, *(fmean(seen.get(t, later)) for t in range(1, state.record.horizon + 1))]


def _forecast(state: ViewState, base: float) -> list[float] | None:
    """Expected seconds of each increment, as many times the base task's as they are forecast to cost of it."""
    trained = [trial.cells[0].alone for trial in state.trials.values() if 0 in trial.cells]
    if not trained or not state.costs or not state.costs[0]:
        return None
    return [base, *(trained[-1] * cost / state.costs[0] for cost in state.costs[1:])]


def _reach(state: ViewState) -> list[float]:
    """Share of the ended trials that reported each increment (all of it, as long as none has ended)."""
    assert state.record is not None
    ended = [t for t in state.trials.values() if t.state != "running"]
    increments = range(state.record.horizon + 1)
    if not ended:
        return [1.0 for _ in increments]
    return [fmean(t.last is not None and t.last >= increment for t in ended) for increment in increments]


def _rest(trial: TrialView, durations: list[float], reach: list[float], now: float) -> float:
    """Expected seconds of a running trial: the rest of its increment, then those that it may still reach."""
    current = 0 if trial.last is None else trial.last + 1
    if current >= len(durations):
        return 0.0
    under_way = max(0.0, durations[current] - (now - trial.since))
    later = range(current + 1, len(durations))
    return under_way + sum(durations[t] * (reach[t] / reach[current] if reach[current] else 1.0) for t in later)
