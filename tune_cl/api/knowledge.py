"""What a search is to know beforehand: points by hand, earlier searches, Optuna studies."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune_cl.api.named_search import named_search
from tune_cl.errors import TuneCLError, shown
from tune_cl.methods import Method, flatten
from tune_cl.options import SearchOptions
from tune_cl.records import RunConfig, SearchFolder, SearchRecord, parse_yaml, read_record
from tune_cl.study import Knowledge, SearchSpace, StudyTrial, point_of, read_study, values_here

# The best quarter of an earlier search's finished trials are good ones, at least so many.
_GOOD_SHARE, _LEAST_GOOD = 0.25, 2


def knowledge_of(options: SearchOptions, method: Method, space: SearchSpace) -> Knowledge:
    """Read what `--try` and `--warm-start` name.

    Raises:
        TuneCLError: a file or search cannot be read, a point is not of the space, an earlier search is of another
            method, has no finished trial, or shares no parameter.
    """
    earlier = [_earlier(name, options, method) for name in options.warm_start]
    best: list[Mapping[str, Any]] = []
    good: list[Mapping[str, Any]] = []
    for name, trials in zip(options.warm_start, earlier, strict=True):
        here = [values_here(space, trial.parameters) for trial in trials]
        if not any(here):
            raise TuneCLError(
                f"--warm-start {name}: none of its parameters is searched here in a range that has its values; "
                f"searched are {', '.join(space.ranges)}"
            )
        n_good = max(_LEAST_GOOD, math.ceil(_GOOD_SHARE * len(here)))
        good += [values for values in here[:n_good] if values]
        sample = space.sample_of(here[0])
        if space.complaint(sample) is None:
            best.append(sample)
    return Knowledge(tuple(_points(options.points, space)), tuple(options.warm_start), tuple(best), tuple(good))


def _points(file: str | os.PathLike[str] | None, space: SearchSpace) -> list[dict[str, Any]]:
    if file is None:
        return []
    where = f"--try {file}"
    try:
        content = parse_yaml(Path(file).read_text(encoding="utf-8"), where)
    except (OSError, UnicodeDecodeError) as error:
        raise TuneCLError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(content, list) or not all(isinstance(point, Mapping) and point for point in content):
        raise TuneCLError(
            f"{where}: {shown(content)} is no list of points; write each as a mapping: "
            "- {increment.classifier.learning_rate: 1e-3}"
        )
    return [point_of(space, point, f"{where}: point {number}") for number, point in enumerate(content, 1)]


def _earlier(name: str, options: SearchOptions, method: Method) -> Sequence[StudyTrial]:
    """The finished trials of an earlier search or Optuna study, the best first."""
    where = f"--warm-start {name}"
    path, _, study = name.partition("#")
    if "://" in path or study or Path(path).is_file():
        trials = read_study(path, study or None, where)
    else:
        trials = _searched(named_search(name, Path(options.results)), method, where)
    if not trials:
        raise TuneCLError(f"{where}: none of its trials has finished, so there is nothing to learn from it")
    return trials


def _searched(folder: SearchFolder, method: Method, where: str) -> list[StudyTrial]:
    record = read_record(folder.search, SearchRecord)
    if record.method != method.name:
        raise TuneCLError(f"{where}: it is of {record.method}, and this search of {method.name}; name one of the same")
    found = []
    for trial in folder.trials().values():
        rows = trial.rows()
        value = rows[-1].metrics.get(record.objective) if rows and rows[-1].increment == record.horizon else None
        if value is not None and math.isfinite(value):
            found.append(StudyTrial(flatten(read_record(trial.config, RunConfig).parameters), value))
    return sorted(found, key=lambda trial: trial.value, reverse=record.direction == "max")
