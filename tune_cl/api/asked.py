"""What the options of a search ask for, checked as far as that goes without a look at data or machines."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cl.api.data import own_folders
from tune_cl.engine import fitting_scale, with_backbone
from tune_cl.errors import TuneCLError, near_matches, shortened
from tune_cl.methods import Method, get_method, unflatten
from tune_cl.nets import Backbone
from tune_cl.options import SearchOptions
from tune_cl.records import SearchFolder, StreamRecord, given_text, search_folder
from tune_cl.streams import dataset_of, shape_of, unmeasured, with_own_data
from tune_cl.study import (
    SearchSpace,
    SpaceFile,
    check_base_configurations,
    check_objective,
    check_option,
    check_sampler,
    check_url,
    find_sampler,
    load_space,
    parse_override,
    protocol_horizon,
    resolve,
)

# What an option may say in place of the space file.
_NAMED_ORDERS = ("seed", "numpy-1993", "podnet")
_LABELS = re.compile(r"-?[0-9]{1,9}(?:,-?[0-9]{1,9})*")
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
    "seeds",
)


@dataclass(frozen=True)
class Asked:
    """A search as its options and its space file name it."""

    file: SpaceFile
    method: Method
    option: Mapping[str, Any]  # what the options say, else the space file
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


def what_is_asked(
    options: SearchOptions,
    backbone: Backbone | None,
    *,
    backbone_elsewhere: bool = False,
    cluster: bool = False,
    submitted: bool = False,
    only_look: bool = False,
) -> Asked:
    """Read and check the options of a search, and its space file.

    Args:
        options: of the search.
        backbone: the pretrained weights that they name.
        backbone_elsewhere: those weights are on another machine, where what depends on them will be checked.
        cluster: trials run on machines that are not looked at here: they are taken to have GPUs.
        submitted: a folder of images that is not here may lie on those machines, where it will be checked.
        only_look: keep nothing of what is measured.

    Raises:
        TuneCLError: something is wrong.
    """
    file = load_space(str(options.space))
    method = get_method(file.method)
    option = {
        name: check_option(name, getattr(options, name), f"--{name.replace('_', '-')}")
        if getattr(options, name) is not None
        else getattr(file, name)
        for name in _OPTIONS
    }
    if options.storage is not None:
        check_url(options.storage)
    overrides = changes_of(options.overrides)
    record, about_data = _own_stream(options, option["stream"], file, cluster, submitted, only_look)
    data_set = shape_of(record).dataset
    scale = fitting_scale(file, data_set, gpu=cluster) if options.scale is None else options.scale

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
    asked = "--objective" if options.objective else f"{options.space}: objective"
    by_means = method.nearest_mean(method.config.model_validate(unflatten(space.default)))
    check_objective(option["objective"], method, by_means, asked)
    check_base_configurations(space, option["base_configurations"])
    sampler = "--sampler" if options.sampler else f"{options.space}: sampler"
    check_sampler(space, find_sampler(option["sampler"], sampler), sampler)
    horizon = protocol_horizon(option["protocol"], shape_of(record).increments)
    another = scale if scale != data_set.scale else options.scale if record.folder is not None else None
    why_scale = about_data
    if another and options.scale is None:
        why_scale = (
            f"Networks and lengths of scale {scale}: no GPU here (--scale {data_set.scale} takes those for one)."
        )
    parts = (method.name, option["stream"], option["budget"], another, option["preset"])
    name = options.name if options.name is not None else "-".join(part for part in parts if part)
    results = given_text(options.results, "--results")  # of a cluster, it may be: see `check_places`
    folder = search_folder(results, name)
    stages = results / "stages" if options.stages is None else given_text(options.stages, "--stages")
    if folder.path.absolute() == stages.absolute():
        raise TuneCLError(f"--name {name}: the stages lie in that folder; give the search another name")
    return Asked(file, method, option, space, scale, why_scale, record, horizon, folder, stages)


def changes_of(overrides: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """Parameters and their values or ranges, out of a mapping or out of `PATH=VALUE`.

    Raises:
        TuneCLError: a text is not written so.
    """
    return dict(overrides) if isinstance(overrides, Mapping) else dict(map(parse_override, overrides))


def _own_stream(
    options: SearchOptions, name: str, file: SpaceFile, cluster: bool, submitted: bool, only_look: bool
) -> tuple[StreamRecord, str]:
    """The stream's record, and what a person is told of a folder of their own."""
    record, folders = _stream(name, options), own_folders(options.data_sets)
    place = folders.get(dataset_of(name))
    if submitted and isinstance(place, str) and not os.path.exists(place):
        scale = options.scale or next(iter(file.scales))
        return record.model_copy(update={"folder": unmeasured(name, place, scale)}), ""
    return with_own_data(record, folders, scale=options.scale, gpu=cluster, only_look=only_look)


def _stream(name: str, options: SearchOptions) -> StreamRecord:
    """The stream with its class order and seeds.

    Raises:
        TuneCLError: the class order is neither a known name nor a list of labels.
    """
    text = str(options.class_order)
    order: Any = text
    if text not in _NAMED_ORDERS:
        if not _LABELS.fullmatch(text.replace(" ", "")):
            raise TuneCLError(
                f"--class-order {shortened(text)}: write {', '.join(_NAMED_ORDERS)}, or labels such as 3,1,2,0"
                f"{near_matches(text, _NAMED_ORDERS)}"
            )
        order = tuple(int(label) for label in text.split(","))
    return StreamRecord(name=name, class_order=order, order_seed=options.order_seed, split_seed=options.split_seed)
