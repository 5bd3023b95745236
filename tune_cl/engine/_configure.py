"""Configurations for people who write their own scripts: a space's default, and changes to a configuration."""

from collections.abc import Mapping
from typing import Any

import torch

from tune_cl.methods import flatten, get_method, leaves, unflatten
from tune_cl.records import RunConfig
from tune_cl.streams import Dataset
from tune_cl.study import SpaceFile, check_value, find_leaf


def fitting_scale(file: SpaceFile, data_set: Dataset, *, gpu: bool = False) -> str:
    """The scale of a space's networks and lengths where none is asked for.

    Args:
        file: the space; one without the smaller scale is taken at the data set's own.
        data_set: whose images are learnt.
        gpu: there is one to train on, whether this machine has one or not.
    """
    smaller = data_set.scale_without_gpu
    if smaller is None or smaller not in file.scales or gpu or torch.cuda.is_available():
        return data_set.scale
    return smaller


def override(run: RunConfig, changes: Mapping[str, Any], where: str = "") -> RunConfig:
    """A configuration with some paths changed.

    Args:
        run: the configuration.
        changes: path -> value.
        where: what a message puts before the path.

    Raises:
        TuneCLError: a path is unknown, or a value out of bounds.
    """
    known = leaves(get_method(run.method).config)
    values = flatten(run.parameters)
    for path, value in changes.items():
        values[path] = check_value(find_leaf(known, path, f"{where}{path}"), value, f"{where}{path}")
    return run.model_copy(update={"parameters": unflatten(values)})
