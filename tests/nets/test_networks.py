"""Networks by name: those of the package, and one that somebody else brings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from tune_cl.chain import stage_ingredients
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method
from tune_cl.nets import ClassifierShape, Network, network_names, new_classifier, register_network
from tune_cl.nets._networks import NETWORKS
from tune_cl.options import Numerics
from tune_cl.registry import Origin
from tune_cl.store import stage_key


def plain_layers(channels: Sequence[int], final_relu: bool) -> list[nn.Module]:
    last = nn.ReLU() if final_relu else nn.Identity()
    convolutions = [nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels)]
    return [*(nn.Sequential(c, nn.ReLU()) for c in convolutions[:-1]), nn.Sequential(convolutions[-1], last)]


PLAIN = Network("plain", (1, 1, 2, 2, 3), plain_layers)
ORIGIN = Origin("mine", "ab" * 32)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    monkeypatch.setattr(NETWORKS, "_members", dict(NETWORKS._members))
    monkeypatch.setattr(NETWORKS, "_origins", {})
    register_network(PLAIN, ORIGIN)
    yield PLAIN


def test_a_network_from_outside_is_built_at_any_width(plain: Network) -> None:
    classifier = new_classifier(ClassifierShape("plain", 5, (1, 28, 28), 3), seed=0)
    channels = [activation.shape[1] for activation in classifier.activations(torch.zeros(2, 1, 28, 28))]
    assert channels == [1, 5, 5, 10, 10, 15, 15]
    assert classifier(torch.zeros(2, 1, 28, 28)).shape == (2, 3)


def test_a_configuration_may_name_it_once_it_is_known(plain: Network) -> None:
    config = get_method("finetune").config.model_validate({"base": {"classifier": {"network": "plain", "width": 7}}})
    assert config.base.classifier.network == "plain"
    assert "plain" in network_names()


def test_a_configuration_that_names_an_unknown_one_is_refused_with_near_matches() -> None:
    with pytest.raises(ValueError, match=r"network 'small_cn' is unknown; .*; did you mean 'small_cnn'\?"):
        get_method("finetune").config.model_validate({"base": {"classifier": {"network": "small_cn"}}})


def test_its_source_is_in_the_key_of_the_stage_that_it_is_trained_in(plain: Network) -> None:
    method = get_method("finetune")
    config = method.config.model_validate({"base": {"classifier": {"network": "plain", "width": 7}}})

    def key() -> str:
        numerics = Numerics().resolved()
        return stage_key(stage_ingredients(None, {}, 0, method.base[0], config.base.classifier, numerics))

    before = key()
    register_network(plain, replace(ORIGIN, source="cd" * 32))
    assert key() != before
    register_network(plain, ORIGIN)
    assert key() == before


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (replace(PLAIN, name="small_cnn"), "another network of that name, of the package"),
        (replace(PLAIN, multiples=(1, 2, 3)), "five whole numbers"),
        (replace(PLAIN, multiples=(1, 2, 3, 4, 0)), "five whole numbers"),
    ],
)
def test_what_is_unsound_is_refused(network: Network, message: str) -> None:
    with pytest.raises(TuneCLError, match=message):
        register_network(network, ORIGIN)


def test_a_network_that_is_not_cut_into_five_is_refused_when_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NETWORKS, "_members", dict(NETWORKS._members))
    monkeypatch.setattr(NETWORKS, "_origins", {})
    register_network(replace(PLAIN, build=lambda channels, final_relu: plain_layers(channels, final_relu)[:4]), ORIGIN)
    with pytest.raises(ValueError, match="gives 4 layers; five are needed"):
        new_classifier(ClassifierShape("plain", 5, (1, 28, 28), 3), seed=0)
