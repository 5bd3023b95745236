"""Folders and files that options of several commands name."""

from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.options import (
    CompareOptions,
    EvaluationOptions,
    Outside,
    ReportOptions,
    Runtime,
    SearchOptions,
    StagesOptions,
    SyncOptions,
    TrainOptions,
    WatchOptions,
)
from tune_cl.records import SearchFolder, given_file, given_folder, lies_there


def results_folder(
    options: SearchOptions
    | EvaluationOptions
    | TrainOptions
    | CompareOptions
    | ReportOptions
    | WatchOptions
    | SyncOptions
    | StagesOptions,
) -> Path:
    """The folder of searches.

    Raises:
        TuneCLError: it can be none.
    """
    return given_folder(options.results, "--results")


def stages_folder(options: SearchOptions | EvaluationOptions | TrainOptions) -> Path:
    """The folder of trained stages: the one that is named, else the one of the folder of searches.

    Raises:
        TuneCLError: it can be none, or is that of a search.
    """
    if options.stages is None:
        return results_folder(options) / "stages"
    path = given_folder(options.stages, "--stages")
    if _is_search(path, "--stages"):
        raise TuneCLError(f"--stages {path}: the folder of a search; name another")
    return path


def weights_file(options: Outside) -> Path | None:
    """The file of pretrained weights, where one is named.

    Raises:
        TuneCLError: there is no such file.
    """
    return None if options.backbone_weights is None else given_file(options.backbone_weights, "--backbone-weights")


def data_folder(options: Runtime) -> Path | None:
    """The folder of data sets, where one is named.

    Raises:
        TuneCLError: it can be none.
    """
    return None if options.data_root is None else given_folder(options.data_root, "--data-root")


def outside_searches(path: Path, option: str) -> Path:
    """A folder to write to that is no search's, whose files would be mixed with others.

    Raises:
        TuneCLError: a search lies there, or around it.
    """
    place = path.absolute()
    search = next((folder for folder in (place, *place.parents) if _is_search(folder, option)), None)
    if search is not None:
        where = "the folder of a search" if search == place else f"lies in the folder of a search, {search}"
        raise TuneCLError(f"{option} {path}: {where}; name another")
    return path


def _is_search(path: Path, option: str) -> bool:
    return lies_there(SearchFolder(path).search, option)
