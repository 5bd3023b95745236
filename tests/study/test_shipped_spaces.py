"""The shipped spaces: complete, allowed at every scale, and every commented line works once it is taken in."""

import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import tune_cl
from tune_cl.methods import Extent, get_method, keyed, leaves, method_names
from tune_cl.streams import DATASETS, parse_name
from tune_cl.study import SearchSpace, SpaceFile, load_space, resolve, shipped_spaces

SCALES = {
    "small28": "fashion-b4-t3",
    "small32": "cifar100-b50-t5",
    "cifar": "cifar100-b50-t5",
    "cub": "cub200-b100-t5",
    "imagenet": "imagenet100-b50-t5",
}
BUDGETS = ("quick", "full")
PLACES = list(product(SCALES, BUDGETS))
LADDER = ("frozen", "finetune", "lwf", "feature_replay", "image_replay", "genifer", "oracle", "joint")
EXEMPLAR_METHODS = ("il_baseline", "icarl", "lucir", "podnet")

_COMMENTED = re.compile(r"^( *)# ((?:base|increment)\.[\w.]+: .*)$")
_IN_PLACE = re.compile(r"^( *[\w.]+: ).*# or (\{.*\}|[^\s:;,]+)")


FOLDER = Path(__file__).parents[2] / "search_spaces"
PARTS = sorted(file.name for file in FOLDER.glob("_*.yaml"))  # what spaces extend, none by themselves
# Controls that extend genifer.yaml, and which of its commented ranges they say cannot be copied there.
CONTROLS = {
    "image_replay.yaml": ("matching_layer",),
    "feature_replay.yaml": ("matching_layer", "augmentation", "distillation_layer"),
}


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def extended_by(name: str) -> Iterator[str]:
    """A file, and all that it extends."""
    yield name
    if parent := re.search(r"^extends: (\S+)$", text_of(name), re.MULTILINE):
        yield from extended_by(parent[1])


def offers(text: str) -> Iterator[tuple[str, str]]:
    """Each line of a space with what it offers: itself without its '#', or with the value after its '# or'."""
    for line in text.splitlines():
        match = _COMMENTED.match(line) or _IN_PLACE.match(line)
        yield line, match[1] + match[2] if match else line


def taken_in(text: str) -> Iterator[tuple[str, str]]:
    """(path, the space's text) for each offer, taken by itself."""
    lines = list(offers(text))
    for i, (line, offered) in enumerate(lines):
        if offered != line:
            changed = [*(other for other, _ in lines[:i]), offered, *(other for other, _ in lines[i + 1 :])]
            yield offered.strip().split(":")[0], "\n".join(changed)


def load_text(folder: Path, text: str) -> SpaceFile:
    (folder / "space.yaml").write_text(text, encoding="utf-8")
    return load_space(str(folder / "space.yaml"))


def has_condition(path: str, text: str) -> bool:
    """Say whether a range of the space waits for another parameter's value."""
    return any(line.strip().startswith(f"{path}: {{") and "when:" in line for line in text.splitlines())


def resolved(space: SpaceFile, scale: str, budget: str, overrides: dict[str, Any] | None = None) -> SearchSpace:
    return resolve(space, config=get_method(space.method).config, scale=scale, budget=budget, overrides=overrides or {})


def base_of(method: str, scale: str, budget: str) -> dict[str, Any]:
    """What the base classifier's stage key holds of a method's shipped space."""
    tree = resolved(load_space(method), scale, budget).configuration({})
    return keyed(get_method(method).config.model_validate(tree).base.classifier)  # type: ignore[attr-defined]


def test_every_method_has_a_space_with_every_scale_and_budget() -> None:
    assert shipped_spaces() == sorted(f"{name}.yaml" for name in method_names())
    for name in shipped_spaces():
        space = load_space(name)
        assert f"{space.method}.yaml" == name
        assert list(space.scales) == list(SCALES)
        for scale in space.scales.values():
            assert list(scale.budgets) == list(BUDGETS)
            assert scale.note


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_first_line_is_the_command(name: str) -> None:
    assert text_of(name).splitlines()[0] == f"# python launch/search.py --space {name}"
    assert max(map(len, text_of(name).splitlines())) <= 120


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_default_is_a_configuration_whose_networks_fit_the_images(name: str) -> None:
    for stream, budget in product([*SCALES.values(), "imagenet-b500-t5", "quickdraw-b50-t5"], BUDGETS):
        run = tune_cl.configure(name, stream=stream, budget=budget)
        method = get_method(run.method)
        shape = parse_name(stream)
        extent = Extent(shape.dataset.image_shape, shape.base, shape.dataset.n_classes)
        method.check_fit(method.config.model_validate(run.parameters), extent)


@pytest.mark.parametrize("name", shipped_spaces())
def test_some_parameters_are_searched_but_none_of_the_base_unless_there_is_nothing_else(name: str) -> None:
    for scale, budget in PLACES:
        space = resolved(load_space(name), scale, budget)
        assert len(space.default_sample()) >= 2
        assert space.searched_changes_base() == (name == "frozen.yaml")


@cache
def as_shipped(name: str) -> Mapping[tuple[str, str], SearchSpace]:
    """A shipped space at each scale and budget."""
    return {place: resolved(load_space(name), *place) for place in PLACES}


def has_effect(before: Mapping[tuple[str, str], SearchSpace], changed: SpaceFile, path: str) -> bool:
    """Say whether taking a line in searched its path or changed a default, having checked that nothing else broke."""
    after = {place: resolved(changed, *place) for place in PLACES}
    ranges = {place: (space.ranges.get(path), before[place].ranges.get(path)) for place, space in after.items()}
    searched = [place for place, (range_, old) in ranges.items() if range_ is not None and range_ != old]
    for place in searched:
        assert after[place].default == before[place].default, f"{path}: a range leaves trial 0 as it is"
    assert all(space.complaint(space.default_sample()) is None for space in after.values())
    return bool(searched) or any(after[place].default != before[place].default for place in PLACES)


@pytest.mark.parametrize("name", [name for name in shipped_spaces() if name not in CONTROLS])
def test_each_commented_line_can_be_taken_in_by_itself(name: str, tmp_path: Path) -> None:
    variants = list(taken_in(text_of(name)))
    assert len(variants) >= 4
    before = as_shipped(name)
    for path, text in variants:
        effect = has_effect(before, load_text(tmp_path, text), path)
        assert effect or has_condition(path, text), f"{path}: without effect"


@pytest.mark.parametrize("part", PARTS)
def test_each_commented_line_of_a_part_can_be_taken_in_by_itself(part: str, tmp_path: Path) -> None:
    spaces = [name for name in shipped_spaces() if part in extended_by(name)]
    assert len(spaces) >= 2
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    for path, text in taken_in(text_of(part)):
        (tmp_path / part).write_text(text, encoding="utf-8")
        effects = []
        for name in spaces:
            effects.append(has_effect(as_shipped(name), load_space(str(tmp_path / name)), path))
        assert any(effects), f"{path}: without effect"


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_takes_the_commented_ranges_of_genifer_that_it_says(name: str, tmp_path: Path) -> None:
    before = as_shipped(name)
    own = list(taken_in(text_of(name)))
    of_genifer = [offered for line, offered in offers(text_of("genifer.yaml")) if offered != line and "{" in offered]
    copied = [offered for offered in of_genifer if not any(word in offered for word in CONTROLS[name])]
    assert len(copied) >= 20
    for offered in copied:
        text = f"extends: {name}\nparameters:\n{offered}\n"
        path = offered.strip().split(":")[0]
        assert has_effect(before, load_text(tmp_path, text), path) or has_condition(path, text)
    for path, text in own:
        assert has_effect(before, load_text(tmp_path, text), path)


@pytest.mark.parametrize("name", [name for name in shipped_spaces() if name not in CONTROLS])
def test_all_ranges_that_a_space_offers_can_be_taken_in_together(name: str, tmp_path: Path) -> None:
    lines = [offered if "{" in offered else line for line, offered in offers(text_of(name))]
    space = load_text(tmp_path, "\n".join(lines))
    paths = {
        offered.strip().split(":")[0] for line, offered in offers(text_of(name)) if offered != line and "{" in offered
    }
    for place in PLACES:
        everything = resolved(space, *place)
        assert paths <= everything.ranges.keys(), "each condition can be met"
        assert everything.default == as_shipped(name)[place].default


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", ["genifer", "image_replay", "feature_replay", "oracle"])
def test_the_published_preset_is_the_methods_own_defaults_but_for_sizes_and_the_classifiers_training(
    name: str, budget: str
) -> None:
    """What a paper publishes of losses and of the game; networks and optimisers of its scale do not fit 28 pixels."""
    space, config = load_space(name), get_method(name).config
    preset = resolve(space, config=config, scale="small28", budget=budget, overrides={}, preset="published")
    cifar = resolve(space, config=config, scale="cifar", budget=budget, overrides={}, preset="published")
    assert cifar.default == resolved(space, "cifar", budget).default
    bound = {"network", "width", "optimizer", "learning_rate", "schedule", "epochs", "steps", "batch_size"}
    bound |= {"channels", "start_size", "latent_dim", "style_dim", "embedding_dim", "discriminator_width"}
    for path, leaf in leaves(config).items():
        if path.rpartition(".")[2] not in bound or path.endswith("generator.learning_rate"):
            assert preset.default[path] == leaf.default, path
    ours = resolved(space, "small28", budget).default
    assert ours["increment.classifier.loss"] == "balanced" and ours != preset.default


@pytest.mark.parametrize("name", EXEMPLAR_METHODS)
def test_every_loss_of_a_host_can_be_set(name: str) -> None:
    path, base = "increment.classifier.loss", "base.classifier.loss"
    space = load_space(name)
    losses = leaves(get_method(name).config)[path].choices
    assert losses is not None
    for place in PLACES:
        assert resolved(space, *place).fixed[path] == "balanced"
        for loss in losses:
            changed = resolved(space, *place, {path: loss, **({base: "bce"} if "bce" in loss else {})})
            assert changed.fixed[path] == loss
            assert ("increment.classifier.tau" in changed.ranges) == (loss in ("balanced", "posthoc"))


def test_exemplar_methods_with_balanced_finetuning_leave_it_out_and_can_have_it_back() -> None:
    for name, original in (("lucir", "ce"), ("podnet", "nca")):
        for place in PLACES:
            assert resolved(load_space(name), *place).fixed["increment.finetune.epochs"] == 0
            choices = {"increment.classifier.loss": original, "increment.finetune.epochs": 20}
            assert resolved(load_space(name), *place, choices).default["increment.finetune.epochs"] == 20


@pytest.mark.parametrize(("scale", "budget"), PLACES)
def test_methods_with_the_same_base_task_train_it_alike(scale: str, budget: str) -> None:
    plain = [base_of(name, scale, budget) for name in LADDER]
    assert all(base == plain[0] for base in plain)
    hosts = [base_of(name, scale, budget) for name in ("il_baseline", "icarl")]
    assert hosts[0] == hosts[1]
    if scale in ("small28", "small32", "imagenet"):
        assert hosts[0] == plain[0]


@pytest.mark.parametrize(("scale", "budget"), PLACES)
def test_rungs_of_the_ladder_have_equal_classifier_budgets(scale: str, budget: str) -> None:
    fields = ["epochs", "batch_size", "optimizer", "schedule", "weight_decay"]
    if not scale.startswith("small"):  # where each has the rate that was found for it
        fields.append("learning_rate")
    rungs = [resolved(load_space(name), scale, budget).default for name in LADDER if get_method(name).increment]
    assert len(rungs) == len(LADDER) - 1
    for path in (f"increment.classifier.{field}" for field in fields):
        assert len({rung[path] for rung in rungs}) == 1, path


@pytest.mark.parametrize("name", EXEMPLAR_METHODS)
def test_a_host_trains_its_base_as_its_increments_but_on_small_images(name: str) -> None:
    fields = ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "weight_decay")
    for scale, budget in PLACES:
        if scale.startswith("small"):
            continue
        default = resolved(load_space(name), scale, budget).default
        for field in fields:
            assert default[f"base.classifier.{field}"] == default[f"increment.classifier.{field}"], (scale, field)


PUBLISHED_NETWORKS = {  # and whether the last block ends with a ReLU
    "il_baseline": ("resnet32_projection", True),
    "icarl": ("resnet32_projection", True),  # in LUCIR's comparison
    "lucir": ("resnet32_projection", False),
    "podnet": ("resnet32_podnet", False),
}
FINETUNINGS = {  # (data set, method) -> rate, batch, weight decay, schedule
    ("cifar100", "lucir"): (0.01, 128, 5e-4, "steps_50"),
    ("cifar100", "podnet"): (0.05, 128, 5e-4, "constant"),
    ("imagenet", "lucir"): (0.01, 128, 1e-4, "steps_50"),
    ("imagenet", "podnet"): (0.01, 64, 1e-4, "constant"),
    ("imagenet100", "podnet"): (0.01, 64, 5e-4, "constant"),
}


def default_of(name: str, data_set: str, budget: str = "full") -> Mapping[str, Any]:
    config, scale = get_method(name).config, DATASETS[data_set].scale
    space = resolve(load_space(name), config=config, scale=scale, budget=budget, overrides={}, data_set=data_set)
    return space.default


@pytest.mark.parametrize(("data_set", "name"), FINETUNINGS)
def test_balanced_finetuning_is_published_per_data_set(data_set: str, name: str) -> None:
    default = default_of(name, data_set)
    found = tuple(
        default[f"increment.finetune.{field}"] for field in ("learning_rate", "batch_size", "weight_decay", "schedule")
    )
    assert found == FINETUNINGS[data_set, name]


@pytest.mark.parametrize("phase", ["base.classifier", "increment.classifier", "increment.finetune"])
def test_podnets_weight_decay_is_that_of_the_data_set(phase: str) -> None:
    published = {"imagenet": 1e-4, "imagenet100": 5e-4, "cifar100": 5e-4}
    assert {name: default_of("podnet", name)[f"{phase}.weight_decay"] for name in published} == published


@pytest.mark.parametrize("name", EXEMPLAR_METHODS)
def test_a_finetuning_takes_enough_steps_on_small_images(name: str) -> None:
    default = default_of(name, "fashion", "quick")
    assert default["increment.finetune.minimum_steps"] >= 150


def test_exemplar_methods_share_one_range_of_rates() -> None:
    for scale, budget in PLACES:
        spaces = [resolved(load_space(name), scale, budget) for name in EXEMPLAR_METHODS]
        assert len({str(space.ranges["increment.classifier.learning_rate"]) for space in spaces}) == 1


def test_full_budgets_on_cifar_are_the_published_ones() -> None:
    genifer = resolved(load_space("genifer"), "cifar", "full").default
    published = {path: leaf.default for path, leaf in leaves(get_method("genifer").config).items()}
    assert genifer == {**published, "increment.student.steps": 200}  # which judges and changes nothing
    for name in EXEMPLAR_METHODS:
        default = resolved(load_space(name), "cifar", "full").default
        network, final_relu = PUBLISHED_NETWORKS[name]
        assert (default["base.classifier.network"], default["base.classifier.width"]) == (network, 16)
        assert default["base.classifier.final_relu"] == final_relu
        own = get_method(name).config().increment.classifier.model_dump()  # type: ignore[attr-defined]
        changed = {key: v for key, v in own.items() if default[f"increment.classifier.{key}"] != v}
        assert set(changed) == {"loss"} | ({"old_head"} if "old_head" in own else set())


def test_quick_budgets_are_smaller_than_full_ones() -> None:
    for name, scale in product(shipped_spaces(), SCALES):
        budgets = load_space(name).scales[scale].budgets
        assert budgets["quick"].keys() == budgets["full"].keys()
        assert all(budgets["quick"][path] < budgets["full"][path] for path in budgets["full"])
