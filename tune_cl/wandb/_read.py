"""A search as W&B has it: one run per trial, found by their group or sweep."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.records import TrialState
from tune_cl.tracking import in_one_line
from tune_cl.wandb._mode import credentials_found
from tune_cl.wandb._sdk import quiet_wandb

WANDB_SCHEME = "wandb://"
_ADDRESS = re.compile(r"wandb://(?P<entity>[^/\s]+)/(?P<project>[^/\s]+)/(?P<name>[^/\s]+)")
_TIMEOUT = 30  # seconds that the server has for one answer
_SAME = {"method", "stream", "class_order", "budget", "horizon", "protocol", "objective", "direction"}  # in all trials
_NOT_PARAMETERS = _SAME | {
    "trial", "device", "threads", "precision", "memory_format", "seeds", "scale", "sampler", "scheduler",
    "data_fingerprint", "deterministic", "versions", "git_commit", "plugins", "method_source",
}  # fmt: skip
_NEEDED = ("trial", "method", "stream", "budget", "horizon", "protocol", "objective", "seeds")
_STATES: dict[str, TrialState] = {"finished": "finished", "stopped": "stopped", "failed": "failed"}


@dataclass(frozen=True)
class RemoteRow:
    """What one increment of a trial logged."""

    increment: int
    metrics: dict[str, float | None]
    accuracy_row: list[float]
    images_scored: list[int] = field(default_factory=list)  # none in runs of earlier versions
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoteTrial:
    """A trial's run."""

    trial: int
    state: TrialState
    value: float | None
    parameters: dict[str, Any]  # every path of the configuration
    settings: dict[str, Any] = field(repr=False)  # what else the run's configuration holds
    rows: tuple[RemoteRow, ...] = ()


@dataclass(frozen=True)
class RemoteSearch:
    """The runs of one group or sweep."""

    source: str
    name: str
    trials: tuple[RemoteTrial, ...]
    evaluations: tuple[RemoteTrial, ...] = ()  # runs on test data; their settings say which class order and seed

    def setting(self, name: str) -> Any:
        """What the runs' configurations say of the search; the same in all of them."""
        return self.trials[0].settings.get(name)


def read_wandb_search(address: str) -> RemoteSearch:
    """Read a search from W&B.

    Args:
        address: `wandb://entity/project/group`, or a sweep's id in place of the group.

    Raises:
        TuneCLError: the address is malformed, there are no credentials, the server does not answer, or it has no such
            search.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise TuneCLError(f"{address}: write wandb://entity/project/group, or a sweep's id in place of the group")
    if not credentials_found():
        raise TuneCLError(f"{address}: no W&B credentials found; run `wandb login`, or set WANDB_API_KEY")
    try:
        runs = _runs(f"{match['entity']}/{match['project']}", match["name"])
        trials = sorted(_of_kind(runs, "trial"), key=lambda trial: trial.trial)
        evaluations = tuple(_of_kind(runs, "evaluation"))
    except TuneCLError:
        raise
    except Exception as error:  # W&B raises many kinds, of its own and of its transport
        raise TuneCLError(f"{address}: {_complaint(error)}") from None
    if not trials:
        raise TuneCLError(
            f"{address}: {match['entity']}/{match['project']} has no group and no sweep {match['name']!r} with trials "
            "of tune_cl; a search's group is its name"
        )
    _check_one_search(address, trials)
    return RemoteSearch(address, match["name"], tuple(trials), evaluations)


def _runs(project: str, name: str) -> list[Any]:
    """The runs of the group of that name; where there is none, of the sweep, with the evaluations of its group."""
    api = quiet_wandb().Api(timeout=_TIMEOUT)

    def found(key: str, value: str) -> list[Any]:
        return list(api.runs(project, filters={key: value}, order="+created_at", lazy=False))

    if runs := found("group", name):
        return runs
    runs = found("sweep", name)
    group = runs[0].group if runs else None  # only trials are attached to a sweep
    return [*runs, *(run for run in found("group", group) if run.job_type == "evaluation")] if group else runs


def _of_kind(runs: list[Any], job_type: str) -> Iterator[RemoteTrial]:
    """The runs that are trials, or evaluations; a group may hold both, and others."""
    for run in runs:
        config = dict(run.config)
        if run.job_type == job_type and all(key in config for key in _NEEDED):
            yield _trial(run, config)


def _trial(run: Any, config: Mapping[str, Any]) -> RemoteTrial:
    rows = tuple(sorted(_rows(run), key=lambda row: row.increment))
    state = _STATES.get(str(run.summary.get("state")), "running")
    objective = str(config["objective"])
    return RemoteTrial(
        trial=int(config["trial"]),
        state=state,
        value=rows[-1].metrics.get(objective) if rows else _number(run.summary.get("objective")),
        parameters=dict(_parameters(config)),
        settings={name: config[name] for name in _NOT_PARAMETERS if name in config},
        rows=rows,
    )


def _parameters(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted paths; a server that nests them gives the same."""
    for name, value in config.items():
        if not prefix and (name in _NOT_PARAMETERS or name.startswith("_")):
            continue
        if isinstance(value, Mapping):
            yield from _parameters(value, f"{prefix}{name}.")
        elif prefix or "." in name:  # others are W&B's or a user's
            yield f"{prefix}{name}", value


def _rows(run: Any) -> Iterator[RemoteRow]:
    """The history, each increment once: a run that was taken up again may have logged one twice."""
    seen: set[int] = set()
    for line in run.scan_history():
        increment = _number(line.get("increment"))
        if increment is None or int(increment) in seen:
            continue
        seen.add(int(increment))
        metrics = {name: _number(value) for name, value in line.items() if _is_metric(name)}
        row = [_number(line.get(f"R/{i}")) for i in range(int(increment) + 1)]
        images = line.get("images_scored")
        scored = [int(n) for n in images] if isinstance(images, list) and all(map(_number, images)) else []
        warnings = tuple(str(line.get("warnings/text") or "").splitlines())
        accuracies = [value for value in row if value is not None]
        yield RemoteRow(int(increment), metrics, accuracies, scored, warnings)


def _is_metric(name: str) -> bool:
    return name.startswith(("val/", "test/", "paid/", "replay_", "generator/")) or name in ("images_trained", "seconds")


def _number(value: Any) -> float | None:
    """A number that is one; W&B writes what is not as text: 'NaN', 'Infinity'."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _check_one_search(address: str, trials: list[RemoteTrial]) -> None:
    numbers = [trial.trial for trial in trials]
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        raise TuneCLError(
            f"{address}: two runs are trial {twice:04d}, so these are runs of more than one search; compare the "
            "results folders, or delete the runs of one of them"
        )
    for trial in trials[1:]:
        for name in sorted(_SAME):
            first, other = trials[0].settings.get(name), trial.settings.get(name)
            if first != other:
                raise TuneCLError(
                    f"{address}: its trials are not of one search: {name} is {first!r} in trial {trials[0].trial:04d} "
                    f"and {other!r} in trial {trial.trial:04d}; name a group that one search has written"
                )


def _complaint(error: Exception) -> str:
    text = in_one_line(error)
    low = text.lower()
    if any(word in low for word in ("could not find project", "not found", "404")):
        return "W&B has no such project, or your account may not see it; check entity and project"
    if any(word in low for word in ("401", "403", "permission", "unauthorized", "api key")):
        return "W&B does not accept the credentials; run `wandb login --relogin`"
    return f"W&B did not answer ({text}); try again, or name the results folder"
