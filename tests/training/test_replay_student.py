"""The student by which replay is judged: what it learns from, how wide its features are, and what depends on it."""

import math

import numpy as np
import pytest
import torch
from tiny_phases import CPU, base_state, phase_context, phase_data, run_phase, subtree

from tune_cl.methods import PhaseResult, get_method
from tune_cl.nets import Component, build_classifier, build_generator, save_generator
from tune_cl.streams import Pixels
from tune_cl.training import SPREAD, STUDENT, within_class_spread


def judged(method: str, steps: int, state: dict[str, Component] | None = None) -> PhaseResult:
    judge = get_method(method).judge
    assert judge is not None
    data = phase_data(1, with_past=judge.sees_past)
    config = subtree(method, "increment.student", {"steps": steps})
    return judge.run(config, data, state or dict(base_state()), phase_context(1, STUDENT))


def test_a_student_of_real_images_tells_the_old_classes_apart():
    result = judged("oracle", 60)
    student = build_classifier(result.changed[STUDENT]).eval()
    data = phase_data(1, with_past=True)
    assert data.past is not None and student.shape.n_classes == 4
    with torch.no_grad():
        predicted = student(Pixels(data.preprocessing, CPU).see(data.past.images)).argmax(1)
    assert (predicted == data.past.labels).float().mean() > 0.7
    assert result.images_trained == 60 * 32


def test_a_student_of_a_generator_that_ignores_its_label_learns_nothing():
    """Its training loss stays at that of a guess, however good the old classifier is."""
    state = dict(base_state())
    generator = build_generator(state["generator"])
    with torch.no_grad():
        generator.embedding.weight.zero_()
    state["generator"] = save_generator(generator)
    assert judged("genifer", 30, state).losses["ce"] == pytest.approx(math.log(4), abs=0.1)
    assert judged("oracle", 30, state).losses["ce"] < 1.0


def test_the_spread_is_the_root_of_the_pooled_variance_within_classes():
    features = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 3
    labels = torch.arange(50) % 4
    total = sum(((part := features[labels == k].double().numpy()) - part.mean(0)).__pow__(2).sum() for k in range(4))
    assert within_class_spread(features, labels + 10) == pytest.approx(math.sqrt(total / (50 - 4)), rel=1e-5)
    assert math.isnan(within_class_spread(features[:4], labels[:4]))


def test_the_spread_of_replay_is_that_of_the_old_classifiers_features():
    results = [judged("oracle", 1).metrics[SPREAD], judged("genifer", 1).metrics[SPREAD]]
    assert all(np.isfinite(value) and value > 0 for value in results)
    data = phase_data(1, with_past=True)
    assert data.past is not None
    classifier = build_classifier(base_state()["classifier"]).eval()
    with torch.no_grad():
        features = classifier.features(Pixels(data.preprocessing, CPU).see(data.past.images), 6)
    assert results[0] == pytest.approx(within_class_spread(features, data.past.labels), rel=0.15)


def test_nothing_of_the_increment_depends_on_the_student():
    with_it = run_phase("genifer", 1, "classifier", {**base_state(), **judged("genifer", 2).changed})
    without = run_phase("genifer", 1, "classifier", base_state())
    for name, tensor in without.changed["classifier"].tensors.items():
        assert torch.equal(tensor, with_it.changed["classifier"].tensors[name])
