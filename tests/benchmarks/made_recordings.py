"""Recordings made by hand: curves from a formula, costs that are whole numbers."""

import itertools
import random
from typing import Any

from simulator import RecordedIncrement, RecordedStage, RecordedTrial, Recording

from tune_cl.methods import get_method, leaves
from tune_cl.records import StreamRecord

BASE_LR, BASE_GAMMA = "base.classifier.learning_rate", "base.generator.r1_gamma"
WEIGHT, LR = "increment.classifier.weight_ce", "increment.classifier.learning_rate"
RANGES: dict[str, Any] = {
    WEIGHT: {"log": [0.01, 1.0]},
    LR: {"log": [1e-4, 1e-2]},
    BASE_LR: {"choice": [0.001, 0.01]},
    BASE_GAMMA: {"choice": [0.01, 0.1]},
}
DEFAULT = {WEIGHT: 0.1, LR: 1e-3, BASE_LR: 0.001, BASE_GAMMA: 0.01}
# (increment, phase) -> CPU seconds; images are ten times as many. 20 for the base, 9 and 6 for the increments.
SECONDS = {(0, "classifier"): 5, (0, "generator"): 15, (1, "classifier"): 3, (1, "generator"): 6, (2, "classifier"): 6}
BASE, INCREMENTS, HORIZON = 20, 15, 2


def made_recording(trials: int = 24, seed: int = 0) -> Recording:
    """Trials spread evenly over the four bases, `genifer`'s other parameters at their defaults."""
    draw = random.Random(seed)
    bases = itertools.cycle(itertools.product(RANGES[BASE_LR]["choice"], RANGES[BASE_GAMMA]["choice"]))
    places = [DEFAULT]
    for base_lr, base_gamma in itertools.islice(bases, 1, trials):
        log = {WEIGHT: 10 ** draw.uniform(-2, 0), LR: 10 ** draw.uniform(-4, -2)}
        places.append({**log, BASE_LR: base_lr, BASE_GAMMA: base_gamma})
    known = {path: leaf.default for path, leaf in leaves(get_method("genifer").config).items()}
    return Recording(
        method="genifer",
        stream=StreamRecord(name="fashion-b4-t3"),
        scale="small28",
        budget="quick",
        horizon=HORIZON,
        objective="val/average_incremental_accuracy",
        direction="max",
        train_seed=0,
        threads=1,
        device="cpu",
        fixed={path: value for path, value in known.items() if path not in RANGES},
        ranges=RANGES,
        default={**known, **DEFAULT},
        command=["by hand"],
        versions={},
        created="",
        trials=[recorded_trial(number, place) for number, place in enumerate(places)],
    )


def recorded_trial(number: int, place: dict[str, float]) -> RecordedTrial:
    base = f"{place[BASE_LR]}/{place[BASE_GAMMA]}"
    increments = []
    for t in range(HORIZON + 1):
        phases = [phase for increment, phase in SECONDS if increment == t]
        own = f"{number}/{t}"
        keys = {"classifier": f"{place[BASE_LR]}", "generator": base} if t == 0 else dict.fromkeys(phases, own)
        increments.append(
            RecordedIncrement(
                metrics={"val/average_incremental_accuracy": value(place, t), "val/accuracy": value(place, t)},
                accuracy_row=[value(place, t)] * (t + 1),
                stages=[
                    RecordedStage(
                        phase=phase,
                        key=f"{phase}/{keys[phase]}",
                        seconds=SECONDS[t, phase] + 0.5,
                        cpu_seconds=SECONDS[t, phase],
                        images_trained=10 * SECONDS[t, phase],
                    )
                    for phase in phases
                ],
            )
        )
    return RecordedTrial(trial=number, parameters=place, increments=increments)


def value(place: dict[str, float], increment: int) -> float:
    """Best where the weight is 0.3 and the rates are 2e-3 and 0.01; it falls as classes arrive."""
    distance = abs(place[WEIGHT] - 0.3) + 50 * abs(place[LR] - 2e-3) + 10 * abs(place[BASE_LR] - 0.01)
    return round(0.9 - 0.2 * increment * (1 + distance) / 2, 6)
