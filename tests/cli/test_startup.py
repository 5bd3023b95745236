"""What a command imports before its options are known to be sound: nothing that takes seconds."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "optuna", "wandb", "numpy", "pydantic", "rich", "scipy", "plotly", "sqlalchemy", "pandas")
CHECK = """
import sys
from tune_cl.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
found = [name for name in %r if name in sys.modules]
print("code", code, "imported", *found, file=sys.stderr)
"""


def imported(*argv: str) -> tuple[int, list[str], str]:
    """Run a command in a process of its own; returns its exit code, the heavy packages it imported, and its output."""
    command = [sys.executable, "-c", CHECK % (HEAVY,), *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    *said, last = done.stderr.splitlines()
    _, code, _, *found = last.split()
    return int(code), found, done.stdout + "\n".join(said)


@pytest.mark.parametrize(
    "command", ["search", "submit", "train", "evaluate", "compare", "sync", "sweep", "stages", None]
)
def test_help_imports_nothing_heavy(command: str | None) -> None:
    code, found, text = imported(*([command] if command else []), "--help")
    assert (code, found) == (0, []) and "usage: tune-cl" in text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["search", "--space=genifer", "--trails=3"], "unknown option --trails; did you mean '--trials'"),
        (["search", "--space=genifer", "--trials=0"], "--trials 0: must be at least 1"),
        (["search"], "--space FILE is missing"),
        (["serach"], "unknown command 'serach'; did you mean 'search'"),
        (["train"], "--config FILE or --space FILE names what is trained, but neither is given"),
        (["stages", "prune"], "say what shall go"),
        (["submit", "stats"], "did you mean 'status'"),
    ],
)
def test_a_slip_of_the_keyboard_is_answered_before_anything_heavy_is_imported(argv: list[str], words: str) -> None:
    code, found, text = imported(*argv)
    assert (code, found) == (2, []) and words in text


def test_list_imports_no_more_than_the_methods_need() -> None:
    code, found, text = imported("search", "--list")
    assert code == 0 and "genifer" in text
    assert not {"ray", "wandb", "plotly", "pandas"} & set(found)


def test_importing_the_package_for_its_errors_and_options_imports_nothing_heavy() -> None:
    script = f"import sys, tune_cl; tune_cl.SearchOptions('x'); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
