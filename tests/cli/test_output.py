"""Commands print wherever their output goes: in any encoding, to a reader that has gone, to nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from search_cli import CHEAP, LAUNCH, SPACE

COMMANDS = f"""
import sys
from tune_cl.cli.main import main
import tune_cl
from tune_cl.records import write_run
from pathlib import Path
overrides = dict(option.removeprefix("--set=").split("=") for option in {CHEAP!r})
run = tune_cl.configure("finetune", overrides={{path: int(value) for path, value in overrides.items()}})
write_run(Path("run.yaml"), run.model_copy(update={{"horizon": 1}}))
for command in (
    ["search", "--list"],
    ["search", "--space", "genifer", "--dry-run"],
    ["train", "--config", "run.yaml"],
    ["stages", "list"],
    ["stages", "verify"],
    ["stages", "prune", "--budget", "1kB", "--dry-run"],
):
    assert main(command) == 0, command
for wrong in (["compare", "nö…"], ["train", "--config", "→.yaml"], ["ünknown"], ["search", "--space", "×.yaml"]):
    assert main(wrong) == 2, wrong
"""


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.slow)])
def test_no_command_fails_for_the_encoding_of_its_output(tmp_path: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=tmp_path, env=environment, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert "Traceback" not in err and err.count("\n") == 4
    assert "log 0.0005 ... 0.02" in out, out
    assert ("nö..." if encoding == "latin-1" else "n?...") in err


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        (["--help"], ""),
        (["--help"], "1"),
        pytest.param(["search", *SPACE, "--dry-run"], "", marks=pytest.mark.slow),
        (["serch"], ""),
    ],
)
def test_reader_that_has_gone_is_no_reason_for_a_traceback(tmp_path: Path, command: list[str], unbuffered: str) -> None:
    """Standard output first, as with `| head`, then both outputs, as with `2>&1 | head`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    script = [sys.executable, "-c", f"import sys; from tune_cl.cli.main import main; sys.exit(main({command!r}))"]
    for both in (False, True):
        errors = tmp_path / "errors.txt"
        with errors.open("wb") as file:
            reading, writing = os.pipe()
            os.close(reading)
            ended = subprocess.run(
                script, stdout=writing, stderr=writing if both else file, cwd=tmp_path, env=environment, timeout=120
            )
            os.close(writing)
        assert ended.returncode == (2 if command == ["serch"] else 1)
        said = errors.read_text()
        assert said.startswith("tune-cl: unknown command") if command == ["serch"] and not both else said == ""


def test_closed_outputs_are_no_reason_for_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, LAUNCH / "search.py", "--list"]
    errors = tmp_path / "errors.txt"
    with errors.open("wb") as file:
        done = subprocess.run(command, preexec_fn=lambda: os.close(1), stderr=file, cwd=tmp_path, timeout=120)
    assert (done.returncode, errors.read_text()) == (0, "")
    command = [sys.executable, LAUNCH / "compare.py", "nowhere"]
    done = subprocess.run(command, preexec_fn=lambda: os.close(2), stdout=subprocess.PIPE, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stdout) == (2, b"")
