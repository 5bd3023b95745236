"""Configurations out of spaces, for single chains and for people who write their own scripts."""

from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from tune_cl.api.asked import changes_of
from tune_cl.api.data import own_folders
from tune_cl.api.places import weights_file
from tune_cl.engine import fitting_scale, named_in, override
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method
from tune_cl.nets import read_backbone
from tune_cl.options import ConfigureOptions, Numerics, TrainableOptions, TrainOptions
from tune_cl.plugins import load_plugins
from tune_cl.records import RunConfig, StreamRecord, describe_validation, given_path
from tune_cl.streams import shape_of, with_own_data
from tune_cl.study import load_space, resolve


def configured(
    space: Any, options: ConfigureOptions | TrainableOptions | TrainOptions, numerics: Numerics
) -> RunConfig:
    """The default configuration of a space, see `tune_cl.configure`.

    Raises:
        TuneCLError: something is unknown or out of bounds.
    """
    numerics = numerics.resolved()
    gpu = numerics.device == "cuda"
    load_plugins(options.plugins)
    file = load_space(str(given_path(space, "space")))
    method = get_method(file.method)
    stream = file.stream if options.stream is None else options.stream
    record = stream if isinstance(stream, StreamRecord) else StreamRecord(name=stream)
    record, _ = with_own_data(record, own_folders(options.data_sets), scale=options.scale, gpu=gpu)
    budget = file.budget if options.budget is None else options.budget
    data_set = shape_of(record).dataset
    resolved = resolve(
        file,
        config=method.config,
        scale=fitting_scale(file, data_set, gpu=gpu) if options.scale is None else options.scale,
        budget=budget,
        overrides={},
        data_set=data_set.name,
        preset=options.preset,
    )
    values = {
        "method": method.name,
        "stream": record,
        "budget": budget,
        "horizon": shape_of(record).increments,
        "train_seed": options.train_seed or 0,
        **asdict(numerics),
        "parameters": resolved.configuration({}),
    }
    try:
        run = RunConfig.model_validate(values)
    except ValidationError as error:
        raise TuneCLError(describe_validation(error, "the configuration", RunConfig)) from None
    run, weights = override(run, changes_of(options.overrides)), weights_file(options)
    return run if weights is None else named_in(run, read_backbone(weights))
