"""Every method with every loss that it can be told to use, at a size that learns within seconds on real images.

Methods from outside the package come in by the environment variable TUNE_CL_CONTRACT: see docs/adding-a-method.md.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune_cl.methods import get_method, leaves, method_names
from tune_cl.plugins import load_plugins
from tune_cl.records import RunConfig
from tune_cl.testing._chains import small_run

# After the last increment a case must be above fine-tuning by this, both in accuracy (fine-tuning, which knows the
# newest two of eight classes, has 0.244) and in accuracy on the old classes (it has 0.000), and above chance on the new
# ones. Measured: the least accuracy is 0.375; other instructions of the processor (sse, avx2) moved it by 0.03 at most.
# Another seed moves what so small a generator replays by far more, below the bar for some.
MARGIN = 0.1


@dataclass(frozen=True)
class Case:
    """A method under one loss."""

    method: str
    loss: str
    changes: Mapping[str, Any]
    replays: bool | None  # None: nobody has said

    def __str__(self) -> str:
        return f"{self.method}, {self.loss}"


def _cases(method: str, losses: Mapping[str, Mapping[str, Any]], replays: bool | None = False) -> list[Case]:
    """A case of each loss with what it changes; names without a dot are `increment.classifier.*`."""
    return [
        Case(
            method,
            loss,
            {name if "." in name else f"increment.classifier.{name}": value for name, value in changes.items()},
            replays,
        )
        for loss, changes in losses.items()
    ]


def _outside(modules: str) -> list[Case]:
    """Cases of methods from outside the package.

    Args:
        modules: with commas between them. In each, CONTRACT holds the losses with what each changes, as in `CASES`;
            without it every choice of `increment.classifier.loss` is a case that changes nothing else.
    """
    cases: list[Case] = []
    for module in filter(None, modules.split(",")):
        known = method_names()
        load_plugins([module])
        for method in method_names()[len(known) :]:
            loss = leaves(get_method(method).config).get("increment.classifier.loss")
            declared = {"ce": {}} if loss is None else _plain(*(loss.choices or (loss.default,)))
            cases += _cases(method, getattr(sys.modules[module], "CONTRACT", declared), replays=None)
    return cases


def _plain(*losses: str) -> dict[str, dict[str, Any]]:
    return {loss: {"loss": loss} for loss in losses}


def _beside(losses: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {loss: {**own, **changes} for loss, own in losses.items()}


REPLAY: dict[str, dict[str, Any]] = {
    "ce": {},
    "relaxed": {"loss": "relaxed"},
    "hard ce": {"replay_labels": "hard"},
    "balanced": {"loss": "balanced", "replay_labels": "hard"},
}
GENERATED: dict[str, dict[str, Any]] = {
    "ce": {"learning_rate": 1e-3},  # at more, what so small a generator replays does not hold
    "relaxed": {"loss": "relaxed", "learning_rate": 1e-3},
    # Hard labels of good replay hold the old classes so well that new ones need a higher rate, or weight.
    "hard ce": {"replay_labels": "hard", "learning_rate": 3e-3},
    "balanced": {"loss": "balanced", "replay_labels": "hard", "learning_rate": 2e-3, "weight_ce": 0.8},
}
SIGMOIDS: dict[str, dict[str, Any]] = {
    "bce": {"loss": "bce", "base.classifier.loss": "bce"},
    "balanced_bce": {"loss": "balanced_bce", "base.classifier.loss": "bce", "learning_rate": 8e-3},
}
LARGER_MEMORY = {"base.memory.size": 20}
TOTAL_AT_RANDOM = {"base.memory.budget": "total", "base.memory.size": 60, "base.memory.selection": "random"}
WITHOUT_MEMORY = {"loss": "relaxed", "base.memory.size": 0, "learning_rate": 1e-3}
FINETUNED = {
    "increment.finetune.epochs": 4,
    "increment.finetune.batch_size": 16,
    "increment.finetune.learning_rate": 0.05,
}

CASES = [
    *_cases("finetune", {"ce": {}}),
    *_cases("frozen", {"ce": {}}),
    *_cases("lwf", {"ce": {"loss": "ce", "weight_kd": 20.0, "learning_rate": 1e-3}, **_plain("relaxed")}),
    *_cases("feature_replay", {loss: {"weight_ce": 0.5, **own} for loss, own in GENERATED.items()}, replays=True),
    *_cases("image_replay", GENERATED, replays=True),
    *_cases("genifer", GENERATED, replays=True),
    *_cases("oracle", _beside(REPLAY, {"weight_ce": 0.5}), replays=True),
    *_cases("joint", {"ce": {}}),
    *_cases("il_baseline", {"ce": LARGER_MEMORY, "posthoc": {"loss": "posthoc", **LARGER_MEMORY}}),
    *_cases("il_baseline", _plain("balanced", "relaxed")),
    *_cases("il_baseline", {"balanced, random of a total": {"loss": "balanced", **TOTAL_AT_RANDOM}}),
    *_cases("il_baseline", {"ce, finetuned": FINETUNED}),
    *_cases("icarl", {"ce, finetuned": FINETUNED, "bce, finetuned": {**SIGMOIDS["bce"], **FINETUNED}}),
    *(
        case
        for method in ("il_baseline", "icarl", "lucir", "podnet")
        for case in _cases(method, {"relaxed, no memory": WITHOUT_MEMORY})
    ),
    *_cases("icarl", {"ce": LARGER_MEMORY, **_plain("balanced", "relaxed", "posthoc"), **SIGMOIDS}),
    *_cases("lucir", {**_plain("ce", "balanced", "relaxed", "posthoc"), "ce, finetuned": FINETUNED}),
    *_cases(
        "podnet", {**_plain("nca", "nca_formula", "ce", "balanced", "relaxed", "posthoc"), "nca, finetuned": FINETUNED}
    ),
    *_outside(os.environ.get("TUNE_CL_CONTRACT", "")),
]
METHODS = tuple(dict.fromkeys(case.method for case in CASES))
(FINE_TUNING,) = (case for case in CASES if str(case) == "finetune, ce")
FROZEN = [case for case in CASES if not get_method(case.method).increment]  # these train nothing after the base task


def run_of(case: Case, changes: Mapping[str, Any] | None = None) -> RunConfig:
    """The configuration of a case."""
    return small_run(case.method, {**case.changes, **(changes or {})})
