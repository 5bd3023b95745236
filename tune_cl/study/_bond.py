"""A study and the folder of its search belong together: neither goes on with another, or without what the other has.

Rows that one study measured must not stand beside another's configurations. So both hold one id, and whenever a search
is continued its folder must have a row for every value that the study has, and no trial that the study lacks.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tune_cl.errors import TuneCLError
from tune_cl.records import (
    CONFIG_VERSION,
    RunConfig,
    SearchFolder,
    SearchRecord,
    TrialFolder,
    flatten,
    read_record,
)

_ANEW = "another --name begins a new search, which finds the stages that are trained already"


class KnownTrial(Protocol):
    """What is asked of a trial that a study knows."""

    @property
    def number(self) -> int:
        """Its number."""

    @property
    def values(self) -> Mapping[int, float]:
        """Increment -> objective."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was sampled."""


def check_found(folder: SearchFolder, where: str, found: bool) -> None:
    """Refuse to begin a study where the folder has trials of another one.

    Raises:
        TuneCLError: it has.
    """
    begun = _begun(folder)
    if begun and not found:
        raise TuneCLError(
            f"{folder.path}: holds {len(begun)} trials, and {where} is not there: repeat --storage as it was, or move "
            f"{folder.study.name} back to where it was; {_ANEW}"
        )


def check_ids(folder: SearchFolder, of_study: Mapping[str, str] | None, where: str) -> None:
    """Refuse a study that was begun for another folder.

    Args:
        folder: of the search.
        of_study: what `bond_of` made, as the study has it.
        where: what a message calls the study.

    Raises:
        TuneCLError: it was.
    """
    if of_study is None:  # of an earlier version, or new
        return
    here = read_record(folder.search, SearchRecord).study if folder.search.exists() else None
    if here != of_study["id"]:
        begun = of_study["folder"]
        elsewhere = "another search.json" if begun == str(folder.path.absolute()) else begun
        raise TuneCLError(
            f"{where} belongs to {elsewhere}, not to {folder.path}: name the results folder that it was begun with, or "
            f"restore its files; {_ANEW}"
        )


def bond_of(folder: SearchFolder, identity: str) -> dict[str, str]:
    """What a study keeps of its folder."""
    return {"id": identity, "folder": str(folder.path.absolute())}


def check_trials(
    folder: SearchFolder, trials: Sequence[KnownTrial], objective: str, default: Mapping[str, Any], where: str
) -> None:
    """Check that folder and study have the same trials, with the same configurations and values.

    Args:
        folder: of the search.
        trials: all trials of the study, in order.
        objective: the metric whose values the study has.
        default: path -> value where a trial has sampled none.
        where: what a message calls the study.

    Raises:
        TuneCLError: they differ.
    """
    strangers = [number for number in _begun(folder) if number >= len(trials)]
    if strangers:
        raise TuneCLError(
            f"{folder.trial(strangers[0]).path}: {where} has no such trial; restore the study that has it, or repeat "
            f"--storage as it was; {_ANEW}"
        )
    for trial in trials:
        here = folder.trial(trial.number)
        if here.config.exists():
            _check_config(here, {**default, **trial.parameters}, where)
        elif trial.values:
            raise TuneCLError(f"{here.config}: no such file, and {where} has the trial; restore the file; {_ANEW}")
        _check_values(here, trial, objective, where)


def _check_values(here: TrialFolder, trial: KnownTrial, objective: str, where: str) -> None:
    rows = {row.increment: row.metrics.get(objective) for row in here.rows()} if trial.values else {}
    for increment, value in trial.values.items():
        if increment not in rows:
            raise TuneCLError(
                f"{here.increments}: has no row of increment {increment}, and {where} has its value; restore the file; "
                f"{_ANEW}"
            )
        found = rows[increment]
        if found is None or not math.isclose(found, value, rel_tol=1e-9):
            raise TuneCLError(
                f"{here.increments}: {objective} is {found} at increment {increment}, and {value} in {where}; restore "
                f"the file; {_ANEW}"
            )


def _check_config(here: TrialFolder, expected: Mapping[str, Any], where: str) -> None:
    run = read_record(here.config, RunConfig)
    written = flatten(run.parameters)
    if run.schema_version < CONFIG_VERSION:  # it may lack what came later
        written = {**{path: expected[path] for path in expected.keys() - written.keys()}, **written}
    for path in sorted(expected.keys() | written.keys()):
        one, other = written.get(path, "missing"), expected.get(path, "not there")
        if one != other and not (_number(one) and _number(other) and math.isclose(one, other, rel_tol=1e-9)):
            raise TuneCLError(
                f"{here.config}: parameters.{path} is {one}, and {other} in {where}; put {other} back; {_ANEW}"
            )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _begun(folder: SearchFolder) -> list[int]:
    """Trials that have left something."""
    return [number for number, trial in folder.trials().items() if trial.config.exists() or trial.increments.exists()]
