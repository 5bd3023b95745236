"""A search as a job on a real cluster: two nodes on this machine, with token authentication."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from job_cluster import SUBMIT, cluster_with_jobs, job_of, submit
from ray_nodes import TwoNodes
from search_cli import (
    CHEAP,
    LAUNCH,
    comparable,
    end_group,
    environment,
    rows_of,
    run,
    start,
    states_of,
)

sys.path.insert(0, str(Path(__file__).parent.parent / "faults"))

from fault_tools import await_moment
from search_runs import with_wires
from tripwire import Moment, let_go, stretch

from tune_cl.records import SearchFolder, SearchRecord, read_record

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]  # mostly of starting Ray, twice

# Trials that know nothing of each other.
OPTIONS = ("--space=finetune", *CHEAP, "--trials=2", "--name=s")
RANDOM = (*OPTIONS, "--sampler=random", "--scheduler=none")
# What nobody must find anywhere. W&B is offline, but has a key at hand, as on a real head.
SECRETS = {"WANDB_API_KEY": "5ec4e7" * 6 + "cafe", "DATABASE_PASSWORD": "a-secret-of-the-head"}
MINE = {"AWS_SECRET_ACCESS_KEY": "a-secret-of-who-submits"}


@dataclass
class Story:
    """A search that was submitted, stopped, and submitted again."""

    cluster: TwoNodes
    work: Path
    reference: Path
    codes: list[int] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    listed: str = ""
    stopped: str = ""

    @property
    def folder(self) -> SearchFolder:
        return SearchFolder(self.work / "results" / "s")

    @property
    def command(self) -> list[str | Path]:
        results = f"--results={self.work / 'results'}"
        return [SUBMIT, *RANDOM, results, "--wandb-mode=offline", f"--address={self.cluster.server}"]

    @property
    def environment(self) -> dict[str, str]:
        """Of who submits."""
        return {**self.cluster.environment, **MINE}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Trial 0 stays in its second increment until the job is stopped."""
    work, alone, wires = (tmp_path_factory.mktemp(name) for name in ("job", "alone", "wires"))
    stretch(wires, Moment("phase", 1, "classifier", 1, trial=0))
    log = work / "log"
    undisturbed = start(
        [LAUNCH / "search.py", *RANDOM, "--results", alone / "results"], alone / "log", env=environment()
    )
    try:
        with cluster_with_jobs({**SECRETS, **with_wires(wires)}) as cluster:
            story = Story(cluster, work, alone / "results" / "s")
            following = start(story.command, log, env=story.environment)
            try:
                await_moment(wires, 150, alive=lambda: following.poll() is None)
                job = job_of(log.read_text())
                story.stopped = submit(cluster, "stop", job).stdout
                story.codes.append(following.wait(timeout=90))
            finally:
                end_group(following)
            story.outputs.append(log.read_text())
            let_go(wires)
            again = run(story.command, timeout=150, env=story.environment)
            story.codes.append(again.returncode)
            story.outputs.append(again.stdout + again.stderr)
            listing = "import json, sys; from ray.job_submission import JobSubmissionClient as C;" + (
                "print([job.json() for job in C(sys.argv[1]).list_jobs()])"
            )
            done = run(["-c", listing, str(cluster.server)], env=story.environment)
            story.listed = done.stdout
            assert undisturbed.wait(timeout=150) == 0, (alone / "log").read_text()
            yield story
    finally:
        end_group(undisturbed)


def test_a_stopped_job_that_is_submitted_again_ends_with_the_rows_of_an_undisturbed_search(story: Story) -> None:
    assert story.codes == [130, 0], story.outputs
    assert comparable(rows_of(story.folder)) == comparable(rows_of(SearchFolder(story.reference)))
    assert states_of(story.folder) == ["finished"] * 2
    resumed = [trial.log.read_text() for trial in story.folder.trials().values()]
    assert any("taken up again" in log for log in resumed)


def test_stop_ends_the_search_in_an_orderly_way(story: Story) -> None:
    assert "is stopped" in story.stopped
    assert "search interrupted" in story.outputs[0]
    assert "the job was stopped; the same command goes on" in story.outputs[0]
    assert "W&B failed" not in story.outputs[0] and "Traceback" not in story.outputs[0]


def test_the_log_is_followed_and_names_the_command_to_go_on(story: Story) -> None:
    assert "trial 0000: finished" in story.outputs[1]
    assert f"{SUBMIT} --space=finetune" in story.outputs[1].split("Done")[1]
    assert read_record(story.folder.search, SearchRecord).command[0] == str(SUBMIT)


def test_no_secret_appears_in_a_file_a_log_or_a_jobs_metadata(story: Story) -> None:
    token = story.cluster.place / ".ray" / "auth_token"
    secrets = {*SECRETS.values(), *MINE.values(), token.read_text().strip()}
    assert story.listed.count("tune_cl.search") == 2
    assert not [secret for secret in secrets if secret in story.listed or secret in "".join(story.outputs)]
    files = [file for folder in (story.work, story.cluster.place) for file in folder.rglob("*") if file.is_file()]
    assert any("job-driver" in file.name for file in files) and any("search.json" in file.name for file in files)
    for file in files:
        if file != token:
            content = file.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], file
