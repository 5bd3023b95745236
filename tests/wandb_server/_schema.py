"""The fields that W&B's client asks for, answered from the store."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from wandb_server._filters import chosen, ordered
from wandb_server._graphql import GraphQLError
from wandb_server._store import ServerArtifact, ServerRun, ServerSweep, Store, storage_id

_EPOCH = "2026-01-01T00:00:00"


class Schema:
    """The root of all answers.

    Args:
        store: what there is.
        url: where files are uploaded to and downloaded from.
    """

    def __init__(self, store: Store, url: Callable[[], str]) -> None:
        self._store = store
        self._url = url

    def query(self) -> dict[str, Any]:
        """The fields of a query."""
        return {
            "viewer": self._user(),
            "serverInfo": self._server_info(),
            "entity": self._entity,
            "organization": None,
            "project": self._project,
            "model": lambda name=None, entityName=None: self._project(name, entityName),
            "models": lambda **_: _connection([self._project(p, self._store.entity) for p in self._projects()]),
            "artifact": lambda id=None: self._artifact(self._store.artifact(id)),
            "clientIDMapping": lambda clientID: _mapped(self._store.artifact(clientID)),
            "__type": lambda name: {"name": name, "fields": [], "inputFields": [], "enumValues": []},
            "__schema": {"queryType": {"fields": []}, "mutationType": {"fields": []}},
        }

    def mutation(self) -> dict[str, Any]:
        """The fields of a mutation."""
        return {
            "upsertBucket": self._upsert_bucket,
            "upsertSweep": self._upsert_sweep,
            "upsertModel": lambda input: {"model": self._project(input["name"], input.get("entityName"))},
            "createRunFiles": self._create_run_files,
            "markRunFilesUploaded": lambda input: {"success": True},
            "createArtifact": self._create_artifact,
            "createArtifactManifest": self._create_manifest,
            "updateArtifactManifest": self._update_manifest,
            "createArtifactFiles": self._create_artifact_files,
            "commitArtifact": self._commit_artifact,
            "useArtifact": lambda input: {"artifact": self._artifact(self._store.artifact(input["artifactID"]))},
        }

    def _projects(self) -> list[str]:
        return sorted({of.project for of in [*self._store.runs.values(), *self._store.sweeps.values()]})

    def _user(self) -> dict[str, Any]:
        entity = self._store.entity
        return {
            "__typename": "User",
            "id": storage_id("User", entity),
            "name": entity,
            "username": entity,
            "email": f"{entity}@example.org",
            "entity": entity,
            "admin": False,
            "accountType": "MEMBER",
            "flags": "{}",
            "deletedAt": None,
            "apiKeys": _connection([]),
            "teams": _connection([{"__typename": "Entity", "name": entity}]),
            "defaultEntity": {"name": entity},
        }

    def _server_info(self) -> dict[str, Any]:
        return {
            "features": [],
            "cliVersionInfo": {"max_cli_version": "99.0.0", "min_cli_version": "0.1.0"},
            "latestLocalVersionInfo": None,
            "exposesExplicitlyEntityName": True,
        }

    def _entity(self, name: str) -> dict[str, Any]:
        return {
            "__typename": "Entity",
            "id": storage_id("Entity", name),
            "name": name,
            "isTeam": False,
            "organization": None,
            "xxhashDigestsEnabled": False,
        }

    def _project(self, name: str | None = None, entityName: str | None = None) -> dict[str, Any] | None:
        entity = entityName or self._store.entity
        runs, sweeps = self._store.runs_of(name, entity), self._store.sweeps_of(name, entity)
        return {
            "__typename": "Project",
            "id": storage_id("Project", str(name), entity),
            "internalId": storage_id("ProjectInternalId", "1"),
            "name": name,
            "entityName": entity,
            "entity": self._entity(entity),
            "user": self._user(),
            "createdAt": _EPOCH,
            "isBenchmark": False,
            "readOnly": False,
            "access": "PRIVATE",
            "tags": [],
            "runCount": lambda filters=None: len(chosen(runs, filters)),
            "runs": lambda filters=None, order=None, **page: _connection(
                [self._run(run) for run in ordered(chosen(runs, filters), order)], **page
            ),
            "run": lambda name: self._run(self._store.runs.get(name)),
            "bucket": lambda name, missingOk=False: self._run(self._store.runs.get(name)),
            "artifact": lambda **_: None,  # the client asks whether one is there already
            "artifactType": lambda **_: None,
            "totalSweeps": len(sweeps),
            "sweeps": lambda filters=None, **page: _connection([self._sweep(sweep) for sweep in sweeps], **page),
            "sweep": lambda sweepName: self._sweep(self._store.sweeps.get(sweepName)),
        }

    def _run(self, run: ServerRun | None) -> dict[str, Any] | None:
        if run is None:
            return None
        rows = [_shown(row) for row in run.history]
        return {
            "__typename": "Run",
            "id": run.storage_id,
            "projectId": "1",
            "name": run.name,
            "displayName": run.display_name,
            "description": run.notes,
            "notes": run.notes,
            "sweepName": run.sweep,
            "state": run.state,
            "group": run.group,
            "groupName": run.group,
            "jobType": run.job_type,
            "tags": run.tags,
            "commit": None,
            "host": run.host,
            "readOnly": False,
            "createdAt": _EPOCH,
            "heartbeatAt": _EPOCH,
            "exitcode": run.exit_code,
            "stopped": False,
            "shouldStop": False,
            "config": json.dumps(run.raw_config),
            "wandbConfig": lambda keys=None: json.dumps(run.raw_config.get("_wandb", {}).get("value", {})),
            "summaryMetrics": json.dumps(_shown(run.raw_summary)),
            "systemMetrics": "{}",
            "historyLineCount": len(rows),
            "eventsLineCount": len(run.events),
            "logLineCount": len(run.log),
            "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
            "eventsTail": json.dumps([json.dumps(row) for row in run.events[-1:]]),
            "historyKeys": _history_keys(rows),
            "history": lambda **limits: [json.dumps(row) for row in _between(rows, **limits)],
            "events": lambda samples=None: [json.dumps(row) for row in run.events],
            "sampledHistory": lambda specs: [_sampled(rows, json.loads(spec)) for spec in specs],
            "parquetHistory": lambda liveKeys: {"parquetUrls": [], "liveData": rows},
            "user": self._user(),
            "project": lambda: self._project(run.project, run.entity),
            "sweep": lambda: self._sweep(self._store.sweeps.get(run.sweep or "")),
            "fileCount": len(run.files),
            "files": lambda names=None, upload=False, pattern=None, **page: _connection(
                [self._file(run, name) for name in names or run.files], **page
            ),
            "outputArtifacts": lambda **page: _connection(
                [self._artifact(a) for a in self._store.artifacts if a.run == run.name], **page
            ),
        }

    def _file(self, run: ServerRun, name: str) -> dict[str, Any]:
        url = f"{self._url()}/storage/runs/{run.name}/{name}"
        content = run.files.get(name, b"")
        return {
            "__typename": "File",
            "id": storage_id("File", run.name, name),
            "name": name,
            "displayName": name,
            "url": url,
            "directUrl": url,
            "uploadUrl": url,
            "sizeBytes": len(content),
            "mimetype": "application/octet-stream",
            "md5": None,
            "updatedAt": _EPOCH,
            "storagePath": None,
        }

    def _sweep(self, sweep: ServerSweep | None) -> dict[str, Any] | None:
        if sweep is None:
            return None
        runs = [run for run in self._store.runs_of(sweep.project, sweep.entity) if run.sweep == sweep.name]
        return {
            "__typename": "Sweep",
            "id": sweep.storage_id,
            "name": sweep.name,
            "displayName": sweep.display_name,
            "description": sweep.description,
            "method": (yaml.safe_load(sweep.config) or {}).get("method"),
            "state": sweep.state,
            "config": sweep.config,
            "bestLoss": None,
            "createdAt": _EPOCH,
            "updatedAt": _EPOCH,
            "heartbeatAt": _EPOCH,
            "runCount": len(runs),
            "runCountExpected": None,
            "priorRunCount": 0,
            "runs": lambda **page: _connection([self._run(run) for run in runs], **page),
            "project": lambda: self._project(sweep.project, sweep.entity),
        }

    def _artifact(self, artifact: ServerArtifact | None) -> dict[str, Any] | None:
        if artifact is None:
            return None
        return {
            "__typename": "Artifact",
            "id": artifact.storage_id,
            "state": artifact.state,
            "digest": artifact.digest,
            "versionIndex": 0,
            "size": sum(map(len, artifact.files.values())),
            "createdAt": _EPOCH,
            "artifactSequence": {
                "id": storage_id("Sequence", artifact.name),
                "name": artifact.name,
                "latestArtifact": None,
                "state": "READY",
            },
            "artifactType": {"name": artifact.kind},
            "currentManifest": {"file": {"directUrl": f"{self._url()}/storage/artifacts/{artifact.number}/manifest"}},
        }

    def _upsert_bucket(self, input: Mapping[str, Any]) -> dict[str, Any]:
        run, new = self._store.upsert_run(input)
        return {"bucket": self._run(run), "inserted": new}

    def _upsert_sweep(self, input: Mapping[str, Any]) -> dict[str, Any]:
        return {"sweep": self._sweep(self._store.upsert_sweep(input)), "configValidationWarnings": []}

    def _create_run_files(self, input: Mapping[str, Any]) -> dict[str, Any]:
        run = self._store.runs[input["runName"]]
        files = [self._file(run, name) for name in input["files"]]
        return {"runID": run.storage_id, "uploadHeaders": [], "files": files}

    def _create_artifact(self, input: Mapping[str, Any]) -> dict[str, Any]:
        return {"artifact": self._artifact(self._store.create_artifact(input))}

    def _create_manifest(self, input: Mapping[str, Any]) -> dict[str, Any]:
        artifact = self._store.artifact(input["artifactID"])
        assert artifact is not None
        return self._manifest(artifact, input["name"])

    def _update_manifest(self, input: Mapping[str, Any]) -> dict[str, Any]:
        artifact = next(
            a for a in self._store.artifacts if storage_id("Manifest", str(a.number)) == input["artifactManifestID"]
        )
        return self._manifest(artifact, "manifest")

    def _manifest(self, artifact: ServerArtifact, name: str) -> dict[str, Any]:
        url = f"{self._url()}/storage/artifacts/{artifact.number}/manifest"
        file = {"id": "manifest", "name": name, "displayName": name, "uploadUrl": url, "uploadHeaders": []}
        return {"artifactManifest": {"id": storage_id("Manifest", str(artifact.number)), "file": file}}

    def _create_artifact_files(self, input: Mapping[str, Any]) -> dict[str, Any]:
        nodes = []
        for spec in input["artifactFiles"]:
            artifact = self._store.artifact(spec["artifactID"])
            if artifact is None:
                raise GraphQLError("no such artifact")
            nodes.append(
                {
                    "__typename": "File",
                    "id": storage_id("File", spec["name"]),
                    "name": spec["name"],
                    "displayName": spec["name"],
                    "storagePath": spec["name"],
                    "uploadUrl": f"{self._url()}/storage/artifacts/{artifact.number}/{spec['name']}",
                    "uploadHeaders": [],
                    "uploadMultipartUrls": None,
                    "artifact": self._artifact(artifact),
                }
            )
        return {"files": _connection(nodes)}

    def _commit_artifact(self, input: Mapping[str, Any]) -> dict[str, Any]:
        artifact = self._store.artifact(input["artifactID"])
        assert artifact is not None
        artifact.state = "COMMITTED"
        return {"artifact": self._artifact(artifact)}


def _connection(nodes: Sequence[Any], first: int | None = None, after: str | None = None, **_: Any) -> dict[str, Any]:
    """One page of a list, as the server hands it out; a cursor is a place in the list."""
    start = int(after) + 1 if after else 0
    end = len(nodes) if first is None else min(len(nodes), start + first)
    edges = [{"node": nodes[place], "cursor": str(place)} for place in range(start, end)]
    page = {
        "__typename": "PageInfo",
        "endCursor": edges[-1]["cursor"] if edges else None,
        "hasNextPage": end < len(nodes),
    }
    return {"__typename": "Connection", "edges": edges, "pageInfo": page, "totalCount": len(nodes)}


def _shown(value: Any) -> Any:
    """A value as the server hands it out: what JSON has no number for becomes text."""
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _between(
    rows: list[dict[str, Any]],
    minStep: int = 0,
    maxStep: int | None = None,
    samples: int | None = None,
) -> list[dict[str, Any]]:
    found = [r for r in rows if minStep <= r.get("_step", 0) and (maxStep is None or r.get("_step", 0) < maxStep)]
    return found[:samples]


def _sampled(rows: list[dict[str, Any]], spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = spec["keys"]
    return [{key: row[key] for key in keys} for row in rows if all(key in row for key in keys)]


def _history_keys(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the server says of a history's keys; its `lastStep` is where a scan of the client's ends."""
    keys = sorted({key for row in rows for key in row})
    types = [{"type": "number", "count": len(rows), "monotonic": False}]
    return {
        "sets": [],
        "keys": {key: {"typeCounts": types, "monotonic": False, "previousValue": 0} for key in keys},
        "lastStep": max((row.get("_step", 0) for row in rows), default=-1),
    }


def _mapped(artifact: ServerArtifact | None) -> dict[str, Any] | None:
    return None if artifact is None else {"serverID": artifact.storage_id}
