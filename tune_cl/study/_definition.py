"""What defines a study, and must not change while it goes on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optuna.study import StudyDirection

from tune_cl.errors import TuneCLError
from tune_cl.metrics import METRICS, Direction, Objective, bare_name
from tune_cl.records import SearchRecord
from tune_cl.registry import Choice, Registry
from tune_cl.study._attributes import DEFINITION
from tune_cl.study._known_samplers import SAMPLERS
from tune_cl.study._space import SearchSpace
from tune_cl.study._stopping import STOPPING_RULES

DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}


@dataclass(frozen=True)
class StudySettings:
    """Everything besides the space that defines a study, and how many trials are wanted now."""

    sampler: str  # such as `tpe` or `gp(startup=4)`
    search_seed: int
    trials: int  # may be raised later: the study goes on
    objective: str
    direction: Direction
    horizon: int  # last increment; the objective there is what counts
    stopping: str  # such as `none` or `halving(factor=3)`
    base_configurations: int | None = None  # distinct bases that may be trained; None for no limit
    flat: float | None = None  # begin no trial once the last ones gained less than this; may be changed later

    @classmethod
    def of(cls, record: SearchRecord) -> "StudySettings":
        """The settings that a search's definition names."""
        return cls(
            sampler=record.sampler,
            search_seed=record.seeds.search,
            trials=record.trials,
            objective=record.objective,
            direction=record.direction,
            horizon=record.horizon,
            stopping=record.scheduler,
            base_configurations=record.base_configurations,
        )


def _check_direction(storage: Any, study_id: int, direction: Direction, where: str) -> None:
    """Refuse a study that is for another direction.

    Raises:
        TuneCLError: it is.
    """
    directions = storage.get_study_directions(study_id)
    if list(directions) != [DIRECTIONS[direction]]:
        found = " and ".join(d.name.lower() + "s" for d in directions)
        raise TuneCLError(f"{where} {found}, and this search wants {direction}; give this one another --name")


def definition_of(space: SearchSpace, settings: StudySettings) -> dict[str, Any]:
    """What must not change, as plain JSON data."""
    definition = asdict(settings)
    del definition["trials"], definition["flat"]
    definition |= _sources(settings)
    definition |= {"fixed": space.fixed, "ranges": space.written_ranges(), "default": space.default}
    plain: dict[str, Any] = json.loads(json.dumps(definition))
    return plain


def _sources(settings: StudySettings) -> dict[str, str]:
    """The hashes of the sources of what plug-ins bring: other code would mix what cannot be compared."""
    chosen: dict[str, tuple[Registry[Any], str]] = {
        "sampler_source": (SAMPLERS, settings.sampler),
        "stopping_rule_source": (STOPPING_RULES, settings.stopping),
    }
    found: dict[str, str | None] = {
        key: registry.source(Choice.parse(text, key).name) for key, (registry, text) in chosen.items()
    }
    measured = [METRICS.source(bare_name(term)) for term in Objective.parse(settings.objective).terms]
    found["objective_source"] = " ".join(sorted({source for source in measured if source is not None})) or None
    return {key: source for key, source in found.items() if source is not None}


def check_definition(storage: Any, study_id: int, definition: Mapping[str, Any], where: str) -> None:
    """Check a study's definition against the one that it began with, or give it one.

    Raises:
        TuneCLError: it began with another one, or was not made by a search.
    """
    before = storage.get_study_user_attrs(study_id).get(DEFINITION)
    if before is None and storage.get_all_trials(study_id, deepcopy=False):
        raise TuneCLError(f"{where} was not made by a search; use another --name")
    if before is None:
        _check_direction(storage, study_id, definition["direction"], where)
        storage.set_study_user_attr(study_id, DEFINITION, definition)
        return
    before = {**before, "stopping": _as_text(before.get("stopping"))}
    for key, value in definition.items():
        if before.get(key) != value:
            raise TuneCLError(f"{where} began with another {key.replace('_', ' ')}; repeat it, or use another --name")


def _as_text(stopping: Any) -> Any:
    """A stopping rule as it is written now; studies of earlier versions have its name and its factor."""
    if not isinstance(stopping, Mapping):
        return stopping
    factor = stopping.get("reduction", 2)
    return stopping["name"] if stopping["name"] == "none" or factor == 2 else f"{stopping['name']}(factor={factor})"
