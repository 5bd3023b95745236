"""Methods from outside the package: a module that a user wrote, in the current folder, named with --plugin."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_files import SMOOTH, plugin_folder
from search_cli import environment, run, search_here

import tune_cl
import tune_cl.methods as methods_room
from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method, method_names, register
from tune_cl.methods._checks import check_method
from tune_cl.plugins import load_again, load_plugins
from tune_cl.records import RunConfig, SearchFolder, SearchRecord, TrialFolder, read_record, write_run

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the user's two files."""
    with plugin_folder(tmp_path, monkeypatch) as folder:
        yield folder


def printed(capfd: pytest.CaptureFixture[str], *argv: str) -> str:
    capfd.readouterr()
    code = main([*argv])
    out, err = capfd.readouterr()
    assert (code, err) == (0, ""), err
    return out


def refused(capfd: pytest.CaptureFixture[str], *argv: str) -> str:
    capfd.readouterr()
    code = main([*argv])
    out, err = capfd.readouterr()
    assert code == 2, out + err
    assert err.startswith("tune-cl: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert not Path("results").exists()
    return err


def test_plugin_is_listed_and_planned_like_any_method(capfd: pytest.CaptureFixture[str]) -> None:
    assert "fine-tuning with smoothed labels" in printed(capfd, "search", "--plugin", "smooth_method", "--list")
    plan = printed(capfd, "search", "--plugin", "smooth_method", "--space", "smooth.yaml", "--dry-run")
    assert "searched: 1 of" in plan and "share of the label that all classes divide" in plan
    assert "smooth on fashion-b4-t3" in plan and "Nothing was written." in plan


def test_without_the_option_the_method_is_unknown_and_the_option_is_named(
    capfd: pytest.CaptureFixture[str], here: Path
) -> None:
    assert "--plugin" in refused(capfd, "search", "--space", "smooth.yaml")
    load_plugins_here(here)
    write_run(here / "run.yaml", tune_cl.configure("smooth.yaml"))
    methods_room.METHODS._members.pop("smooth")
    sentence = refused(capfd, "train", "--config", "run.yaml")
    assert "'smooth'" in sentence and "--plugin" in sentence


def load_plugins_here(here: Path) -> None:
    sys.path.insert(0, str(here))
    load_plugins(["smooth_method"])


def test_train_runs_a_plugins_chain_on_the_packages_base_task(capfd: pytest.CaptureFixture[str], here: Path) -> None:
    load_plugins_here(here)
    run_config = tune_cl.configure("smooth.yaml")
    write_run(here / "run.yaml", run_config.model_copy(update={"horizon": 1}))
    methods_room.METHODS._members.pop("smooth")
    printed(capfd, "train", "--plugin", "smooth_method", "--config", "run.yaml", "--output", "out")
    written = (here / "out" / "config.yaml").read_text()
    assert written.splitlines()[0] == "# tune-cl train --plugin smooth_method --config out/config.yaml"
    rows = TrialFolder(here / "out").rows()
    assert [row.increment for row in rows] == [0, 1]
    again = tune_cl.run_chain("run.yaml", plugins=["smooth_method"])
    assert [row.comparable() for row in again] == [row.comparable() for row in rows]
    plain = tune_cl.configure("finetune", overrides={"base.classifier.width": 4, "base.classifier.epochs": 1})
    plain = plain.model_copy(update={"horizon": 1, "parameters": _base_of(run_config, plain)})
    finetuned = tune_cl.run_chain(plain)
    assert finetuned[0].stages[0].origin == "reused", "the base task is finetune's"
    assert finetuned[1].stages[0].key != rows[1].stages[0].key
    listed = printed(capfd, "stages", "list")
    assert "smooth.classifier/1" in listed
    methods_room.METHODS._members.pop("smooth")
    assert "smooth.classifier/1" in printed(capfd, "stages", "list")
    assert "all are sound" in printed(capfd, "stages", "verify")
    assert "removed" in printed(capfd, "stages", "prune", "--budget", "1kB", "--results", "results")


def _base_of(one: RunConfig, other: RunConfig) -> dict[str, object]:
    return {**other.parameters, "base": one.parameters["base"]}


@pytest.mark.slow
def test_workers_import_the_plugin(here: Path) -> None:
    code, output = search_here("--plugin", "smooth_method", "--space", "smooth.yaml", "--concurrency", "1")
    assert code == 0, output
    (folder,) = [SearchFolder(path) for path in (here / "results").iterdir() if path.name != "stages"]
    record = read_record(folder.search, SearchRecord)
    assert record.plugins == ["smooth_method"] and "plugins" not in record.definition()
    assert [len(trial.rows()) for trial in folder.trials().values()] == [2, 2]
    heading, _, text = folder.trial(1).config.read_text().partition("\n")
    assert "tune-cl train --plugin smooth_method --config " in heading
    assert "method: smooth\n" in text and "smooth_method" not in text


@pytest.mark.slow
def test_the_script_takes_a_plugin_from_the_current_folder_in_a_package(here: Path) -> None:
    """In a process of its own, where the current folder is not on sys.path; the module lies in a package."""
    (here / "mine").mkdir()
    (here / "mine" / "__init__.py").write_text("")
    (here / "smooth_method.py").rename(here / "mine" / "smooth.py")
    script = Path(__file__).parents[2] / "launch" / "search.py"
    done = run([script, "--plugin", "mine.smooth", "--space", "smooth.yaml"], env=environment(), cwd=here, timeout=280)
    assert done.returncode == 0, done.stderr


def test_a_worker_that_lacks_the_module_says_so_and_its_node(here: Path) -> None:
    load_plugins_here(here)
    plugin = load_plugins(["smooth_method"])[0]
    assert plugin.folder == str(here)
    sys.path.remove(str(here))
    sys.modules.pop("smooth_method")
    methods_room.METHODS._members.pop("smooth")
    load_again([plugin])
    assert get_method("smooth").name == "smooth"
    sys.path.remove(str(here))
    sys.modules.pop("smooth_method")
    (here / "smooth_method.py").unlink()
    importlib.invalidate_caches()
    with pytest.raises(TuneCLError, match=r"no module 'smooth_method'.*on the node .*all nodes"):
        load_again([plugin])


def test_folder_of_a_module_in_a_package(here: Path) -> None:
    for name, file in (("pack.inner.deep", "pack/inner/deep.py"), ("pack.other", "pack/other/__init__.py")):
        (here / file).parent.mkdir(parents=True, exist_ok=True)
        for folder in (here / "pack", here / "pack" / "inner"):
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        (here / file).write_text(SMOOTH.replace('"smooth"', f'"{name.split(".")[-1]}"').replace("smooth.c", name))
        sys.path.insert(0, str(here))
        importlib.invalidate_caches()
        assert load_plugins([name])[0].folder == str(here)


def test_a_module_may_have_several_methods_and_be_named_twice(here: Path) -> None:
    (here / "several.py").write_text(
        "from dataclasses import replace\nfrom smooth_method import METHOD as one\n"
        "METHODS = [one, replace(one, name='smoother')]\n"
    )
    sys.path.insert(0, str(here))
    load_plugins(["several", "smooth_method", "several"])
    assert method_names()[-2:] == ["smooth", "smoother"]
    register(get_method("smooth"))


BAD = {
    "no_such": (None, ["no module 'no_such'"]),
    "smoth_method": (None, ["no module 'smoth_method'", "'smooth_method'"]),
    "my/plugins/smooth.py": (None, ["no such file"]),
    "..": (None, ["write the name of a module", "a path to a .py file"]),
    "": (None, ["write the name of a module"]),
    "a-b": (None, ["write the name of a module"]),
    "syntax": ("def (:\n", ["cannot be imported", "SyntaxError"]),
    "raises": ("x = 1\nraise ValueError('first\\nlast')\n", ["cannot be imported: last"]),
    "ends": ("import sys\nsys.exit(0)\n", ["cannot be imported: SystemExit"]),
    "needs": ("import no_such_package\n", ["cannot be imported", "No module named 'no_such_package'"]),
    "without": (
        "x = 1\n",
        ["has none of METHOD, DATASET, METRIC, NETWORK, TRACKER, SAMPLER, STOPPING_RULE", "without.py"],
    ),
    "misspelt": ("METHD = 1\n", ["has none of METHOD", "'METHD'"]),
    "text": ("METHOD = 'finetune'\n", ["METHOD holds a str"]),
    "mapping": ("METHODS = {}\n", ["METHODS is a dict"]),
    "none": ("METHODS = []\n", ["METHODS is empty"]),
    "json": (None, ["has none of METHOD"]),
    "clash": (SMOOTH.replace('name="smooth"', 'name="lwf"'), ["'lwf'", "another method of that name"]),
    "name": (SMOOTH.replace('name="smooth"', 'name="a/b"'), ["'a/b'", "unfit as a name"]),
    "kind": (SMOOTH.replace("smooth.classifier", "finetune.classifier"), ["'finetune.classifier'", "'finetune'"]),
    "group": (SMOOTH.replace('Phase("classifier"', 'Phase("generator"'), ["increment.generator"]),
    "unread": (
        SMOOTH.replace("\n\nclass Config", "    generator: Smoothed = Smoothed()\n\n\nclass Config"),
        ["no phase reads", "increment.generator"],
    ),
    "extra": (
        SMOOTH.replace("class Config(Settings):", "class Config(Settings):\n    extra: Base = Base()"),
        ["no phase reads", "parameters extra"],
    ),
    "taken": (
        SMOOTH.replace('Phase("classifier"', 'Phase("val"').replace("classifier: Smoothed", "val: Smoothed"),
        ["cannot have the name 'val'", "val, test, paid"],
    ),
    "phrase": (SMOOTH.replace('Phase("classifier"', 'Phase("my classifier"'), ["'my classifier' is unfit", "letters"]),
    "twice": (
        SMOOTH.replace("increment=(Phase", "increment=(BASE_CLASSIFIER, Phase"),
        ["two phases 'classifier' in one increment"],
    ),
    "phases": (SMOOTH.replace("base=(BASE_CLASSIFIER,)", "base=()"), ["no phases in `base`"]),
    "config": (SMOOTH.replace("config=Config", "config=dict"), ["no class derived from"]),
    "defaults": (
        SMOOTH.replace("class Config(Settings):", "class Config(Settings):\n    needed: int\n"),
        ["no allowed defaults"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_unfit_plugin_is_refused_in_a_sentence(here: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    text, words = BAD[name]
    if text is not None:
        (here / f"{name}.py").write_text(text)
    before = method_names()
    for command in (["search", "--space", "finetune", "--dry-run"], ["search", "--list"], ["train", "--config", "x"]):
        sentence = refused(capfd, *command, "--plugin", name)
        for word in ("--plugin", *words):
            assert word in sentence
    assert method_names() == before


@pytest.mark.parametrize("name", method_names())
def test_a_method_of_the_package_would_be_taken_from_outside(name: str) -> None:
    check_method(get_method(name), ())
