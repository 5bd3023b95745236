"""What sharing stages has saved, and what it could save at most; from the stages that trials used."""

import math
from collections.abc import Mapping, Sequence

from tune_cl.records import IncrementRow, Sharing, StageUse


def sharing(
    rows: Mapping[int, Sequence[IncrementRow]], failed: Sequence[StageUse] = (), *, unit: str = "seconds"
) -> Sharing | None:
    """Compare what trials would have cost one by one with what was paid for them.

    Two things make a search cheaper: what its trials share with each other, and what lay in the store before it. Only
    the first has a bound. With b the base task's share of the cost as if alone, k base configurations and N trials,
    training each base once saves at most the factor 1 / (1 - b (1 - k / N)). The bound is computed from the costs of
    the stages themselves, each counted once, so that it also holds where base configurations differ in cost, or where
    trials have more in common than their bases.

    Args:
        rows: of each trial.
        failed: stages of increments that failed, which are in no row.
        unit: `seconds` (wall time), `cpu_seconds`, or `images_trained`.

    Returns:
        None where no trial has done its base task, or where nothing was paid (all had been trained before).
    """
    uses = [use for of_trial in rows.values() for row in of_trial for use in row.stages]
    base_uses = [use for of_trial in rows.values() for row in of_trial[:1] for use in row.stages]
    alone = sum(_cost(use, unit) for use in uses)
    paid = sum(_cost(use, unit) for use in (*uses, *failed) if use.origin == "trained")
    trained = {use.key for use in (*uses, *failed) if use.origin == "trained"}
    found = _once([use for use in uses if use.key not in trained], unit)
    if not base_uses or not paid:
        return None
    return Sharing(
        unit=unit,
        trials=sum(bool(of_trial) for of_trial in rows.values()),
        base_configurations=len({of_trial[0].stages[-1].key for of_trial in rows.values() if of_trial}),
        base_share=sum(_cost(use, unit) for use in base_uses) / alone,
        saving=alone / paid,
        own=alone / (paid + found),
        found=found / alone,
        bound=alone / _once(uses, unit),
    )


def _once(uses: Sequence[StageUse], unit: str) -> float:
    """The cost of stages if each had been trained once; of one trained twice the cheaper run."""
    costs: dict[str, float] = {}
    for use in uses:
        costs[use.key] = min(_cost(use, unit), costs.get(use.key, math.inf))
    return sum(costs.values())


def unit_of(device: str) -> str:
    """The steadier measure of cost: CPU time on a CPU, which other work on the machine does not stretch."""
    return "cpu_seconds" if device == "cpu" else "seconds"


def _cost(use: StageUse, unit: str) -> float:
    if unit == "cpu_seconds":
        return use.seconds if use.cpu_seconds is None else use.cpu_seconds
    return float(getattr(use, unit))
