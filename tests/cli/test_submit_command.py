"""`submit` before it reaches a cluster: what it refuses at once, and how it writes a search's options down."""

import re
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from tune_cl.cli._parser import made, search_parser, submit_parser
from tune_cl.cli._submit import _entrypoint, _load_plugins, _space, _written
from tune_cl.cli.main import main
from tune_cl.engine import Job
from tune_cl.options import SearchOptions, written
from tune_cl.study import load_space

RESULTS = "--results=/shared/results"
NOBODY = "--address=http://127.0.0.1:9"  # nothing listens at this port


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--space=finetun", RESULTS], "did you mean 'finetune.yaml'"),
        (["--space=finetune", RESULTS, "--trails=3"], "did you mean '--trials'"),
        (["--space=finetune", RESULTS, "--set=increment.classifier.epoch=3"], "did you mean 'increment.classifier.epo"),
        (["--space=finetune", RESULTS, "--stream=fashio-b4-t3"], "did you mean 'fashion'"),
        (["--space=finetune", RESULTS, "--time-limit=2x"], "write a time above 0"),
        (["--space=finetune"], "--results results: relative, but a job's folder is temporary; name an absolute path"),
        (["--space=finetune", RESULTS, "--stages=s"], "--stages s: relative"),
        (["--space=finetune", RESULTS, "--data-root=data"], "--data-root data: relative"),
        (["--space=finetune", RESULTS, "--backbone-weights=r.pt"], "--backbone-weights r.pt: relative"),
        (
            ["--space=finetune", RESULTS, "--storage=postgresql://me:hunter2@db/x"],
            "give a password to the head by PGPASSWORD",
        ),
        (["--space=finetune", RESULTS, "--storage=postgresql://me@db/x?password=hunter2"], "the URL holds a password"),
        (["--space=finetune", RESULTS, "--storage=postgresql://me:hunter2/x@db/s"], "the URL holds a password"),
        (["--space=finetune", RESULTS, "--storage=postgresql://me:hunter2#x@db/s"], "the URL holds a password"),
        (["--space=finetune", RESULTS, "--storage=postgresql://me:hunter2?x@db/s"], "the URL holds a password"),
        (["--space=finetune", RESULTS, "--storage=postgresql://me:[hunter2@db/s"], "the URL holds a password"),
        (["--space=finetune", RESULTS, "--storage=postgresql://me:hunter2/s"], "not the URL of a database; write one"),
        (["--space=finetune", RESULTS, "--storage=me:hunter2@db"], "give a password to the head by PGPASSWORD"),
        (["--space=finetune", RESULTS, "--storage=sqlite:///s.db"], "write sqlite:////absolute/path/study.db"),
        (["--space=finetune", RESULTS, "--plugin=no_such_module"], "no module 'no_such_module'"),
        (["--space=finetune", RESULTS, "--address=auto"], "not the URL of a job server"),
        (["--space=finetune", RESULTS, "--address=10.0.0.1:6379"], "write http://10.0.0.1:8265"),
        (["--space=finetune", RESULTS, NOBODY], "no job server answers there"),
        ([RESULTS], "--space FILE is missing"),
        (["stats"], "did you mean 'status'"),
        (["status"], "required: JOB"),
        (["logs", "s-1", NOBODY], "no job server answers there"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_before_anything_travels(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", *arguments]) == 2
    told = capsys.readouterr().err
    assert complaint in told and told.count("\n") == 1 and "hunter2" not in told


@dataclass
class Taken:
    """Stands in for a cluster's job server, and keeps what it is handed."""

    address: str
    command: str = ""

    def jobs(self) -> list[Job]:
        return []

    def submit(
        self, package: Path, entrypoint: str, job: str, metadata: dict[str, str], settings: dict[str, str]
    ) -> None:
        self.command = settings["TUNE_CL_COMMAND"]


def test_password_of_the_job_server_does_not_travel_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Taken("https://me:hunter2@head")
    monkeypatch.setattr("tune_cl.cli._submit.JobServer", lambda address: server)
    assert main(["submit", "--space=finetune", RESULTS, "--no-wait", f"--address={server.address}"]) == 0
    assert server.command.endswith("--no-wait '--address=https://me:***@head'")


def test_weights_need_not_be_seen_by_who_submits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--space=finetune", RESULTS, "--backbone-weights=/shared/r18.pt", NOBODY]) == 2
    assert "no job server answers there" in capsys.readouterr().err


_CHOICES = {"--precision": "bfloat16", "--memory-format": "contiguous", "--seeds": "finalists=3,top=0.5"}


def test_submit_takes_every_option_of_search() -> None:
    """Each option of `search`, with a value of its own, is what the job's `search` reads."""
    given = []
    for action in search_parser()._actions:
        if action.dest in ("help", "address", "list", "dry_run", "json"):
            continue
        option = action.option_strings[-1]
        value = "it's a $value" if action.type is None else _CHOICES.get(option, "1")  # a type bounds a number
        given += [option] if action.nargs == 0 else [f"{option}={value}"]
        given += [f"{option}=another"] if isinstance(action.default, list) else []
    submitted = made(SearchOptions, submit_parser().parse_args([*given, "--no-wait", "--address=http://head:8265"]))
    assert made(SearchOptions, search_parser().parse_args(written(submitted))) == replace(
        made(SearchOptions, search_parser().parse_args(given)), address="http://head:8265"
    )


def test_a_users_space_travels_and_a_shipped_one_does_not(tmp_path: Path) -> None:
    mine = tmp_path / "my space.yaml"
    mine.write_text("method: finetune\n")
    options = SearchOptions(str(mine), results="/shared/results")
    assert _space(options) == {"spaces/my space.yaml": mine}
    assert _entrypoint(options, "/opt/my python") == (
        "exec '/opt/my python' job.py search '--space=spaces/my space.yaml' --results=/shared/results --address=auto"
    )
    assert _written(_space(options), tmp_path)["spaces/my space.yaml"].read_text() == "method: finetune\n"
    mine.write_text("extends: other.yaml\ntrials: 3\n")
    (tmp_path / "other.yaml").write_text("extends: lwf.yaml\nparameters: {increment.classifier.batch_size: 16}\n")
    alone = load_space(str(_written(_space(options), tmp_path)["spaces/my space.yaml"]))
    assert alone.parameters["increment.classifier.batch_size"] == 16, "what it extends travels within it"
    assert alone == replace(load_space(str(mine)), source=alone.source)
    options = SearchOptions("genifer.yaml", results="/shared/results")
    assert _space(options) == {}
    assert "--space=genifer.yaml" in _entrypoint(options, "python")


def test_a_plugin_travels_with_what_it_imports_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/__init__.py").touch()
    (tmp_path / "own/helper.py").write_text("import json.tool\n")
    (tmp_path / "own/method.py").write_text("from own import helper\nMETHODS = []\n")
    (tmp_path / "unused.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("tune_cl.cli._submit.load_named", _import_own)
    options = SearchOptions("finetune", plugins=["own.method"])
    assert set(_load_plugins(options)) == {
        "own/__init__.py",
        "own/helper.py",
        "own/method.py",
    }


def _import_own(args: object) -> tuple[str, ...]:
    import importlib

    sys.path.insert(0, "")
    importlib.import_module("own.method")
    return ("own.method",)


@pytest.mark.parametrize(
    ("status", "driver", "message", "code", "trouble"),
    [
        ("SUCCEEDED", 0, "", 0, None),
        ("FAILED", 2, "", 2, None),
        ("FAILED", 130, "", 130, None),
        ("STOPPED", None, "", 130, None),
        ("FAILED", 127, "", 1, "no such Python"),
        ("FAILED", -9, "", 1, "ended by signal 9"),
        ("FAILED", None, "the runtime environment could not be set up", 1, "could not be set up"),
    ],
)
def test_a_jobs_exit_code_is_that_of_its_search(
    status: str, driver: int | None, message: str, code: int, trouble: str | None
) -> None:
    job = Job("s-1", status, {}, None, None, driver, message)
    assert job.exit_code == code
    assert (job.trouble is None) == (trouble is None)
    assert re.search(trouble or "", job.trouble or "")


def test_jobs_are_listed_with_whole_ids_and_their_folders_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ids = [f"genifer-cifar100-b50-t10-{'x' * n}-quick-3f9c1a" for n in (1, 60)]
    folder = "/shared/[a]/[/b]/:dog:/results/genifer-cifar100-b50-t10-quick"
    jobs = [Job(id, "RUNNING", {"tune_cl.search": folder}, datetime(2026, 1, 2), None, None, "") for id in ids]
    monkeypatch.setattr(Taken, "jobs", lambda self: jobs)
    monkeypatch.setattr("tune_cl.cli._submit_jobs.JobServer", Taken)
    assert main(["submit", "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["job", "status", "started", "search"]
    assert [line.split() for line in lines] == [[id, "running", "2026-01-02", "00:00:00", folder] for id in ids]
