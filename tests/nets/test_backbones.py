"""The ResNets: sizes, stages, torchvision's weights, and a ResNet-32 written again."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18

from tune_cl.errors import TuneCLError
from tune_cl.nets import (
    POOLED,
    ClassifierShape,
    build_classifier,
    fixed_width,
    load_backbone,
    network_names,
    new_classifier,
    save_classifier,
)

RESNET32 = ClassifierShape("resnet32_cifar", 16, (3, 32, 32), 10)
RESNET18 = ClassifierShape("resnet18", 64, (3, 64, 64), 10)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def torchvisions() -> nn.Module:
    """torchvision's ResNet-18 with random weights and batch-norm statistics that are no longer the initial ones."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        net = resnet18(num_classes=7).train()
        for _ in range(2):
            net(2 * torch.randn(4, 3, 64, 64) + 0.5)
    return net.eval()


def images(shape: ClassifierShape, n: int = 2) -> torch.Tensor:
    return torch.randn(n, *shape.image_shape, generator=torch.Generator().manual_seed(1))


def parameters_of(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_resnet_32_has_the_published_number_of_parameters():
    convolutions = 9 * (3 * 16 + 10 * 16 * 16 + 16 * 32 + 9 * 32 * 32 + 32 * 64 + 9 * 64 * 64)
    norms = 2 * (11 * 16 + 10 * 32 + 10 * 64)
    expected = convolutions + norms + 64 * 10 + 10
    assert parameters_of(new_classifier(RESNET32, 0)) == expected == pytest.approx(0.46e6, rel=0.01)


def test_resnet_18_has_torchvisions_parameters(torchvisions):
    features = parameters_of(torchvisions) - parameters_of(torchvisions.fc)
    assert parameters_of(new_classifier(RESNET18, 0)) == features + 512 * 10 + 10


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (RESNET32, [(3, 32, 32), (16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8), (64, 8, 8), (64, 1, 1)]),
        (RESNET18, [(3, 64, 64), (64, 16, 16), (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2), (512, 1, 1)]),
    ],
    ids=["resnet32_cifar", "resnet18"],
)
def test_stages_are_the_stem_and_the_groups(shape, expected):
    classifier = new_classifier(shape, 0)
    assert [classifier.feature_shape(stage) for stage in range(POOLED + 1)] == expected
    assert classifier.n_features == expected[-1][0]


@pytest.mark.parametrize("network", network_names())
def test_the_activations_of_one_pass_are_those_of_each_stage(network):
    shape = ClassifierShape(network, fixed_width(network) or 4, (1, 32, 32), 3)
    classifier = new_classifier(shape, 0).eval()
    with torch.no_grad():
        activations = classifier.activations(images(shape))
        assert len(activations) == POOLED + 1
        for stage, activation in enumerate(activations):
            assert torch.equal(activation, classifier.features(images(shape), stage))
        assert torch.equal(classifier.head(activations[POOLED]), classifier(images(shape)))


RESNETS_32 = [
    ("resnet32_cifar", True),
    ("resnet32_cifar", False),
    ("resnet32_projection", True),  # LUCIR's comparisons
    ("resnet32_projection", False),  # LUCIR
    ("resnet32_podnet", True),
    ("resnet32_podnet", False),  # PODNet
]


@pytest.mark.parametrize(("network", "final_relu"), RESNETS_32)
def test_a_resnet_32_computes_what_is_published_of_it(network, final_relu):
    """Written again on the bare tensors: conv-bn-relu-conv-bn, a shortcut, and a relu where the variant has one.

    Shortcuts skip pixels and pad channels (He et al., PODNet) or are a convolution with batch norm (LUCIR). PODNet's
    fifteenth block is stage 5 and no block ends with a relu.
    """
    shape = replace(RESNET32, network=network, final_relu=final_relu)
    classifier = new_classifier(shape, 3).train()
    with torch.no_grad():
        for name, weights in classifier.named_parameters():
            if name.endswith("bn2.weight"):
                weights.fill_(0.5)  # PODNet's branches start at 0
    for _ in range(2):
        classifier(images(shape, 8))
    classifier.eval()
    state = {name.removeprefix("layers."): tensor for name, tensor in classifier.state_dict().items()}

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        w, b, mean, var = (state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        return (x - mean.view(-1, 1, 1)) * (w / (var + 1e-5).sqrt()).view(-1, 1, 1) + b.view(-1, 1, 1)

    names = [f"{group}.{block}" for group in (1, 2, 3) for block in range(5)]
    if network == "resnet32_podnet":
        names[-1] = "4.0"
    with torch.no_grad():
        x = functional.relu(normed(functional.conv2d(images(shape), state["0.0.weight"], padding=1), "0.1"))
        for name in names:
            stride = 2 if name in ("2.0", "3.0") else 1
            y = functional.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = functional.conv2d(functional.relu(normed(y, f"{name}.bn1")), state[f"{name}.conv2.weight"], padding=1)
            shortcut = torch.zeros_like(y)
            shortcut[:, : x.shape[1]] = x[:, :, ::stride, ::stride]
            if stride == 2 and network == "resnet32_projection":
                shortcut = functional.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2)
                shortcut = normed(shortcut, f"{name}.downsample.1")
            x = normed(y, f"{name}.bn2") + shortcut
            if final_relu if name == names[-1] else network != "resnet32_podnet":
                x = functional.relu(x)
        torch.testing.assert_close(classifier.features(images(shape), 5), x, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(classifier.features(images(shape), 6), x.mean((2, 3)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", network_names())
def test_without_the_final_relu_features_take_both_signs_and_with_it_none_is_negative(network):
    for final_relu in (True, False):
        shape = ClassifierShape(network, fixed_width(network) or 4, (3, 32, 32), 3, final_relu=final_relu)
        classifier = new_classifier(shape, 0)
        with torch.no_grad():
            for name, weights in classifier.named_parameters():
                if name.endswith("bn2.weight"):
                    weights.fill_(1.0)
            lowest = classifier.features(images(shape), 5).min()
        assert (lowest == 0) if final_relu else (lowest < 0)
        assert build_classifier(save_classifier(classifier)).shape == shape


def test_podnets_residual_branches_start_at_zero():
    classifier = new_classifier(replace(RESNET32, network="resnet32_podnet"), 0)
    branches = [weights for name, weights in classifier.named_parameters() if name.endswith("bn2.weight")]
    assert len(branches) == 15 and not any(weights.any() for weights in branches)


@pytest.mark.parametrize("head", ["linear", "proxies"])
def test_loaded_weights_give_torchvisions_features_and_leave_the_head_alone(head, torchvisions):
    classifier = new_classifier(ClassifierShape("resnet18", 64, (3, 64, 64), 10, head), 0)
    before = {name: tensor.clone() for name, tensor in classifier.head.state_dict().items()}
    load_backbone(classifier, torchvisions.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.head.state_dict().items())
    assert classifier.layers[2][1].bn2.num_batches_tracked == 2
    assert all(p.requires_grad for p in classifier.parameters())
    seen = {}
    hook = torchvisions.fc.register_forward_hook(lambda module, args, output: seen.update(pooled=args[0]))
    with torch.no_grad():
        torchvisions(images(RESNET18))
        features = classifier.eval().features(images(RESNET18), POOLED)
    hook.remove()
    torch.testing.assert_close(features, seen["pooled"])
    if head == "linear":
        with torch.no_grad():
            expected = seen["pooled"] @ before["weight"].T + before["bias"]
            torch.testing.assert_close(classifier(images(RESNET18)), expected)


def test_older_files_without_counters_load_and_share_no_memory(torchvisions):
    classifier = new_classifier(RESNET18, 0)
    weights = {n: t.clone() for n, t in torchvisions.state_dict().items() if not n.endswith("num_batches_tracked")}
    load_backbone(classifier, weights)
    weights["conv1.weight"].zero_()
    assert torch.equal(classifier.layers[0][0].weight, torchvisions.conv1.weight)
    assert classifier.layers[0][1].num_batches_tracked == 0


def without(weights: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in weights.items() if key != name}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda w: without(w, "layer2.0.downsample.0.weight"), "'layer2.0.downsample.0.weight' is missing"),
        (lambda w: {f"module.{name}": t for name, t in w.items()}, "'module.conv1.weight' and 121 more has no place"),
        (lambda w: {**w, "layers.0.0.weight": w["conv1.weight"]}, "'layers.0.0.weight' has no place"),
        (lambda w: {**w, "layer4.2.bn1.bias": w["bn1.bias"]}, "'layer4.2.bn1.bias' has no place"),
        (lambda w: {**w, "bn1.bias": torch.zeros(32)}, r"'bn1.bias' is \(32,\), not \(64,\)"),
        (lambda w: {**w, "bn1.bias": 0.5}, "'bn1.bias' is float"),
        (lambda w: {}, "'conv1.weight' and 99 more is missing"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_a_sentence_and_change_nothing(damage, message, torchvisions):
    classifier = new_classifier(RESNET18, 0)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    with pytest.raises(TuneCLError, match=message):
        load_backbone(classifier, damage(torchvisions.state_dict()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.state_dict().items())


def test_only_the_imagenet_resnet_takes_torchvisions_weights(torchvisions):
    for network in ("resnet18_cifar", "resnet32_cifar", "small_cnn"):
        classifier = new_classifier(ClassifierShape(network, fixed_width(network) or 8, (3, 32, 32), 2), 0)
        with pytest.raises(TuneCLError, match=f"'resnet18' only, not '{network}'"):
            load_backbone(classifier, torchvisions.state_dict())
    grey = new_classifier(ClassifierShape("resnet18", 64, (1, 32, 32), 2), 0)
    with pytest.raises(TuneCLError, match=r"'conv1.weight' is \(64, 3, 7, 7\), not \(64, 1, 7, 7\)"):
        load_backbone(grey, torchvisions.state_dict())


@pytest.mark.parametrize(("network", "width"), [("resnet18_cifar", 32), ("resnet32_cifar", 64), ("resnet18", 16)])
def test_networks_of_one_width_refuse_others(network, width):
    with pytest.raises(ValueError, match=f"{network} has width {fixed_width(network)}, not {width}"):
        new_classifier(ClassifierShape(network, width, (3, 32, 32), 2), 0)


def test_unknown_networks_are_refused_with_the_known_ones():
    assert fixed_width("small_cnn") is None
    with pytest.raises(ValueError, match=r"network 'resnet50' is unknown; it is 'small_cnn', 'resnet18_cifar'"):
        new_classifier(ClassifierShape("resnet50", 64, (3, 32, 32), 2), 0)


def test_a_small_resnet_is_stored_and_built_again():
    classifier = new_classifier(RESNET32, 0).eval()
    again = build_classifier(save_classifier(classifier)).eval()
    with torch.no_grad():
        assert torch.equal(again(images(RESNET32)), classifier(images(RESNET32)))
