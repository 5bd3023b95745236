"""Phase versions (decision 3): what a phase computes is recorded, and a change of it needs a new version.

Every kind of phase of every method trains three steps on fixed real data. What comes out is boiled down to a few robust
numbers: its loss terms, and for each network the norm and three projections of its tensors and of what the last two
steps changed in them. They are compared with `phase_checksums.json` at a relative tolerance, not hashed, and computed
in float64: the last bits of a sum depend on the processor, and three steps of Adam, whose first one makes a whole step
of the tiniest gradient, amplify a difference in the last bit of float32 up to the first digit (measured).

After a change of what a phase computes: raise its `version` where its `Phase` is declared, then record again with

    python tests/zoo/test_phase_versions.py --record
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_phases import CPU, phase_data, subtree

from tune_cl.methods import Phase, PhaseContext, PhaseResult, get_method, method_names
from tune_cl.nets import (
    ClassifierShape,
    Component,
    DiscriminatorShape,
    GeneratorShape,
    new_classifier,
    new_discriminator,
    new_generator,
    save_classifier,
    save_discriminator,
    save_generator,
)
from tune_cl.streams import RandomKey

RECORDED = Path(__file__).parent / "phase_checksums.json"
TOLERANCE = 1e-4  # of the largest number of its group; see the module's docstring

HEADS = {"lucir": "cosine", "podnet": "proxies", "proxies.finetune": "proxies"}

Numbers = dict[str, list[float]]  # group (a loss term, or one view of a network) -> its numbers

# Settings under which each kind is recorded; three epochs of one step each, or three steps. Where a kind has more than
# one way to compute its losses, each has a variant.
_CLASSIFIER = {"epochs": 3, "batch_size": 64, "learning_rate": 0.01, "weight_decay": 0.1, "schedule": "constant"}
_HOST = {**_CLASSIFIER, "optimizer": "sgd"}
_GAN = {"steps": 3, "learning_rate": 0.01, "r1_gamma": 5.0, "r1_interval": 2, "ema_ramp": 1.0}
_FIXED = {**_GAN, "augmentation": "fixed", "augmentation_p": 0.6}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "base.classifier": {
        "sgd": {**_CLASSIFIER, "optimizer": "sgd"},
        "adamw, steps": {**_CLASSIFIER, "optimizer": "adamw", "schedule": "steps"},
        "radam, cosine": {**_CLASSIFIER, "optimizer": "radam", "schedule": "cosine"},
    },
    "finetune.classifier": {"sgd": {**_CLASSIFIER, "optimizer": "sgd"}},
    "lwf.classifier": {
        "relaxed": {**_CLASSIFIER, "optimizer": "sgd"},
        "ce": {**_CLASSIFIER, "optimizer": "sgd", "loss": "ce"},
    },
    "joint.classifier": {"sgd": {**_CLASSIFIER, "optimizer": "sgd"}},
    **{
        kind: {
            "soft": {**_CLASSIFIER, "optimizer": "sgd", "weight_ce": 0.3},
            "hard, balanced": {
                **_CLASSIFIER, "optimizer": "sgd", "weight_ce": 0.3, "replay_labels": "hard", "loss": "balanced",
                "replay_share": 0.3,
            },
            "relaxed, teacher in train mode": {
                **_CLASSIFIER, "optimizer": "sgd", "weight_ce": 0.3, "loss": "relaxed", "teacher_batch_norm": "train",
            },
        }
        for kind in ("genifer.classifier", "oracle.classifier", "feature_replay.classifier")
    },
    "sigmoid.base.classifier": {"bce": {**_CLASSIFIER, "optimizer": "sgd", "loss": "bce"}},
    "cosine.base.classifier": {"sgd": {**_CLASSIFIER, "optimizer": "sgd", "scale": 4.0}},
    "proxies.base.classifier": {
        "nca": {**_CLASSIFIER, "optimizer": "sgd", "scale": 4.0},
        "nca_formula, cosine": {
            **_CLASSIFIER, "optimizer": "sgd", "scale": 4.0, "loss": "nca_formula", "similarity": "cosine",
        },
        "ce": {**_CLASSIFIER, "optimizer": "sgd", "scale": 4.0, "loss": "ce", "proxies": 3},
    },
    "base.memory": {"herding": {"size": 5}, "random": {"size": 5, "selection": "random"}},
    "memory": {"as before": {}},
    "il_baseline.classifier": {
        "ce": {**_HOST, "weighting": "fixed"},
        "balanced": {**_HOST, "loss": "balanced"},
        "posthoc, steps_50_75": {**_HOST, "loss": "posthoc", "tau": 0.5, "schedule": "steps_50_75"},
        "class_balanced": {**_HOST, "sampler": "class_balanced"},
    },
    "icarl.classifier": {
        "ce": _HOST,
        "relaxed": {**_HOST, "loss": "relaxed"},
    },
    "icarl.sigmoid.classifier": {"balanced_bce": {**_HOST, "loss": "balanced_bce", "schedule": "steps_70_90"}},
    "lucir.classifier": {
        "ce": _HOST,
        "balanced, trained": {**_HOST, "loss": "balanced", "old_head": "trained", "imprint": False},
    },
    "podnet.classifier": {
        "nca": _HOST,
        "nca_formula": {**_HOST, "loss": "nca_formula"},
        "balanced, trained": {**_HOST, "loss": "balanced", "old_head": "trained", "imprint": False},
    },
    "linear.finetune": {"head": _HOST, "all": {**_HOST, "trains": "all", "batch_norm": "train"}},
    "sigmoid.finetune": {"head": _HOST},
    "lucir.finetune": {"head": {**_HOST, "schedule": "steps_50"}, "all": {**_HOST, "trains": "all"}},
    "proxies.finetune": {"nca": _HOST, "ce": {**_HOST, "loss": "ce", "scale": "trained"}},
    "genifer.base.generator": {
        "fixed": _FIXED,
        "adaptive": _GAN,
        "image replay": {**_FIXED, "matching_layer": 0},
        "labels, gain": {
            **_GAN, "augmentation": "off", "weight_label": 2.0, "convolution_gain": "leaky_relu", "label_scale": "unit",
        },
    },
    # A weak tie to the old generator: Adam's first steps follow the sign of the gradient, so the stronger part's.
    "genifer.generator": {
        "fixed": {**_FIXED, "weight_image": 0.02},
        "adaptive": {**_GAN, "weight_image": 0.02, "weight_image_scaling": "none"},
        "labels": {**_GAN, "augmentation": "off", "weight_image": 0.02, "weight_label": 2.0},
    },
    "replay.student": {"three steps": {"steps": 3}},
    "oracle.student": {"three steps": {"steps": 3}},
    "feature_replay.base.generator": {"stage 4": _GAN, "stage 3": {**_GAN, "replay_layer": 3}},
    "feature_replay.generator": {"stage 4": {**_GAN, "weight_image": 0.02}},
}  # fmt: skip


@cache
def kinds() -> dict[str, tuple[str, int, Phase]]:
    """Every kind of phase, with a method that has it and the increment at which it runs."""
    found: dict[str, tuple[str, int, Phase]] = {}
    for name in sorted(method_names(), key=lambda name: name == "image_replay"):  # which has genifer's phases
        method = get_method(name)
        for t, phases in enumerate(method.parts().values()):
            for phase in phases:
                first = found.setdefault(phase.kind, (name, t, phase))
                if phase.run is not first[2].run:  # one kind, so that stages are shared; more losses than the first has
                    found[f"{phase.kind} of {name}"] = (name, t, phase)
    return found


def train(kind: str, changes: Mapping[str, Any]) -> PhaseResult:
    """Train a phase on fixed data, from a fixed state."""
    method, t, phase = kinds()[kind]
    config = subtree(method, f"{'base' if t == 0 else 'increment'}.{phase.name}", changes)
    torch.set_default_dtype(torch.float64)
    try:
        after_classifier = phase.name in ("generator", "finetune", "memory") and t > 0
        head = next((head for start, head in HEADS.items() if kind.startswith(start)), "linear")
        state = _untrained_state(6 if after_classifier else 4, head, makes_features=kind.startswith("feature_replay"))
        memory = state["memory"] if phase.sees_memory else None
        context = PhaseContext(RandomKey(7, t, phase.name), CPU, before=_untrained_state(4, head, makes_features=False))
        return phase.run(config, phase_data(t, with_past=phase.sees_past, memory=memory), state, context)
    finally:
        torch.set_default_dtype(torch.float32)


def _untrained_state(n_classes: int, head: str, makes_features: bool) -> dict[str, Component]:
    """Networks with initial weights, so that a change of one phase is no change of those that follow it."""
    options = {"head": head, "proxies": 3, "scale": 4.0, "similarity": "distance"}
    shape = ClassifierShape("small_cnn", 8, (1, 28, 28), n_classes, **options)
    classifier = new_classifier(shape, 1).train()
    with torch.no_grad():
        classifier(phase_data(0).new.images / 255)  # batch-norm statistics other than 0 and 1
        classifier.head.weight.mul_(10)  # a teacher that says something
    made = (32, 7, 7) if makes_features else (1, 28, 28)
    generator = new_generator(GeneratorShape(made, 10, 8, 8, 4, 8, 7), 2)
    discriminator = save_discriminator(new_discriminator(DiscriminatorShape((32, 7, 7), 10, 4, 4), 3))
    return {
        "classifier": save_classifier(classifier),
        "generator": save_generator(generator),
        "discriminator": Component("discriminator", {**discriminator.settings, "layer": 4}, discriminator.tensors),
        "memory": Component(
            "memory",
            {"budget": "total", "size": 12, "selection": "herding"},
            {"labels": torch.arange(4).repeat_interleave(3), "positions": torch.tensor([5, 0, 9] * 4)},
        ),
    }


def checksum(kind: str, changes: Mapping[str, Any]) -> Numbers:
    """A few numbers that tell what three steps of a phase compute."""
    one = {**changes, **{name: 1 for name in ("steps", "epochs") if name in changes}}
    first, third = train(kind, one), train(kind, changes)
    numbers: Numbers = {f"loss {term}": [value] for term, value in sorted(third.losses.items())}
    numbers |= {f"metric {name}": [value] for name, value in sorted(third.metrics.items())}
    numbers["images trained"] = [float(third.images_trained)]
    for name in sorted(third.changed):
        after = _flat(third.changed[name])
        numbers[f"{name}"] = _summary(after)
        numbers[f"{name}, change"] = _summary(after - _flat(first.changed[name]))
    return numbers


def _flat(component: Component) -> torch.Tensor:
    """All floating tensors in one, float64, in order of their names; what is no network holds integers, too."""
    tensors = [component.tensors[name] for name in sorted(component.tensors)]
    if component.kind in ("memory", "class_means"):
        return torch.cat([tensor.flatten().double() for tensor in tensors])
    floating = [tensor.flatten() for tensor in tensors if tensor.is_floating_point()]
    exact = [tensor for name, tensor in component.tensors.items() if name != "adjustment"]
    assert all(tensor.dtype in (torch.float64, torch.int64) for tensor in exact)
    return torch.cat([tensor.double() for tensor in floating])


def _summary(values: torch.Tensor) -> list[float]:
    """Norm and three fixed projections, each on a unit vector times the root of its length."""
    place = torch.arange(1, len(values) + 1, dtype=torch.float64)
    waves = [torch.sin(place * step) * math.sqrt(2) for step in (1.0, math.sqrt(2), math.sqrt(7))]
    return [float(values.norm()), *(float((values * wave).sum()) for wave in waves)]


def differences(recorded: Numbers, found: Numbers) -> list[str]:
    """Groups that differ by more than the tolerance."""
    different = sorted(recorded.keys() ^ found.keys())
    for group in recorded.keys() & found.keys():
        scale = max(map(abs, recorded[group]), default=0.0)
        if not all(
            math.isclose(a, b, rel_tol=0, abs_tol=TOLERANCE * scale + 1e-12)
            for a, b in zip(recorded[group], found[group], strict=True)
        ):
            different.append(group)
    return different


@cache
def recorded() -> dict[str, Any]:
    return json.loads(RECORDED.read_text())


def test_every_kind_of_phase_is_recorded_under_its_version():
    versions = {kind: phase.version for kind, (_, _, phase) in kinds().items()}
    assert {kind: entry["version"] for kind, entry in recorded().items()} == versions, (
        "a phase was added, or its version raised: record again with `python tests/zoo/test_phase_versions.py --record`"
    )


@pytest.mark.parametrize(
    ("kind", "variant"), [(kind, variant) for kind, variants in VARIANTS.items() for variant in variants]
)
def test_a_phase_computes_what_its_version_computed(kind, variant):
    phase = kinds()[kind][2]
    different = differences(recorded()[kind]["checksum"][variant], checksum(kind, VARIANTS[kind][variant]))
    assert not different, (
        f"{kind} ({variant}) no longer computes what its version {phase.version} computed ({', '.join(different)}): "
        "if that is meant, raise the phase's version where its Phase is declared, so that stored stages of the old one "
        "are not taken for it, and record again with `python tests/zoo/test_phase_versions.py --record`"
    )


@pytest.mark.parametrize(
    ("kind", "variant", "changes"),
    [
        ("base.classifier", "sgd", {"weight_decay": 0.0}),
        ("base.classifier", "sgd", {"learning_rate": 0.0101}),
        ("base.classifier", "radam, cosine", {"schedule": "constant"}),
        ("lwf.classifier", "relaxed", {"weight_kd": 0.9}),
        ("lwf.classifier", "relaxed", {"epsilon": 1e-3}),
        ("lwf.classifier", "ce", {"temperature": 2.2}),
        ("genifer.classifier", "soft", {"weight_ce": 0.33}),
        ("genifer.classifier", "soft", {"weight_feature": 0.9}),
        ("genifer.classifier", "soft", {"temperature": 1.1}),
        ("genifer.classifier", "hard, balanced", {"tau": 0.9}),
        ("genifer.classifier", "relaxed, teacher in train mode", {"teacher_batch_norm": "eval"}),
        ("oracle.classifier", "hard, balanced", {"replay_labels": "soft", "loss": "ce"}),
        ("joint.classifier", "sgd", {"replay_share": 0.4}),
        ("il_baseline.classifier", "ce", {"weight_kd": 1.1}),
        ("il_baseline.classifier", "balanced", {"tau": 0.9}),
        ("icarl.sigmoid.classifier", "balanced_bce", {"loss": "bce"}),
        ("lucir.classifier", "ce", {"margin": 0.4}),
        ("lucir.classifier", "balanced, trained", {"alpha": 1.2}),
        ("podnet.classifier", "nca", {"weight_flat": 1.1}),
        ("podnet.classifier", "nca_formula", {"margin": 0.55}),
        ("proxies.finetune", "nca", {"scale": "trained"}),
        ("lucir.finetune", "head", {"margin": 0.4}),
        ("lucir.finetune", "all", {"weight_feature": 4.9}),
        ("linear.finetune", "all", {"batch_norm": "eval"}),
        ("genifer.base.generator", "fixed", {"r1_gamma": 0.0}),
        ("genifer.base.generator", "fixed", {"r1_gamma": 2.5}),
        ("genifer.base.generator", "fixed", {"ema_ramp": 0.9}),
        ("genifer.base.generator", "fixed", {"augmentation_p": 0.5}),
        ("genifer.base.generator", "fixed", {"discriminator_ratio": 0.9}),
        ("genifer.generator", "fixed", {"weight_image": 0.03}),
        ("genifer.generator", "fixed", {"weight_image_scaling": "none"}),
        ("genifer.generator", "adaptive", {"r1_interval": 3}),
    ],
)
def test_a_small_change_of_what_is_computed_is_noticed(kind, variant, changes):
    assert differences(recorded()[kind]["checksum"][variant], checksum(kind, {**VARIANTS[kind][variant], **changes}))


def test_another_processor_is_not_taken_for_a_change():
    """Without vector instructions every sum has another order."""
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    command = [sys.executable, __file__, "--compare", "base.classifier", "genifer.generator"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split("\n")
    assert found == ["DEFAULT", "[]", "[]", ""]


def compare(kinds_to_compare: list[str]) -> None:
    """Print the kind of processor that torch computes for, and the differences of each kind's first variant."""
    torch.set_num_threads(1)
    print(torch.backends.cpu.get_cpu_capability())
    for kind in kinds_to_compare:
        variant, changes = next(iter(VARIANTS[kind].items()))
        print(differences(recorded()[kind]["checksum"][variant], checksum(kind, changes)))


def record() -> None:
    """Write down what every phase computes now."""
    torch.set_num_threads(1)
    entries = {
        kind: {
            "version": kinds()[kind][2].version,
            "checksum": {
                variant: {
                    group: [float(f"{x:.7g}") for x in values] for group, values in checksum(kind, changes).items()
                }
                for variant, changes in variants.items()
            },
        }
        for kind, variants in VARIANTS.items()
    }
    RECORDED.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--record"]:
            record()
        case ["--compare", *names]:
            compare(names)
        case _:
            sys.exit("usage: python tests/zoo/test_phase_versions.py --record")
