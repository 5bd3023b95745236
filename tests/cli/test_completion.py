"""Completion as a shell asks for it: bash evaluates the script, and calls what it registers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("argcomplete")

from tune_cl.cli.main import main

ASK = """
eval "$(tune-cl --completion bash)"
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
_python_argcomplete tune-cl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def proposed(line: str, folder: Path) -> list[str]:
    """What bash proposes at the end of a line, in a folder."""
    program = Path(sys.executable).with_name("tune-cl")
    if not program.exists() or shutil.which("bash") is None:
        pytest.skip("needs bash, and the installed command")
    env = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-c", ASK, "bash", line]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=True)
    return [word.strip() for word in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tune-cl se", {"search"}),
        ("tune-cl search --tr", {"--tracker", "--trials", "--train-seed", "--try"}),
        ("tune-cl search --space gen", {"genifer.yaml"}),
        ("tune-cl train --space my", {"my.yaml"}),
        ("tune-cl search --budget ", {"quick", "full"}),
        ("tune-cl evaluate ge", {"genifer-mine"}),
        ("tune-cl compare --results elsewhere lw", {"lwf-mine"}),
        ("tune-cl stages pr", {"prune"}),
        ("tune-cl search --results el", {"elsewhere/"}),
    ],
)
def test_bash_proposes(line: str, words: set[str], tmp_path: Path) -> None:
    for place in ("results/genifer-mine", "elsewhere/lwf-mine"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "search.json").touch()
    (tmp_path / "my.yaml").touch()
    assert set(proposed(line, tmp_path)) == words


def test_the_script_registers_in_zsh_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "zsh"]) == 0
    assert "compdef _python_argcomplete tune-cl" in capsys.readouterr().out


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion=bsh"]) == 2
    assert "--completion bsh: not one of bash, zsh; did you mean 'bash'" in capsys.readouterr().err
