"""The memory phase: how many exemplars are kept, which ones, and what class means are made of."""

import numpy as np
import pytest
import torch
from tiny_phases import exemplars, phase_data, run_phase, same, tiny_stream

from tune_cl.nets import POOLED, Component, build_classifier
from tune_cl.replay import herd
from tune_cl.streams import Pixels


def grow_memory(until: int, **changes) -> list[dict[str, Component]]:
    """States of il_baseline after the memory phase of increments 0 to `until`."""
    state: dict[str, Component] = {}
    states = []
    for t in range(until + 1):
        state.update(run_phase("il_baseline", t, "classifier", state).changed)
        state.update(run_phase("il_baseline", t, "memory", state, changes if t == 0 else None).changed)
        states.append(dict(state))
    return states


def per_class(state: dict[str, Component]) -> list[int]:
    return torch.bincount(state["memory"].tensors["labels"]).tolist()


def test_a_memory_per_class_grows_with_the_classes():
    states = grow_memory(2, size=3)
    assert [per_class(state) for state in states] == [[3] * 4, [3] * 6, [3] * 8]


def test_a_total_memory_is_shared_equally_and_never_exceeded():
    states = grow_memory(3, budget="total", size=27)
    assert [per_class(state) for state in states] == [[6] * 4, [4] * 6, [3] * 8, [2] * 10]


def test_a_class_smaller_than_its_share_keeps_all_of_its_images():
    (state,) = grow_memory(0, size=500)
    assert per_class(state) == [16] * 4
    assert sorted(state["memory"].tensors["positions"][:16].tolist()) == list(range(16))


def test_thinning_keeps_those_that_were_chosen_first():
    first, second = grow_memory(1, budget="total", size=24)
    for c in range(4):
        before = first["memory"].tensors["positions"][first["memory"].tensors["labels"] == c]
        after = second["memory"].tensors["positions"][second["memory"].tensors["labels"] == c]
        assert after.tolist() == before.tolist()[: len(after)] and len(after) == 4 < len(before)


def pooled(state: dict[str, Component], images: torch.Tensor) -> torch.Tensor:
    data = phase_data(0)
    with torch.no_grad():
        classifier = build_classifier(state["classifier"]).eval()
        return classifier.features(Pixels(data.preprocessing, torch.device("cpu")).normalise(images), POOLED)


def test_exemplars_are_herded_on_the_classifier_that_has_just_been_trained():
    state = grow_memory(1, size=4)[1]
    data = tiny_stream().training(1)
    for c in (4, 5):
        own = data.images[data.labels == c]
        kept = state["memory"].tensors["positions"][state["memory"].tensors["labels"] == c]
        assert kept.tolist() == herd(pooled(state, own), 4).tolist()


def test_random_exemplars_are_others_and_depend_on_no_feature():
    herded, random = grow_memory(0, size=4)[0], grow_memory(0, size=4, selection="random")[0]
    other_weights = {**random, **run_phase("il_baseline", 0, "classifier", {}, {"learning_rate": 0.01}).changed}
    again = run_phase("il_baseline", 0, "memory", other_weights, {"size": 4, "selection": "random"}).changed
    assert not same(herded["memory"], random["memory"])
    assert same(again["memory"], random["memory"])


def test_class_means_are_those_of_the_exemplars_under_the_current_classifier():
    state = grow_memory(1, size=5)[1]
    means = state["class_means"].tensors["means"].double().numpy()
    kept = exemplars(state["memory"])
    features = pooled(state, kept.images).double().numpy()
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    for c in range(6):
        mean = features[kept.labels.numpy() == c].mean(0)
        assert means[c] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_choosing_exemplars_trains_nothing():
    state = grow_memory(0, size=3)[0]
    result = run_phase("il_baseline", 0, "memory", state, {"size": 3})
    assert set(result.changed) == {"memory", "class_means"} and result.images_trained == 0
