"""A search as a W&B sweep: W&B's own page for it, to which the trials' runs are attached.

No agent of W&B's ever draws from the sweep: the proposals are the search's, the sweep shows them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tune_cl.records import SCHEMA_VERSION, Record, SearchFolder, SearchRecord, sound_record, write_json
from tune_cl.tracking import in_one_line
from tune_cl.wandb._files import mark_path, read_mark

METHODS = {"auto": "bayes", "tpe": "bayes", "random": "random"}
GOALS = {"max": "maximize", "min": "minimize"}
_INTERVALS = {"log": "log_uniform_values", "uniform": "uniform", "int": "int_uniform"}
_CREATE_SECONDS = 20  # for the server's answer
_UPSERT = """
mutation UpsertSweep(
    $config: String, $description: String, $entityName: String, $projectName: String, $priorRunsFilters: JSONString
) {
    upsertSweep(input: {
        config: $config, description: $description, entityName: $entityName, projectName: $projectName,
        priorRunsFilters: $priorRunsFilters
    }) {
        sweep { name }
    }
}
"""


class SweepMark(Record):
    """`wandb-sweep.json` of a search: a sweep was asked for, and which one it is."""

    schema_version: int = SCHEMA_VERSION
    project: str
    entity: str | None
    sweep_id: str | None = None  # None until a server has made it


def sweep_path(folder: SearchFolder) -> Path:
    """Where a search's note of its sweep lies."""
    return folder.path / "wandb-sweep.json"


def read_sweep(folder: SearchFolder) -> SweepMark | None:
    """The note of a search's sweep, or None where none was asked for (or the note is damaged)."""
    return sound_record(sweep_path(folder), SweepMark)


def sweep_config(record: SearchRecord) -> dict[str, Any]:
    """A search in W&B's words; where nothing is searched, the parameters are the fixed values."""
    searched = {path: parameter(written) for path, written in record.ranges.items()}
    return {
        "name": record.name,
        "description": f"{record.method} on {record.stream.name}, budget {record.budget}: a search of tune_cl, "
        "which proposes the trials itself; no agent is needed",
        "method": METHODS.get(record.sampler, "custom"),
        "metric": {"name": record.objective, "goal": GOALS[record.direction]},
        "parameters": searched or {path: {"value": value} for path, value in record.default.items()},
    }


def sweep_at(folder: SearchFolder, project: str, entity: str | None) -> SweepMark:
    """The note of a search's sweep where its runs are; a sweep of another project cannot hold them."""
    known = read_sweep(folder)
    here = known is not None and (known.project, known.entity) == (project, entity)
    return known if known is not None and here else SweepMark(project=project, entity=entity)


def make_sweep(wandb: Any, record: SearchRecord, folder: SearchFolder, asked: SweepMark) -> SweepMark:
    """Have the server make the sweep, with the trials that it has already attached, and note it down.

    Raises:
        Exception: as in `create_sweep`.
    """
    marks = {number: read_mark(trial) for number, trial in folder.trials().items()}
    prior = {number: mark for number, mark in marks.items() if mark is not None and mark.uploaded}
    sweep_id = create_sweep(wandb, record, asked, [mark.shown.run_id for mark in prior.values()])
    made = asked.model_copy(update={"sweep_id": sweep_id})
    write_json(sweep_path(folder), made)
    for number, mark in prior.items():
        shown = mark.shown.model_copy(update={"sweep_id": sweep_id})
        write_json(mark_path(folder.trial(number)), mark.model_copy(update={"shown": shown}))
    return made


def create_sweep(wandb: Any, record: SearchRecord, asked: SweepMark, prior_runs: Sequence[str]) -> str:
    """Make a sweep on the server, once and without a second try; returns its id.

    `wandb.sweep` would do the same, but prints into the live view, leaves its project in the environment, and asks a
    server that does not answer five times.

    Args:
        wandb: the module, from `quiet_wandb`.
        record: the search.
        asked: where the sweep shall be.
        prior_runs: ids of runs that the server has already and that belong to the sweep.

    Raises:
        ConnectionError: the server does not answer, or not to these credentials.
        Exception: whatever W&B raises when the server refuses.
    """
    config = sweep_config(record)
    variables = {
        "config": yaml.safe_dump(config, sort_keys=False),
        "description": config["description"],
        "entityName": asked.entity or wandb.setup().settings.entity,  # WANDB_ENTITY, which moves the runs as well
        "projectName": asked.project,
        "priorRunsFilters": _any_of(prior_runs) if prior_runs else None,
    }
    api = _connected(wandb)
    answer = api._service_api.execute_graphql(_UPSERT, variables=variables)
    return str(answer["upsertSweep"]["sweep"]["name"])


def _connected(wandb: Any) -> Any:
    """W&B's interface to its server; making it asks the server who we are."""
    try:
        return wandb.Api(timeout=_CREATE_SECONDS)
    except Exception as error:
        raise ConnectionError(in_one_line(error)) from error


def parameter(written: Mapping[str, Any]) -> dict[str, Any]:
    """A range as in a space file, in W&B's words, which have no conditions and no priors."""
    if "choice" in written:
        return {"values": list(written["choice"])}
    kind = next(kind for kind in _INTERVALS if kind in written)
    low, high = written[kind]
    return {"distribution": _INTERVALS[kind], "min": low, "max": high}


def _any_of(run_ids: Sequence[str]) -> str:
    """W&B's filter for runs of these ids."""
    return json.dumps({"$or": [{"name": run_id} for run_id in run_ids]})
