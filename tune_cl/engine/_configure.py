"""Configurations for people who write their own scripts: a space's default, and changes to a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from tune_cl.engine._backbone import named_in
from tune_cl.errors import TuneCLError
from tune_cl.methods import flatten, get_method, leaves, unflatten
from tune_cl.nets import read_backbone
from tune_cl.options import Numerics
from tune_cl.plugins import load_plugins
from tune_cl.records import RunConfig, StreamRecord, describe_validation
from tune_cl.streams import Dataset, Source, shape_of, with_own_data
from tune_cl.study import SpaceFile, check_value, find_leaf, load_space, resolve


def configure(
    space: str,
    *,
    stream: str | StreamRecord | None = None,
    budget: str | None = None,
    preset: str | None = None,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    train_seed: int = 0,
    numerics: Numerics = Numerics(),  # noqa: B008 (frozen)
    backbone_weights: str | Path | None = None,
    plugins: Sequence[str] = (),
    data_sets: Mapping[str, Source] | None = None,
) -> RunConfig:
    """The default configuration of a space for a stream and a budget, with changes: see `tune_cl.configure`.

    Raises:
        TuneCLError: something is unknown or out of bounds.
    """
    numerics = numerics.resolved()
    gpu = numerics.device == "cuda"
    load_plugins(plugins)
    file = load_space(space)
    method = get_method(file.method)
    record = (
        stream if isinstance(stream, StreamRecord) else StreamRecord(name=file.stream if stream is None else stream)
    )
    record, _ = with_own_data(record, data_sets or {}, scale=scale, gpu=gpu)
    budget = file.budget if budget is None else budget
    data_set = shape_of(record).dataset
    resolved = resolve(
        file,
        config=method.config,
        scale=fitting_scale(file, data_set, gpu=gpu) if scale is None else scale,
        budget=budget,
        overrides={},
        data_set=data_set.name,
        preset=preset,
    )
    values = {
        "method": method.name,
        "stream": record,
        "budget": budget,
        "horizon": shape_of(record).increments,
        "train_seed": train_seed,
        **asdict(numerics),
        "parameters": resolved.configuration({}),
    }
    try:
        run = RunConfig.model_validate(values)
    except ValidationError as error:
        raise TuneCLError(describe_validation(error, "the configuration", RunConfig)) from None
    run = override(run, overrides or {})
    return run if backbone_weights is None else named_in(run, read_backbone(Path(backbone_weights)))


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
