"""What else may happen to a job: nobody follows it, it is asked about, its space and method are a user's own, …"""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_cluster import SUBMIT, cluster_with_jobs, job_of, submit
from PIL import Image
from plugin_files import SPACE as SMOOTH_SPACE
from ray_nodes import TwoNodes
from search_cli import CHEAP, end_group, search, start, states_of, wait_until
from test_plugins import SMOOTH

from tune_cl.records import SearchFolder, SearchRecord, read_record

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

# A base generator that trains for a minute or two.
LONG = (
    *("--space=genifer", "--trials=1", "--name=long", "--set=base.classifier.epochs=1"),
    *("--set=base.generator.steps=3000", "--set=base.generator.channels=8", "--set=base.generator.batch_size=8"),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with cluster_with_jobs() as cluster:
        yield cluster


def test_a_job_goes_on_without_its_follower_and_a_stop_saves_the_phase_in_flight(
    cluster: TwoNodes, tmp_path: Path
) -> None:
    results, log = tmp_path / "results", tmp_path / "log"
    command = [*LONG, f"--results={results}"]
    following = start([SUBMIT, *command, f"--address={cluster.server}"], log, env=cluster.environment)
    try:
        wait_until(lambda: any((results / "stages").glob("*/*/stage.json")), 240, "the base classifier is trained")
        wait_until(lambda: any((results / "stages" / "leases").glob("*")), 60, "the base generator is in training")
        following.send_signal(signal.SIGINT)
        assert following.wait(timeout=60) == 130
    finally:
        end_group(following)
    job = job_of(log.read_text())
    assert "the job goes on" in log.read_text() and f"stop {job} --address {cluster.server}" in log.read_text()
    status = submit(cluster, "status", job)
    assert re.search(r"^status +running", status.stdout, re.MULTILINE)
    second = submit(cluster, *command)
    assert second.returncode == 2 and f"job {job} runs this search already" in second.stderr
    assert job in submit(cluster, "list").stdout
    stopped = submit(cluster, "stop", job)
    assert (stopped.returncode, stopped.stdout) == (0, f"Job {job} is stopped.\n")
    told = submit(cluster, "logs", job)
    assert re.search(r"generator phase at \d+ %, saved", told.stdout), told.stdout
    (saved,) = (results / "stages" / "checkpoints").iterdir()
    assert saved.stat().st_size > 0
    followed = submit(cluster, "logs", job, "--follow")
    assert followed.returncode == 130 and followed.stdout == told.stdout
    again = submit(cluster, "stop", job)
    assert (again.returncode, again.stdout) == (0, f"Job {job} had ended already: stopped.\n")


def test_a_users_space_and_method_travel_with_the_job(cluster: TwoNodes, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "smooth_method.py").write_text(SMOOTH)
    (here / "smooth.yaml").write_text(SMOOTH_SPACE)
    given = ("--plugin=smooth_method", "--space=smooth.yaml", f"--results={tmp_path / 'results'}", "--name=own")
    sent = submit(cluster, *given, "--no-wait", cwd=here)
    assert sent.returncode == 0, sent.stderr
    (here / "smooth_method.py").unlink()
    done = submit(cluster, "logs", job_of(sent.stdout), "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = SearchFolder(tmp_path / "results" / "own")
    assert read_record(folder.search, SearchRecord).method == "smooth"
    assert states_of(folder) == ["finished"] * 2


def test_what_only_the_cluster_can_see_to_be_wrong_ends_both_with_code_2(cluster: TwoNodes, tmp_path: Path) -> None:
    given = ("--space=finetune", "--stream=cifar10-b5-t1", f"--data-root={tmp_path}", f"--results={tmp_path / 'r'}")
    done = submit(cluster, *given)
    assert done.returncode == 2
    assert "tune-cl: " in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_a_head_without_the_named_python_is_told_in_a_sentence(cluster: TwoNodes, tmp_path: Path) -> None:
    done = submit(cluster, "--space=finetune", f"--results={tmp_path}", "--python=no-such-python")
    assert done.returncode == 1
    assert "the cluster's head has no such Python" in done.stderr


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"RAY_AUTH_TOKEN": "0" * 40}, "does not take this token"),
        ({"HOME": "/nowhere"}, "asks for a token"),
        ({"RAY_AUTH_MODE": "disabled"}, "asks for a token"),
    ],
    ids=["wrong", "none", "disabled"],
)
def test_a_token_that_is_missing_or_wrong_is_told_in_a_sentence(
    cluster: TwoNodes, changes: dict[str, str], complaint: str
) -> None:
    done = submit(cluster, "list", env={**cluster.environment, **changes})
    assert done.returncode == 2
    assert complaint in done.stderr and done.stderr.count("\n") == 1


def test_a_search_on_a_node_of_the_cluster_finds_it_by_itself(cluster: TwoNodes, tmp_path: Path) -> None:
    """`--address auto`, with Ray's folder where Ray looks for it unless told otherwise."""
    (cluster.place / "ray").symlink_to(cluster.place / "head")
    env = {**cluster.environment, "RAY_TMPDIR": str(cluster.place)}
    given = ("--space=finetune", *CHEAP, "--trials=2", "--scheduler=none", "--name=auto", "--address=auto")
    done = search(*given, f"--results={tmp_path}", env=env, timeout=240)
    assert done.returncode == 0, done.stderr
    assert states_of(SearchFolder(tmp_path / "auto")) == ["finished"] * 2


def test_a_node_that_does_not_see_the_folder_is_named(tmp_path: Path) -> None:
    own = Path(__file__).with_name("own_mounts.py")
    (tmp_path / "shared").mkdir()
    if subprocess.run([sys.executable, own, tmp_path / "shared", "-c", ""], capture_output=True).returncode:
        pytest.skip("needs to mount a file system in a namespace of its own, which is not permitted here")
    for name in "ABE":
        (tmp_path / "shared" / "glyphs" / "train" / name).mkdir(parents=True)
        for i in range(4):
            image = Image.new("L", (20, 20), 60 * i)
            image.save(tmp_path / "shared" / "glyphs" / "train" / name / f"{i}.png")
    (tmp_path / "glyphs.yaml").write_text("folder: shared/glyphs\nin_memory: false\n")
    with cluster_with_jobs(second_by=[own, tmp_path / "shared"]) as cluster:
        done = submit(cluster, "--space=finetune", *CHEAP, f"--results={tmp_path / 'shared'}", "--name=s")
        given = (f"--results={tmp_path / 'results'}", f"--data-set={tmp_path / 'glyphs.yaml'}", "--stream=glyphs-b2-t1")
        of_images = submit(cluster, "--space=finetune", *CHEAP, *given, "--name=s")
    assert done.returncode == 2, done.stdout + done.stderr
    pattern = r"--results \S+/shared/s: node \S+ \(\w{8}\) has another view \(no such folder is there\); all nodes must"
    assert re.search(pattern, done.stdout)
    assert of_images.returncode == 2, of_images.stdout + of_images.stderr
    pattern = r"--data-set \S+/shared/glyphs: node \S+ \(\w{8}\) sees no such folder; mount it at the same path"
    assert re.search(pattern, of_images.stdout)
    assert not list((tmp_path / "shared").rglob(".probe-*")) and not (tmp_path / "shared" / "s").exists()
