"""Configurations as their method reads them, and as they lie in files."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from tune_cl.errors import TuneCLError
from tune_cl.methods import Settings, get_method
from tune_cl.records import RunConfig, describe_validation, read_content, record_of
from tune_cl.streams import parse_name


def settings_of(run: RunConfig, where: str = "") -> Settings:
    """The parameters of a configuration, as its method has them.

    Args:
        run: the configuration.
        where: what a message begins with, such as the file and a colon.

    Raises:
        TuneCLError: the method is unknown, or one of its parameters is unknown or not allowed.
    """
    model = get_method(run.method).config
    try:
        return model.model_validate(run.parameters)
    except ValidationError as error:
        reason = describe_validation(error, "parameters", model)
        raise TuneCLError(f"{where}parameters of {run.method}: {reason}") from None


def read_run(path: Path) -> RunConfig:
    """Read a configuration, `best.yaml` or the `config.yaml` of a trial, and check all of it that needs no data.

    Raises:
        TuneCLError: the file is missing or no configuration; its method, its stream or one of its parameters is unknown
            or not allowed. The file is named.
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
        last = parse_name(run.stream.name).increments
    except TuneCLError as error:
        raise TuneCLError(f"{path}: {error}") from None
    if run.horizon > last:
        raise TuneCLError(f"{path}: horizon: {run.horizon}, but the last increment of {run.stream.name} is {last}")
    settings_of(run, f"{path}: ")
    return run


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
    last = parse_name(run.stream.name).increments
    if run.horizon > last:
        raise TuneCLError(f"{where}horizon: {run.horizon}, but the last increment of {run.stream.name} is {last}")
    return run
