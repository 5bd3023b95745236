"""What the server keeps: runs, sweeps, artefacts and files, as W&B's would."""

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_HISTORY, _EVENTS, _SUMMARY, _LOG = "wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log"


@dataclass
class ServerRun:
    """A run as the server shows it."""

    entity: str
    project: str
    name: str  # its id in the client's words
    number: int
    display_name: str = ""
    group: str | None = None
    job_type: str | None = None
    sweep: str | None = None
    state: str = "running"
    tags: list[str] = field(default_factory=list)
    raw_config: dict[str, Any] = field(default_factory=dict)
    raw_summary: dict[str, Any] = field(default_factory=dict)
    notes: str | None = None
    host: str | None = None
    exit_code: int | None = None
    lines: dict[str, list[str | None]] = field(default_factory=dict)  # file of the stream -> lines by offset
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def storage_id(self) -> str:
        """The id of the server's own."""
        return storage_id("Run", self.name, self.project, self.entity)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration without what W&B adds."""
        return {name: of["value"] for name, of in self.raw_config.items() if name != "_wandb"}

    @property
    def summary(self) -> dict[str, Any]:
        """The summary without what W&B adds."""
        return {name: value for name, value in self.raw_summary.items() if not name.startswith("_")}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows in order of arrival; a hole, which W&B would not show, is an empty one."""
        return [json.loads(line) if line else {} for line in self.lines.get(_HISTORY, [])]

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was measured of the machine."""
        return [json.loads(line) for line in self.lines.get(_EVENTS, []) if line]

    @property
    def log(self) -> list[str]:
        """The lines of the console."""
        return [line or "" for line in self.lines.get(_LOG, [])]

    def take_stream(self, body: Mapping[str, Any]) -> None:
        """Take what a run has sent to its file stream: lines at their offsets, and the end."""
        for name, part in body.get("files", {}).items():
            if name == _SUMMARY:
                self.raw_summary = json.loads(part["content"][-1])
            else:
                _put(self.lines.setdefault(name, []), part["offset"], part["content"])
        if body.get("complete"):
            self.exit_code = int(body.get("exitcode") or 0)
            self.state = "failed" if self.exit_code else "finished"

    def upsert(self, given: Mapping[str, Any]) -> None:
        """Take what a mutation says of the run; what it leaves out stays."""
        texts = {
            "displayName": "display_name", "groupName": "group", "jobType": "job_type", "sweep": "sweep",
            "notes": "notes", "host": "host", "state": "state",
        }  # fmt: skip
        for name, attribute in texts.items():
            if given.get(name) is not None:
                setattr(self, attribute, given[name])
        if given.get("tags") is not None:
            self.tags = list(given["tags"])
        if given.get("config") is not None:
            self.raw_config = json.loads(given["config"])
        if given.get("summaryMetrics") is not None:
            self.raw_summary = json.loads(given["summaryMetrics"])


@dataclass
class ServerSweep:
    """A sweep as the server shows it."""

    entity: str
    project: str
    name: str  # its id in the client's words
    number: int
    config: str = "{}"  # YAML
    state: str = "RUNNING"
    display_name: str | None = None
    description: str | None = None

    @property
    def storage_id(self) -> str:
        """The id of the server's own."""
        return storage_id("Sweep", self.name, self.project, self.entity)


@dataclass
class ServerArtifact:
    """A version of an artefact; a logged table is one."""

    entity: str
    project: str
    kind: str
    name: str
    number: int
    digest: str
    client_id: str | None = None
    sequence_client_id: str | None = None
    run: str | None = None
    state: str = "PENDING"
    files: dict[str, bytes] = field(default_factory=dict)  # the manifest is one of them

    @property
    def storage_id(self) -> str:
        """The id of the server's own."""
        return storage_id("Artifact", str(self.number), self.name)


@dataclass
class Store:
    """Everything that the server keeps."""

    entity: str
    runs: dict[str, ServerRun] = field(default_factory=dict)  # id -> run; ids are taken to be unique on the server
    sweeps: dict[str, ServerSweep] = field(default_factory=dict)
    artifacts: list[ServerArtifact] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def upsert_run(self, given: Mapping[str, Any]) -> tuple[ServerRun, bool]:
        """Make or change a run; returns it, and whether it is new."""
        known = self.runs.get(given.get("name") or "") or self._run_of(given.get("id"))
        run = known or ServerRun(
            given.get("entityName") or self.entity,
            given.get("modelName") or "uncategorized",
            given["name"],
            next(self._numbers),
        )
        run.upsert(given)
        self.runs[run.name] = run
        return run, known is None

    def upsert_sweep(self, given: Mapping[str, Any]) -> ServerSweep:
        """Make or change a sweep."""
        number = next(self._numbers)
        sweep = next((known for known in self.sweeps.values() if known.storage_id == given.get("id")), None)
        if sweep is None:
            project = given.get("projectName") or "uncategorized"
            sweep = ServerSweep(given.get("entityName") or self.entity, project, f"sweep{number:03d}", number)
        for name, attribute in (
            ("config", "config"),
            ("state", "state"),
            ("displayName", "display_name"),
            ("description", "description"),
        ):
            if given.get(name) is not None:
                setattr(sweep, attribute, given[name])
        self.sweeps[sweep.name] = sweep
        for run in self.runs.values():
            if run.name in _prior_runs(given.get("priorRunsFilters")):
                run.sweep = sweep.name
        return sweep

    def create_artifact(self, given: Mapping[str, Any]) -> ServerArtifact:
        """Make a version of an artefact."""
        names = given.get("artifactCollectionNames") or [given.get("artifactCollectionName") or "unnamed"]
        artifact = ServerArtifact(
            given.get("entityName") or self.entity,
            given.get("projectName") or "uncategorized",
            given.get("artifactTypeName") or "",
            names[0],
            next(self._numbers),
            given.get("digest") or "",
            given.get("clientID"),
            given.get("sequenceClientID"),
            given.get("runName"),
        )
        self.artifacts.append(artifact)
        return artifact

    def artifact(self, identity: str | None) -> ServerArtifact | None:
        """A version of an artefact by the server's id, or the client's."""
        return next((a for a in self.artifacts if identity in (a.storage_id, a.client_id)), None)

    def runs_of(self, project: str | None, entity: str | None) -> list[ServerRun]:
        """The runs of a project, the oldest first."""
        wanted = (entity or self.entity, project)
        return sorted((run for run in self.runs.values() if (run.entity, run.project) == wanted), key=_number)

    def sweeps_of(self, project: str | None, entity: str | None) -> list[ServerSweep]:
        """The sweeps of a project, the oldest first."""
        wanted = (entity or self.entity, project)
        return sorted((s for s in self.sweeps.values() if (s.entity, s.project) == wanted), key=_number)

    def _run_of(self, identity: str | None) -> ServerRun | None:
        return next((run for run in self.runs.values() if run.storage_id == identity), None)


def storage_id(*parts: str) -> str:
    """An id as W&B's server makes it."""
    return base64.b64encode(":".join(parts).encode()).decode()


def _number(item: Any) -> int:
    return item.number


def _put(lines: list[str | None], offset: int, content: list[str]) -> None:
    """Put lines at their places, over what is there."""
    lines += [None] * (offset + len(content) - len(lines))
    lines[offset : offset + len(content)] = content


def _prior_runs(filters: str | None) -> list[str]:
    """The runs that a new sweep shall have: {"$or": [{"name": id}, ...]}."""
    return [part["name"] for part in json.loads(filters)["$or"]] if filters else []
