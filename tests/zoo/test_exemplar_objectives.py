"""What an exemplar method minimises in an increment: terms and gradient of one update, against the formulas."""

from typing import Any

import numpy as np
import pytest
import torch
from objectives_by_hand import (
    OBJECTIVES,
    Terms,
    cross_entropy,
    formula,
    margin_ranking,
    nca,
    proxy_scores,
    unit,
)
from tiny_phases import CPU, tiny_stream
from torch import Tensor
from unequal_classes import (
    HEADS,
    NESTEROV,
    UNEQUAL,
    Step,
    Trained,
    config_of,
    images_of,
    old_classifier,
    old_network,
    start_of,
    state_of,
    train,
)

from tune_cl.methods import get_method
from tune_cl.nets import (
    POOLED,
    Classifier,
    ClassifierShape,
    build_classifier,
    fixed_width,
    network_names,
    new_classifier,
)
from tune_cl.streams import Pixels
from tune_cl.zoo.podnet import compared_layers

BENT = {"tau": 0.7, "alpha": 3.0, "epsilon": 0.3}
COSINES = {"weight_feature": 3.0, "weight_ranking": 2.0, "margin": 0.4}
PODS = {"weight_spatial": 5.0, "weight_flat": 0.5, "imprint": False}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("il_baseline", {"loss": "ce"}),
    ("il_baseline", {"loss": "balanced", "temperature": 3.0, **BENT}),
    ("il_baseline", {"loss": "relaxed", **BENT}),
    ("il_baseline", {"loss": "posthoc", "weighting": "fixed", "weight_kd": 2.5, **BENT}),
    ("icarl", {"loss": "ce", "temperature": 3.0, "weight_kd": 0.4}),
    ("icarl", {"loss": "balanced", **BENT}),
    ("icarl", {"loss": "relaxed", **BENT}),
    ("icarl", {"loss": "bce"}),
    ("icarl", {"loss": "balanced_bce"}),
    ("lucir", {"loss": "ce", **COSINES}),
    ("lucir", {"loss": "balanced", "imprint": False, "old_head": "trained", **COSINES, **BENT}),
    ("lucir", {"loss": "relaxed", "ranking_classes": 1, **COSINES, **BENT}),
    ("podnet", {"loss": "nca", **PODS}),
    ("podnet", {"loss": "nca_formula", **PODS, "margin": 0.3}),
    ("podnet", {"loss": "ce", **PODS}),
    ("podnet", {"loss": "balanced", "old_head": "trained", **PODS, **BENT}),
    ("podnet", {"loss": "relaxed", **PODS, **BENT}),
    ("lwf", {"loss": "ce", "weight_kd": 2.0, "temperature": 3.0}),
    ("lwf", {"loss": "relaxed", "epsilon": 0.3}),
]


def assert_one_update_follows(trained: Trained, start: Classifier, terms: Terms, frozen_rows: int = 0) -> None:
    """The terms are those reported, and all parameters but so many rows of the head moved by the total's gradient."""
    terms.pop("total").backward()
    assert trained.result.losses == pytest.approx(
        {name: term.item() for name, term in terms.items()}, rel=1e-4, abs=1e-7
    )
    gradients = {
        name: torch.zeros_like(weights) if weights.grad is None else weights.grad
        for name, weights in start.named_parameters()
    }
    gradients["head.weight"][:frozen_rows] = 0
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, weights in start.named_parameters():
        moved = (weights.detach() - trained.tensors[name]) / NESTEROV
        torch.testing.assert_close(moved, gradients[name], rtol=1e-3, atol=1e-4 * largest, msg=name)


@pytest.mark.parametrize(("method", "changes"), CASES)
def test_one_update_follows_the_exemplar_methods_objective(method, changes):
    trained = train(method, **changes)
    ((images, labels),) = trained.batches
    config, start = config_of(method, **changes), start_of(method, **changes)
    assert trained.counts == [*([0] * 4 if method == "lwf" else UNEQUAL.old), *UNEQUAL.new]
    terms = OBJECTIVES[method](config, start, old_network(method), images, labels, np.array(trained.counts, float))
    frozen = getattr(config, "old_head", "trained") == "frozen"
    assert_one_update_follows(trained, start, terms, frozen_rows=4 if frozen else 0)


BASE = Step(old=(), new=(5, 16, 11, 3), t=0)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("icarl", {"loss": "ce"}),
        ("icarl", {"loss": "bce"}),
        ("lucir", {"scale": 4.0}),
        ("podnet", {"loss": "nca", "scale": 4.0}),
        ("podnet", {"loss": "nca_formula", "margin": 0.3, "scale": 4.0}),
        ("podnet", {"loss": "ce", "scale": 4.0}),
    ],
)
def test_one_update_follows_the_base_tasks_objective(method, changes):
    trained, start = train(method, BASE, **changes), start_of(method, BASE, **changes)
    ((images, labels),) = trained.batches
    logits = start(images)
    term = changes.get("loss", "ce")
    if term == "bce":
        signs = 1 - 2 * torch.eye(4)[labels]
        loss = (1 + (signs * logits).exp()).log().mean()
    elif term.startswith("nca"):
        loss = _nca_of(term, start, images, labels)
    else:
        loss = cross_entropy(logits, labels, np.ones(4))
    assert_one_update_follows(trained, start, {term.removesuffix("_formula"): loss, "total": loss})


def _nca_of(kind: str, network: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    scores, eta = proxy_scores(network, unit(network.features(images, POOLED))), network.head.scale
    return nca(scores, eta, labels) if kind == "nca" else formula(scores, eta, labels, 0.3)


FINETUNED = [
    ("il_baseline", {}),
    ("icarl", {}),
    ("lucir", {"weight_feature": 3.0, "weight_ranking": 2.0, "margin": 0.9, "ranking_classes": 1}),
    ("podnet", {"loss": "nca"}),
    ("podnet", {"loss": "nca_formula", "margin": 0.3}),
    ("podnet", {"loss": "ce"}),
]


@pytest.mark.parametrize("trains", ["head", "all"])
@pytest.mark.parametrize(("method", "changes"), FINETUNED)
@pytest.mark.parametrize("batch_norm", ["eval", "train"])
def test_one_update_of_balanced_finetuning_follows_its_plain_loss(method, changes, trains, batch_norm):
    """Ten exemplars of four classes: two images of each new class, and no prior although counts differ."""
    options = {"trains": trains, "batch_norm": batch_norm, **({"scale": "trained"} if method in HEADS else {})}
    trained = train(method, phase="finetune", state=state_of(method, 7), batch_size=16, **options, **changes)
    assert trained.counts == [*UNEQUAL.old, 2, 2, 2]
    ((images, labels),) = trained.batches
    start = build_classifier(old_classifier(method, 7)).train(batch_norm == "train")
    if trains == "head":
        start.layers.requires_grad_(False)
    term = changes.get("loss", "ce")
    loss = _nca_of(term, start, images, labels) if term != "ce" else cross_entropy(start(images), labels, np.ones(7))
    terms = {term.removesuffix("_formula"): loss, "total": loss}
    if method == "lucir":
        cosines = unit(start.features(images, POOLED)) @ unit(start.head.weight).T
        terms["ranking"] = margin_ranking(cosines, labels, 4, 0.9, 1)
        terms["total"] = loss + 2 * terms["ranking"]
    if method == "lucir" and trains == "all":
        teacher = unit(old_network(method).features(images, POOLED))
        terms["feature"] = (1 - (unit(start.features(images, POOLED)) * teacher).sum(1)).mean()
        terms["total"] = terms["total"] + 3 * (4 / 3) ** 0.5 * terms["feature"]
    assert_one_update_follows(trained, start, terms)


def test_binary_finetuning_follows_icarls_own_loss():
    """A base task on sigmoids is finetuned on sigmoids: the phase is another one."""
    phases = {phase.kind: phase for phase in get_method("icarl").increment}
    config = {
        "base": {"classifier": {"loss": "bce"}},
        "increment": {"classifier": {"loss": "bce"}, "finetune": {"epochs": 1}},
    }
    chosen = get_method("icarl").phases(get_method("icarl").config.model_validate(config), 1, 3)
    assert [phase.kind for phase in chosen] == ["icarl.sigmoid.classifier", "sigmoid.finetune", "memory"]
    assert phases["sigmoid.finetune"].run is not phases["linear.finetune"].run


def old_features(method: str, step: Step) -> Tensor:
    """Directions of the new images' features in the old classifier, as the images are: (N, D)."""
    images = images_of(step.new, step.n_old).images
    with torch.no_grad():
        return unit(old_network(method).features(Pixels(tiny_stream().preprocessing, CPU).normalise(images), POOLED))


def test_lucirs_new_weights_are_the_mean_directions_at_the_mean_length_of_the_old_ones():
    features, length = old_features("lucir", UNEQUAL), old_classifier("lucir").tensors["head.weight"].norm(dim=1).mean()
    expected = torch.stack([unit(own.mean(0)) * length for own in features.split(UNEQUAL.new)])
    found = start_of("lucir").head.weight.detach()
    torch.testing.assert_close(found[4:], expected)
    assert not torch.allclose(start_of("lucir", imprint=False).head.weight[4:], expected, atol=0.1)


def test_podnets_first_new_proxy_is_the_direction_of_a_classs_only_image():
    step = Step(new=(1, 1, 1))
    length = old_classifier("podnet").tensors["head.weight"].norm(dim=2).mean()
    found = start_of("podnet", step).head.weight.detach()
    torch.testing.assert_close(found[4:, 0], old_features("podnet", step) * length)
    torch.testing.assert_close(found[4:].norm(dim=2), length.expand(3, 3))


@pytest.mark.parametrize("network", network_names())
def test_pod_spatial_compares_the_maps_of_every_block(network):
    shape = ClassifierShape(network, fixed_width(network) or 4, (3, 32, 32), 2)
    stages = enumerate(new_classifier(shape, 0).layers, start=1)
    assert list(compared_layers(network)) == [i for i, stage in stages if i > 1 and list(stage.parameters())]
