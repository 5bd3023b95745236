"""A path that a person gives is looked at first: what is wrong is one sentence, and nothing is left or replaced."""

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from search_cli import LAUNCH, here

from tune_cl.cli.main import main
from tune_cl.records import write_atomically, write_yaml

LONG = "n" * 300
_PR_CAPBSET_DROP = 24
SEARCH = ("search", "--space", "finetune", "--dry-run")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, in which commands run."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return place


@pytest.fixture
def config() -> str:
    """A configuration file."""
    import tune_cl

    write_yaml(Path("config.yaml"), tune_cl.configure("finetune"))
    return "config.yaml"


def refused(capfd: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a command that must be refused in one sentence; returns the sentence."""
    code = main(list(argv))
    out, err = capfd.readouterr()
    assert (code, out) == (2, ""), out + err
    assert err.startswith("tune-cl: ") and err.count("\n") == 1 and "Traceback" not in err, err
    return err


COMMANDS = [
    ("search", "--space", "finetune", "--results", "{}"),
    ("search", "--space", "finetune", "--stages", "{}"),
    ("search", "--space", "{}"),
    ("search", "--space", "finetune", "--stream", "cifar100-b50-t5", "--data-root", "{}"),
    ("search", "--space", "finetune", "--backbone-weights", "{}"),
    ("submit", "--space", "finetune", "--results", "{}"),
    ("train", "--config", "{}"),
    ("train", "--config", "config.yaml", "--results", "{}"),
    ("train", "--config", "config.yaml", "--stages", "{}"),
    ("train", "--config", "config.yaml", "--output", "{}"),
    ("evaluate", "{}"),
    ("evaluate", "s", "--results", "{}"),
    ("compare", "{}"),
    ("compare", "s", "--results", "{}"),
    ("compare", "s", "--html", "{}"),
    ("sync", "{}"),
    ("sync", "s", "--results", "{}"),
    ("stages", "list", "--results", "{}"),
    ("stages", "list", "--stages", "{}"),
]
HERE = [command for command in COMMANDS if command[0] != "submit"]  # its paths are those of a cluster


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "path", [LONG, f"a/{LONG}/b", "", "a\0b", "n\udcffe", "~nobody-of-that-name/x"],
    ids=["long", "long inside", "empty", "null", "not UTF-8", "no such user"],
)  # fmt: skip
def test_path_that_can_be_none_is_refused_by_every_command(
    capfd: pytest.CaptureFixture[str], config: str, command: tuple[str, ...], path: str
) -> None:
    sentence = refused(capfd, *(word.replace("{}", path) for word in command))
    assert len(sentence) < 700
    assert os.listdir() == [config]


@pytest.mark.parametrize("command", HERE, ids=" ".join)
def test_links_in_a_circle_are_refused_by_every_command(
    capfd: pytest.CaptureFixture[str], config: str, command: tuple[str, ...]
) -> None:
    Path("loop").symlink_to("loop")
    path = str(Path("loop").absolute() / "x")
    sentence = refused(capfd, *(word.replace("{}", path) for word in command))
    assert "loop" in sentence
    assert sorted(os.listdir()) == [config, "loop"]


def test_folders_that_may_not_be_entered_are_refused_by_every_command(tmp_path: Path, config: str) -> None:
    """In a process that may not enter each folder: as anybody but root, or as root without that privilege."""
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(closed, 65534, 65534)
    closed.chmod(0o700 if os.geteuid() == 0 else 0)
    script = f"""
import contextlib, io
from tune_cl.cli.main import main
for command in {HERE!r}:
    for path in {[str(closed / "inside"), str(closed)]!r}:
        argv = [word.replace("{{}}", path) for word in command]
        error = io.StringIO()
        with contextlib.redirect_stderr(error):
            code = main(argv)
        said = error.getvalue()
        assert code == 2 and said.count("\\n") == 1 and "closed" in said, (argv, code, said)
"""
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], preexec_fn=unprivileged, capture_output=True, text=True, timeout=300
        )
    finally:
        closed.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert os.listdir() == [config]


def unprivileged() -> None:
    """Let what is run next not override permissions, whoever it runs as (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def test_home_folder_is_meant_by_a_tilde_that_the_shell_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "x").mkdir(parents=True)
    Path(config).rename(tmp_path / "home" / "run.yaml")
    code, said = here(*SEARCH, "--results=~/x")
    assert code == 0 and f"results             {tmp_path}/home/x/finetune" in said, said
    code, said = here("train", "--config=~/run.yaml", "--results=~/x", "--set", "base.classifier.epoch=1")
    assert (code, "'base.classifier.epochs'" in said) == (2, True)
    assert os.listdir() == []
    Path("~x").mkdir()  # a name like this is one
    code, said = here(*SEARCH, "--results=~x")
    assert code == 0 and "~x/finetune" in said, said


@pytest.mark.parametrize("kind", ["folder", "named pipe", "device", "dangling"])
def test_what_is_no_file_is_no_configuration(capfd: pytest.CaptureFixture[str], kind: str) -> None:
    made(kind)
    words = {"dangling": "no such file"}.get(kind, f"a {kind}")
    assert words in refused(capfd, "train", "--config", "thing")
    assert words in refused(capfd, "search", "--space", "finetune", "--backbone-weights", "thing")


def made(kind: str) -> Path:
    """Make something that is no ordinary file."""
    path = Path("thing")
    if kind == "folder":
        path.mkdir()
    elif kind == "named pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        path.symlink_to("nowhere")
    return path


@pytest.mark.parametrize("kind", ["folder", "named pipe", "device"])
def test_page_replaces_nothing_but_a_file(capfd: pytest.CaptureFixture[str], kind: str) -> None:
    before = made(kind).stat()
    assert f"--html thing: a {kind}" in refused(capfd, "compare", "s", "--html", "thing")
    after = Path("thing").stat()
    assert (before.st_mode, before.st_rdev, before.st_ino) == (after.st_mode, after.st_rdev, after.st_ino)


def test_file_that_is_replaced_keeps_its_mode_and_a_long_name_is_no_obstacle() -> None:
    path = Path("p" * 250 + ".html")
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)
    assert os.listdir() == [path.name]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("results/s", "the folder of a search"),
        ("results/s/trials/0000", "lies in the folder of a search"),
        ("results/stages/x", "lies in the folder of stages"),
        ("config.yaml", "cannot be made"),
        ("config.yaml/x", "config.yaml is a file"),
        ("/proc/x", "cannot be made"),
    ],
)
def test_rows_are_not_written_among_others(
    capfd: pytest.CaptureFixture[str], config: str, output: str, words: str
) -> None:
    if "results/s/" in f"{output}/":
        Path("results/s/trials/0000").mkdir(parents=True)
        Path("results/s/search.json").write_text("{}")
    before = sorted(Path().rglob("*"))
    assert words in refused(capfd, "train", "--config", config, "--output", output)
    assert sorted(Path().rglob("*")) == before


def test_stages_are_not_kept_in_the_folder_of_a_search(capfd: pytest.CaptureFixture[str], config: str) -> None:
    Path("results/s").mkdir(parents=True)
    Path("results/s/search.json").write_text("{}")
    assert "the folder of a search" in refused(capfd, "train", "--config", config, "--stages", "results/s")
    assert "the folder of a search" in refused(capfd, "search", "--space", "finetune", "--stages", "results/s")


def test_script_says_the_same_of_a_path_in_bytes(tmp_path: Path) -> None:
    """A shell hands over bytes; what is not UTF-8 is shown and nothing is made."""
    command = [os.fsencode(word) for word in (sys.executable, LAUNCH / "search.py", "--space", "finetune")]
    done = subprocess.run([*command, b"--results", b"n\xffe"], capture_output=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), done.stderr
    assert b"n\\udcffe: not UTF-8" in done.stderr
    assert os.listdir() == []
