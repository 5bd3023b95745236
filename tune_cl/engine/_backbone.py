"""A search or a configuration that starts from a file of pretrained weights: their hash takes its place in it."""

from collections.abc import Callable, Container, Mapping
from typing import Any

from tune_cl.chain import PRETRAINED
from tune_cl.errors import TuneCLError
from tune_cl.methods import flatten, get_method, unflatten
from tune_cl.nets import Backbone
from tune_cl.records import RunConfig
from tune_cl.study import SearchSpace

_NETWORK = "base.classifier.network"


def with_backbone(
    resolve_with: Callable[[Mapping[str, Any]], SearchSpace], overrides: Mapping[str, Any], backbone: Backbone | None
) -> SearchSpace:
    """Resolve a space whose base task starts from a file of weights, if there is one.

    A space may also search whether to: by a choice between 'none' and the file's hash.

    Args:
        resolve_with: resolves the space under overrides.
        overrides: what the user changes.
        backbone: the weights.

    Raises:
        TuneCLError: the space is wrong, names other weights, or another network than the weights are for.
    """
    space = resolve_with(overrides)
    searched = space.ranges[PRETRAINED].values if PRETRAINED in space.ranges else ()
    named = [value for value in (*searched, space.default.get(PRETRAINED, "none")) if value != "none"]
    if backbone is None:
        if named:
            raise TuneCLError(
                f"{PRETRAINED}: the base task starts from a file of weights; name it with --backbone-weights FILE (its "
                f"SHA-256 is {named[0]})"
            )
        return space
    _check(space.default, space.ranges, backbone, named)
    return space if searched else resolve_with({**overrides, PRETRAINED: backbone.sha256})


def named_in(run: RunConfig, backbone: Backbone) -> RunConfig:
    """A configuration with the weights that its base task is to start from.

    Raises:
        TuneCLError: it names others, or another network than the weights are for.
    """
    values = flatten(get_method(run.method).config.model_validate(run.parameters).model_dump())
    _check(values, (), backbone, [value for value in [values.get(PRETRAINED, "none")] if value != "none"])
    return run.model_copy(update={"parameters": unflatten({**values, PRETRAINED: backbone.sha256})})


def _check(values: Mapping[str, Any], searched: Container[str], backbone: Backbone, named: list[Any]) -> None:
    if PRETRAINED not in values:
        raise TuneCLError(f"{backbone.source}: this method starts from no file of weights; leave the option out")
    other = next((value for value in named if value != backbone.sha256), None)
    if other is not None:
        raise TuneCLError(
            f"{backbone.source}: its SHA-256 is {backbone.sha256}, but {PRETRAINED} is set to {other}; leave one of "
            "the two out"
        )
    if _NETWORK in searched or values[_NETWORK] != "resnet18":
        found = "searched" if _NETWORK in searched else repr(values[_NETWORK])
        raise TuneCLError(
            f"{backbone.source}: these weights are for the network 'resnet18', but {_NETWORK} is {found}; set it to "
            "resnet18, or leave the option out"
        )
