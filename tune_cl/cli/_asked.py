"""What the options of a search ask for, checked as far as that goes without a look at data or machines."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cl.cli._data import own_folders
from tune_cl.cli._parser import seconds, stream_record
from tune_cl.cli._sizes import size
from tune_cl.engine import fitting_scale, with_backbone
from tune_cl.errors import TuneCLError
from tune_cl.methods import Method, get_method, unflatten
from tune_cl.nets import Backbone
from tune_cl.records import SearchFolder, StreamRecord, given_text, search_folder
from tune_cl.search import (
    SearchSpace,
    SpaceFile,
    check_base_configurations,
    check_objective,
    check_option,
    check_url,
    load_space,
    parse_override,
    protocol_horizon,
    resolve,
)
from tune_cl.streams import dataset_of, shape_of, unmeasured, with_own_data

# What the command line may say in place of the space file.
_OPTIONS = (
    "stream",
    "budget",
    "preset",
    "trials",
    "base_configurations",
    "sampler",
    "scheduler",
    "objective",
    "protocol",
)


@dataclass(frozen=True)
class Asked:
    """A search as its options and its space file name it."""

    file: SpaceFile
    method: Method
    option: Mapping[str, Any]  # what the command line says, else the space file
    space: SearchSpace
    scale: str
    why_scale: str  # what a person is told of it; empty where it is the data set's own
    stream: StreamRecord
    horizon: int
    folder: SearchFolder
    stages: Path

    @property
    def name(self) -> str:
        """The search's name."""
        return self.folder.path.name


def check_numbers(args: argparse.Namespace) -> None:
    """Check times and sizes; whole numbers were checked as they were read.

    Raises:
        TuneCLError: one of them is none, or out of bounds.
    """
    seconds(args.time_budget)
    seconds(args.checkpoint_every, "--checkpoint-every")
    if args.stage_budget is not None:
        size(args.stage_budget, "--stage-budget")


def what_is_asked(
    args: argparse.Namespace,
    backbone: Backbone | None,
    *,
    backbone_elsewhere: bool = False,
    cluster: bool = False,
    submitted: bool = False,
) -> Asked:
    """Read and check the options of a search, and its space file.

    Args:
        args: as `search_parser` reads them.
        backbone: the pretrained weights that they name.
        backbone_elsewhere: those weights are on another machine, where what depends on them will be checked.
        cluster: trials run on machines that are not looked at here: they are taken to have GPUs.
        submitted: a folder of images that is not here may lie on those machines, where it will be checked.

    Raises:
        TuneCLError: something is wrong.
    """
    file = load_space(args.space)
    method = get_method(file.method)
    option = {
        name: check_option(name, getattr(args, name), f"--{name.replace('_', '-')}")
        if getattr(args, name) is not None
        else getattr(file, name)
        for name in _OPTIONS
    }
    if args.storage is not None:
        check_url(args.storage)
    overrides = dict(parse_override(text) for text in args.overrides)
    record, about_data = _stream(args, option["stream"], file, cluster, submitted)
    data_set = shape_of(record).dataset
    scale = fitting_scale(file, data_set, gpu=cluster) if args.scale is None else args.scale

    def resolved(changes: Mapping[str, Any]) -> SearchSpace:
        return resolve(
            file,
            config=method.config,
            scale=scale,
            budget=option["budget"],
            overrides=changes,
            data_set=data_set.name,
            preset=option["preset"],
        )

    space = resolved(overrides) if backbone_elsewhere else with_backbone(resolved, overrides, backbone)
    asked = "--objective" if args.objective else f"{args.space}: objective"
    by_means = method.nearest_mean(method.config.model_validate(unflatten(space.default)))
    check_objective(option["objective"], method.name, by_means, asked)
    check_base_configurations(space, option["base_configurations"])
    horizon = protocol_horizon(option["protocol"], shape_of(record).increments)
    another = scale if scale != data_set.scale else args.scale if record.folder is not None else None
    why_scale = about_data
    if another and args.scale is None:
        why_scale = (
            f"Networks and lengths of scale {scale}: no GPU here (--scale {data_set.scale} takes those for one)."
        )
    parts = (method.name, option["stream"], option["budget"], another, option["preset"])
    name = args.name if args.name is not None else "-".join(part for part in parts if part)
    results = given_text(args.results, "--results")  # of a cluster, it may be: see `check_places`
    folder = search_folder(results, name)
    stages = results / "stages" if args.stages is None else given_text(args.stages, "--stages")
    if folder.path.absolute() == stages.absolute():
        raise TuneCLError(f"--name {name}: the stages lie in that folder; give the search another name")
    return Asked(file, method, option, space, scale, why_scale, record, horizon, folder, stages)


def _stream(
    args: argparse.Namespace, name: str, file: SpaceFile, cluster: bool, submitted: bool
) -> tuple[StreamRecord, str]:
    """The stream's record, and what a person is told of a folder of their own."""
    record, folders = stream_record(name, args), own_folders(args)
    place = folders.get(dataset_of(name))
    if submitted and place is not None and not os.path.exists(place):
        scale = args.scale or next(iter(file.scales))
        return record.model_copy(update={"folder": unmeasured(name, place, scale)}), ""
    return with_own_data(record, folders, scale=args.scale, gpu=cluster, only_look=args.dry_run)
