"""Configurations as their method reads them, and as they lie in files."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from tune_cl.errors import TuneCLError
from tune_cl.methods import Settings, flatten, get_method, leaves
from tune_cl.records import CONFIG_VERSION, RunConfig, describe_validation, read_content, record_of
from tune_cl.streams import shape_of


def settings_of(run: RunConfig, where: str = "") -> Settings:
    """The parameters of a configuration, as its method has them.

    Args:
        run: the configuration.
        where: what a message begins with, such as the file and a colon.

    Raises:
        TuneCLError: the method is unknown, or one of its parameters is unknown, of another type or not allowed.
    """
    model = get_method(run.method).config
    try:
        # JSON's strict types, as in records: `8` stands for 8.0, and neither `true` for 1 nor `'8'` for 8.
        return model.model_validate_json(json.dumps(run.parameters), strict=True)
    except ValidationError as error:
        reason = describe_validation(error, "parameters", model)
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"not made of plain numbers, text, true and false ({error})"
    raise TuneCLError(f"{where}parameters of {run.method}: {reason}")


def read_run(path: Path) -> RunConfig:
    """Read a configuration, `best.yaml` or the `config.yaml` of a trial, and check all of it that needs no data.

    Raises:
        TuneCLError: the file is missing or no configuration; its method, its stream or one of its parameters is unknown
            or not allowed; a parameter is missing. The file is named.
    """
    content = read_content(path)
    if isinstance(content, Mapping) and "scales" in content:
        raise TuneCLError(
            f"{path}: a space file, which says what is searched; give it to `search --space`, and here the best.yaml "
            "of a search or the config.yaml of a trial"
        )
    run = record_of(content, path, RunConfig)
    try:
        get_method(run.method)
        last = shape_of(run.stream).increments
    except TuneCLError as error:
        raise TuneCLError(f"{path}: {error}") from None
    _check_horizon(run, last, f"{path}: ")
    settings = settings_of(run, f"{path}: ")
    _check_whole(run, f"{path}: ")
    if run.schema_version == CONFIG_VERSION:
        return run
    return run.model_copy(update={"schema_version": CONFIG_VERSION, "parameters": settings.model_dump()})


def _check_horizon(run: RunConfig, last: int, where: str) -> None:
    if run.horizon > last:
        raise TuneCLError(f"{where}horizon: {run.horizon}, but the last increment of {run.stream.name} is {last}")


def _check_whole(run: RunConfig, where: str) -> None:
    """Refuse what lacks a parameter: it was made with all, so that a default would be another configuration.

    A file of an earlier version may lack those that came later.
    """
    written = flatten(run.parameters)
    known = leaves(get_method(run.method).config)
    old = run.schema_version < CONFIG_VERSION
    lost = [name for name, leaf in known.items() if name not in written and not (old and leaf.later)]
    if lost:
        others = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise TuneCLError(
            f"{where}parameters.{lost[0]}: missing{others}; a configuration names every parameter of {run.method}, so "
            "that a line was lost: restore it, or begin with the best.yaml or config.yaml of a search and change that"
        )


def check_run(run: RunConfig, where: str) -> RunConfig:
    """Check a configuration that was made or changed by a script as one that is read from a file.

    Args:
        run: the configuration; `model_copy` changes one unchecked.
        where: what a message begins with.

    Raises:
        TuneCLError: something in it is unknown or not allowed.
    """
    try:
        run = RunConfig.model_validate(run.model_dump(warnings=False))
    except ValidationError as error:
        raise TuneCLError(f"{where}{describe_validation(error, 'the configuration', RunConfig)}") from None
    settings_of(run, where)
    _check_whole(run, where)
    _check_horizon(run, shape_of(run.stream).increments, where)
    return run
