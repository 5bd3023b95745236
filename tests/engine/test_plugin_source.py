"""Stages of a method from outside the package follow its source: a changed loss is trained, not found."""

import importlib
import py_compile
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from plugin_files import SMOOTH, plugin_folder
from search_cli import environment, run

import tune_cl
import tune_cl.methods as methods_room
import tune_cl.plugins as plugins_room
from tune_cl.chain import planned_keys
from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method, method_names, method_source, register
from tune_cl.plugins import load_again, load_plugins
from tune_cl.records import IncrementRow, RunConfig, TrialFolder, write_run
from tune_cl.streams import open_stream
from tune_cl.training import BASE_CLASSIFIER

pytestmark = pytest.mark.ray

OTHER_LOSS = SMOOTH.replace("label_smoothing=config.smoothing)", "label_smoothing=config.smoothing) * 1.5")
PACKAGES = set(method_names())
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the user's two files, from which modules are imported."""
    with plugin_folder(tmp_path, monkeypatch) as folder:
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode  # two edits within a second are two
        yield folder
        sys.dont_write_bytecode = before


def anew(*modules: str) -> None:
    """What another process would begin with: nothing of these modules is known."""
    for name in [name for name in sys.modules if name.partition(".")[0] in modules]:
        del sys.modules[name]
    for name in set(method_names()) - PACKAGES:
        methods_room.METHODS._members.pop(name)
    importlib.invalidate_caches()


def chain(**choices: Any) -> list[IncrementRow]:
    """A chain of the user's method up to increment 1."""
    config = tune_cl.configure("smooth.yaml", plugins=["smooth_method"]).model_copy(update={"horizon": 1})
    return tune_cl.run_chain(config, plugins=["smooth_method"], **choices)


def origins(rows: list[IncrementRow]) -> list[str]:
    return [use.origin for row in rows for use in row.stages]


def keys(method: str = "smooth") -> list[str]:
    run = RunConfig.model_validate(
        {"method": method, "stream": {"name": "fashion-b4-t3"}, "budget": "quick", "horizon": 1, "parameters": {}}
    )
    return [key for _, _, key in planned_keys(run, open_stream(run.stream))]


def test_a_changed_loss_is_trained_anew_and_the_packages_base_task_is_not(here: Path):
    """The trap: the same kind and version, another loss."""
    first = chain()
    assert origins(first) == ["trained", "trained"] and origins(chain()) == ["reused", "reused"]
    (here / "smooth_method.py").write_text(OTHER_LOSS)
    anew("smooth_method")
    second = chain()
    assert origins(second) == ["reused", "trained"]
    assert second[1].losses["classifier/ce"] == pytest.approx(1.5 * first[1].losses["classifier/ce"], rel=0.3)
    assert second[1].losses != first[1].losses
    (here / "smooth_method.py").write_text(SMOOTH)
    anew("smooth_method")
    third = chain()
    assert origins(third) == ["reused", "reused"], "the old source finds its own stages"
    assert [row.comparable() for row in third] == [row.comparable() for row in first]


def test_a_process_that_has_imported_the_old_source_says_so(here: Path):
    chain()
    (here / "smooth_method.py").write_text(OTHER_LOSS)
    with pytest.raises(TuneCLError, match=r"smooth_method: its source has changed since this process imported it.*old"):
        chain()


PACKAGE = {
    "mine/__init__.py": "",
    "mine/method.py": SMOOTH.replace("import functional\n", "import functional\nfrom . import parts\n").replace(
        "label_smoothing=config.smoothing)", "label_smoothing=config.smoothing) * parts.factor()"
    ),
    "mine/parts/__init__.py": "from mine.parts.numbers import one as factor\n",
    "mine/parts/numbers.py": "def one():\n    from lazily import ONE\n\n    return ONE\n",
    "mine/unused.py": "x = 1\n",
    "lazily.py": "ONE = 1.0\n",
    "beside.py": "x = 1\n",
}


def written(here: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)


def source_of(module: str) -> str:
    anew(module.partition(".")[0], "lazily", "beside")
    (plugin,) = load_plugins([module])
    assert method_source(get_method("smooth")) is not None
    return plugin.source


@pytest.mark.parametrize("changed", PACKAGE)
def test_what_a_module_imports_from_its_own_folder_counts_and_what_lies_beside_it_does_not(here: Path, changed: str):
    written(here, PACKAGE)
    source, before = source_of("mine.method"), keys()
    written(here, {changed: PACKAGE[changed] + "\n# another line\n"})
    counts = changed not in ("mine/unused.py", "beside.py")
    assert (source_of("mine.method") != source) == counts
    assert [one != other for one, other in zip(before, keys(), strict=True)] == [False, counts]


def test_the_hash_is_the_same_wherever_the_files_lie_and_whatever_has_been_imported(here: Path):
    written(here, PACKAGE)
    source = source_of("mine.method")
    importlib.import_module("mine.unused")
    assert source_of("mine.method") == source
    written(here / "elsewhere", PACKAGE)
    sys.path[0] = str(here / "elsewhere")
    assert source_of("mine.method") == source
    assert sys.modules["mine.method"].__file__ == str(here / "elsewhere" / "mine" / "method.py")


def test_a_module_among_installed_libraries_stands_for_itself(here: Path):
    """Else all that it imports, PyTorch too, would be its source."""
    libraries = here / "site-packages"
    written(libraries, PACKAGE)
    sys.path[0] = str(libraries)
    source = source_of("mine.method")
    written(libraries, {"lazily.py": "ONE = 2.0\n"})
    assert source_of("mine.method") == source
    written(libraries, {"mine/parts/numbers.py": "one = float\n"})
    assert source_of("mine.method") != source


def test_a_checkout_of_the_package_beside_the_module_is_not_its_source(here: Path):
    source = source_of("smooth_method")
    written(here, {"tune_cl/__init__.py": "", "tune_cl/methods/__init__.py": ""})
    anew("smooth_method")
    sys.path.append(sys.path.pop(0))
    assert source_of("smooth_method") == source


def test_phases_of_the_package_keep_their_keys_inside_a_method_from_outside(here: Path):
    load_plugins(["smooth_method"])
    smooth = get_method("smooth")
    assert [phase.source is None for phase in (*smooth.base, *smooth.increment)] == [True, False]
    assert all(phase.source is None for name in method_names() if name != "smooth" for phase in _phases(name))
    register(replace(get_method("finetune"), name="as finetune".replace(" ", "_")))
    assert keys("as_finetune") == keys("finetune")
    assert method_source(get_method("as_finetune")) is None


def _phases(name: str) -> list[Any]:
    return [*get_method(name).base, *get_method(name).increment]


WRAPPED = '''
"""The package's base task, changed in ways that do not show in the name of the function's module."""

from dataclasses import replace
from functools import partial, wraps

from tune_cl.training import cross_entropy, train_base, train_base_with
from tune_cl.training import BASE_CLASSIFIER
from tune_cl.zoo.finetune import METHOD as FINETUNE


def loss_of(classifier, images, labels):
    loss, terms = cross_entropy(classifier, images, labels)
    return 2 * loss, terms


@wraps(train_base)
def wrapped(config, data, state, context):
    return train_base(config.model_copy(update={"epochs": 1}), data, state, context)


class Callable:
    def __init__(self, run):
        self.run = run

    def __call__(self, config, data, state, context):
        return self.run(config, data, state, context)

    def method(self, config, data, state, context):
        return self.run(config, data, state, context)


def with_loss(config, data, state, context, loss_of=loss_of):
    return train_base_with(config, data, context, loss_of)


WAYS = {
    "wraps": wrapped,
    "partial": partial(with_loss, loss_of=loss_of),
    "object": Callable(train_base),
    "method": Callable(train_base).method,
    "lambda": lambda *given: train_base(*given),
}
METHODS = [
    replace(FINETUNE, name=f"way_{way}", base=(replace(BASE_CLASSIFIER, kind=f"way.{way}", run=run),))
    for way, run in WAYS.items()
]
'''


@pytest.mark.parametrize("way", ["wraps", "partial", "object", "method", "lambda"])
def test_source_is_found_however_a_phase_is_made_of_the_packages_functions(here: Path, way: str):
    written(here, {"ways.py": WRAPPED})
    load_plugins(["ways"])
    before = keys(f"way_{way}")
    assert [phase.source is None for phase in _phases(f"way_{way}")] == [False, True]
    written(here, {"ways.py": WRAPPED.replace("2 * loss", "3 * loss")})
    anew("ways")
    load_plugins(["ways"])
    assert before[0] != keys(f"way_{way}")[0]


def test_a_function_of_the_package_that_was_given_values_alone_is_refused():
    bare = partial(BASE_CLASSIFIER.run)
    method = replace(
        get_method("finetune"), name="bare", base=(replace(BASE_CLASSIFIER, kind="bare.classifier", run=bare),)
    )
    with pytest.raises(TuneCLError, match=r"'bare': its phase 'classifier'.*write a function for it in a module"):
        register(method)
    assert "bare" not in method_names()


def test_a_module_without_its_source_is_refused(here: Path, capfd: pytest.CaptureFixture[str]):
    py_compile.compile("smooth_method.py", cfile=str(here / "only_compiled.pyc"))
    assert main(["search", "--plugin", "only_compiled", "--list"]) == 2
    sentence = capfd.readouterr().err
    assert "--plugin only_compiled: " in sentence and "only_compiled.pyc is not the source" in sentence
    assert "put the .py file there" in sentence and sentence.count("\n") == 1


def test_a_method_that_was_typed_in_is_refused(here: Path):
    typed = SMOOTH + "\nfrom tune_cl.methods import register\nregister(METHOD)\n"
    done = subprocess.run([sys.executable, "-"], input=typed, capture_output=True, text=True, cwd=here, timeout=120)
    assert done.returncode == 1
    assert "__main__ was typed in and has no source file" in done.stderr.splitlines()[-1]
    written(here, {"script.py": typed + "print('registered')\n"})
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=here, timeout=120)
    assert done.stdout == "registered\n", done.stderr


def test_a_node_whose_module_is_another_is_refused_by_name(here: Path):
    (plugin,) = load_plugins(["smooth_method"])
    load_again([plugin])
    (here / "smooth_method.py").write_text(OTHER_LOSS)
    load_again([plugin])  # what this process runs is still what the driver has
    anew("smooth_method")
    with pytest.raises(TuneCLError, match=r"its source here is another.* here, .* there; on the node .*same version"):
        load_again([plugin])


@pytest.mark.slow
def test_a_search_does_not_go_on_with_another_source_and_is_not_evaluated_with_it(
    here: Path, capfd: pytest.CaptureFixture[str]
):
    """Nor are rows of one source written below those of another by `train`."""
    command = ["--plugin", "smooth_method", "--space", "smooth.yaml", "--name", "one", "--concurrency", "1"]
    done = run([ROOT / "launch" / "search.py", *command], env=environment(), cwd=here, timeout=280)
    assert done.returncode == 0, done.stderr
    write_run(here / "run.yaml", tune_cl.configure("smooth.yaml", plugins=["smooth_method"]))
    train = ["train", "--plugin", "smooth_method", "--config", "run.yaml", "--output", "out"]
    assert main(train) == 0
    before = len(TrialFolder(here / "out").rows())
    (here / "smooth_method.py").write_text(OTHER_LOSS)
    for argv, words in (
        (["search", *command, "--trials", "3"], "another version of its source; give this one another --name"),
        (["evaluate", "--plugin", "smooth_method", "one", "--dry-run"], "another version of the source of smooth"),
        (train, "another source of its method; name a new folder"),
    ):
        anew("smooth_method")
        plugins_room._LOADED.clear()
        capfd.readouterr()
        assert main(argv) == 2
        sentence = capfd.readouterr().err
        assert words in sentence and sentence.count("\n") == 1
    assert len(TrialFolder(here / "out").rows()) == before
    (here / "smooth_method.py").write_text(SMOOTH)
    anew("smooth_method")
    assert main(train) == 0


def test_a_phase_of_another_name_than_the_packages_runs(here: Path):
    renamed = SMOOTH.replace('Phase("classifier"', 'Phase("fisher"').replace("classifier: Smoothed", "fisher: Smoothed")
    space = (here / "smooth.yaml").read_text().replace("increment.classifier", "increment.fisher")
    written(here, {"smooth_method.py": renamed, "smooth.yaml": space})
    _, increment = chain()
    assert [use.phase for use in increment.stages] == ["fisher"] and list(increment.losses) == ["fisher/ce"]
