"""A folder of one's own images from the command line: searched, continued, evaluated, compared, trained on again."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image
from search_cli import LAUNCH, here, run, search, summary_of

import tune_cl
from tune_cl.records import IncrementRow, RunConfig, SearchFolder, SearchRecord, read_lines, read_record

sys.path.insert(0, str(Path(__file__).parents[1] / "streams"))
from image_folders import write_class, write_folder, write_undivided

pytestmark = pytest.mark.ray

STREAM = "glyphs-b2-t2"
CHEAP = (
    *(f"--set={part}.classifier.epochs=2" for part in ("base", "increment")),
    *(f"--set={part}.classifier.batch_size=16" for part in ("base", "increment")),
    "--set=base.classifier.width=4",
)


@dataclass(frozen=True)
class Done:
    """A search on a folder, and its evaluation."""

    root: Path
    data: Path
    searched: CompletedProcess[str]
    evaluated: CompletedProcess[str]

    @property
    def options(self) -> list[str]:
        """Of the search."""
        return ["--space=finetune", f"--stream={STREAM}", *CHEAP, "--trials=2", "--concurrency=1", "--name=s"]

    @property
    def results(self) -> str:
        """The option."""
        return f"--results={self.root / 'results'}"

    @property
    def folder(self) -> SearchFolder:
        """Of the search."""
        return SearchFolder(self.root / "results" / "s")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """PNG and JPEG files in colour, uneven classes."""
    root = tmp_path_factory.mktemp("own")
    data = write_folder(root / "glyphs", "ABEK", training=10, test=5, colour=True)
    done = Done(root, data, *[CompletedProcess([], 0, "", "")] * 2)
    (data / "test").rename(root / "away")  # a search does not look at it
    searched = search(*done.options, done.results, f"--data-set=glyphs={data}")
    (root / "away").rename(data / "test")
    options = ("--orders=1", "--seeds=1", "--concurrency=1", done.results)
    return Done(root, data, searched, run([LAUNCH / "evaluate.py", "s", *options]))


@pytest.mark.slow
def test_a_search_says_what_it_measured_and_records_it(done: Done) -> None:
    assert done.searched.returncode == 0, done.searched.stdout + done.searched.stderr
    assert "glyphs: 52 training images of 4 classes (10 to 16 in each), colour, about 28 pixels" in done.searched.stdout
    folder = read_record(done.folder.search, SearchRecord).stream.folder
    assert folder is not None and (folder.n_training, folder.channels, folder.folder) == (52, 3, str(done.data))
    assert all(trial.state == "finished" for trial in summary_of(done.folder).table)
    assert read_record(done.folder.best_config, RunConfig).stream.folder == folder
    assert f"--data-set=glyphs={done.data}" in done.searched.stdout  # in the commands that it names


@pytest.mark.slow
def test_an_evaluation_finds_the_folder_in_the_record_and_reads_its_test_images(done: Done) -> None:
    assert done.evaluated.returncode == 0, done.evaluated.stdout + done.evaluated.stderr
    readings = (done.folder.path / "evaluation" / "readings.jsonl").read_text().splitlines()
    assert {json.loads(reading)["dataset"] for reading in readings} == {"glyphs"}
    [lines] = done.folder.path.glob("evaluation/runs/*/increments.jsonl")
    rows = list(read_lines(lines, IncrementRow))
    assert rows[-1].images_scored == [10, 5, 5] and rows[-1].metrics["test/accuracy"] is not None


@pytest.mark.slow
def test_moved_images_are_the_same_search_and_changed_ones_are_not(done: Done, tmp_path: Path) -> None:
    moved = shutil.copytree(done.data, tmp_path / "moved")
    given = f"--data-set=glyphs={moved}"
    code, said = here("search", *done.options, done.results, given, "--dry-run")
    assert code == 0 and "(exists: the search goes on)" in said, said
    Image.new("RGB", (28, 34), (9, 9, 9)).save(moved / "train" / "A" / "000.png")
    code, said = here("search", *done.options, done.results, given, "--dry-run")
    assert code == 2 and "other images: the training files of glyphs are not those of then" in said
    assert "name the --data-set of then" in said
    code, said = here("evaluate", "s", done.results, given, "--dry-run")
    assert code == 2 and "is a search on other images" in said
    code, said = here("search", *done.options, done.results, f"--data-set=glyphs={done.data}", "--scale=small28")
    assert code == 2 and "another definition (stream: folder: scale was small32, is small28" in said, said


@pytest.mark.slow
def test_what_is_wrong_with_the_test_images_is_found_before_anything_is_trained(done: Done, tmp_path: Path) -> None:
    data = shutil.copytree(done.data, tmp_path / "glyphs")
    options = ["evaluate", "s", done.results, f"--data-set=glyphs={data}", "--dry-run"]
    shutil.copy(data / "train" / "B" / "001.jpg", data / "test" / "A" / "twin.jpg")
    code, said = here(*options)
    assert (
        code == 2 and f"{data}/test/A/twin.jpg: the same image as {data}/train/B/001.jpg, which is trained on" in said
    )
    (data / "test" / "A" / "twin.jpg").unlink()
    write_class(data / "test" / "Z", 2, np.random.default_rng(1), colour=True)
    code, said = here(*options)
    assert code == 2 and f"test/Z: a class without training images, since there is no folder {data}/train/Z" in said
    shutil.rmtree(data / "test" / "Z")
    shutil.rmtree(data / "test" / "B")
    code, said = here(*options)
    assert code == 2 and f"train/B: a class without test images, since there is no folder {data}/test/B" in said
    shutil.rmtree(data / "test")
    code, said = here(*options)
    assert code == 2 and f"{data}/test: no such folder" in said


@pytest.mark.slow
def test_the_choice_is_trained_again_from_its_file_alone(done: Done) -> None:
    code, said = here("train", f"--config={done.folder.best_config}", done.results)
    assert code == 0 and "increment 2: val/accuracy" in said and "reused" in said, said
    best = summary_of(done.folder).best
    assert best is not None
    row = done.folder.trial(best.trial).rows()[-1]
    assert f"val/accuracy {row.metrics['val/accuracy']:.4f}" in said


@pytest.mark.slow
def test_search_and_evaluation_are_the_same_from_python(done: Done) -> None:
    overrides = {word.removeprefix("--set=").partition("=")[0]: int(word.rpartition("=")[2]) for word in CHEAP}
    given = {"stream": STREAM, "trials": 2, "concurrency": 1, "name": "s", "results": done.root / "results"}
    quiet = {"wandb_mode": "disabled", "quiet": True}
    result = tune_cl.search("finetune", data_sets={"glyphs": done.data}, overrides=overrides, **given, **quiet)
    best = summary_of(done.folder).best
    assert best is not None and result.best.value == best.value and result.folder == done.folder.path
    evaluated = tune_cl.evaluate(result, orders=1, seeds=1, **quiet)
    assert not evaluated.summary.missing


@pytest.mark.slow
def test_searches_on_a_folder_are_compared(done: Done, tmp_path: Path) -> None:
    shutil.copytree(done.folder.path, tmp_path / "t")
    output = tmp_path / "page.html"
    code, said = here("compare", str(done.folder.path), str(tmp_path / "t"), f"--html={output}")
    assert code == 0 and output.exists(), said
    assert STREAM in output.read_text()


def test_list_and_dry_run_show_the_folder_and_leave_nothing_in_it(tmp_path: Path) -> None:
    data = write_undivided(tmp_path / "glyphs", n=20)
    code, said = here("search", "--list", f"--data-set={data}")
    assert code == 0 and "glyphs" in said and str(data) in said.replace("\n", "")
    options = ["search", "--space=lwf", f"--stream={STREAM}", f"--data-set={data}", f"--results={tmp_path / 'results'}"]
    code, said = here(*options, "--dry-run")
    assert code == 0 and "20% of its images are left to test on" in said and "lwf-glyphs-b2-t2-quick:" in said, said
    assert sorted(path.name for path in data.iterdir()) == list("ABEK") and not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--stream=glyphs-b2-t2"], "data set 'glyphs' is unknown; it is 'fashion'"),
        (["--stream=glyphs-b2-t2"], "a folder of your own images: --data-set NAME=DIR"),
        (["--stream=glyphs-b2-t2", "--data-set=glyphs=nowhere"], "nowhere: no such folder; name one with images"),
        (["--stream=glyphs-b2-t2", "--data-set=glyphs="], "write NAME=DIR: a name, and the folder of its images"),
        (["--stream=glyphs-b2-t2", "--data-set=glyphs=a", "--data-set=glyphs=b"], "glyphs is given twice"),
        (["--stream=glyps-b2-t2", "--data-set=glyphs=a"], "did you mean 'glyphs'?"),
        (["--stream=fashion-b4-t3", "--data-set=fashion=a"], "fashion: is the name of a data set that tune_cl knows"),
    ],
)
def test_what_is_wrong_with_the_option_is_said_in_a_sentence(
    options: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = here("search", "--space=finetune", *options)
    assert code == 2 and complaint in said and said.count("\n") == 1, said


def test_a_job_takes_a_folder_that_only_the_cluster_has_by_its_whole_path() -> None:
    options = ["submit", "--space=finetune", f"--stream={STREAM}", "--results=/shared/results"]
    code, said = here(*options, "--data-set=glyphs=glyphs", "--address=http://127.0.0.1:9")
    assert code == 2 and "--data-set glyphs=glyphs: relative, but a job's folder is temporary" in said
    code, said = here(*options, "--data-set=glyphs=/shared/glyphs", "--address=http://127.0.0.1:9")
    assert code == 2 and "no job server answers there" in said  # nothing else was wrong
