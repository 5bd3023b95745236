"""Plug-ins by name, by path and as entry points of installed packages."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest

import tune_cl
from tune_cl import plugins
from tune_cl.errors import TuneCLError
from tune_cl.metrics import METRICS
from tune_cl.plugins import Plugin, load_again, load_plugins
from tune_cl.study import SAMPLERS, STOPPING_RULES, find_sampler, find_stopping_rule

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
FLOOR = (EXAMPLES / "floor.py").read_text()


def test_a_file_is_loaded_by_its_path_and_found_again_by_another_process(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "floor.py", tmp_path)
    (plugin,) = load_plugins([str(tmp_path / "floor.py")])
    assert (plugin.module, plugin.folder) == ("floor", str(tmp_path))
    assert str(find_stopping_rule("floor(least=0.5)", "here")) == "floor(least=0.5)"
    del sys.modules["floor"]
    sys.path.remove(str(tmp_path))
    load_again([plugin])
    assert sys.modules["floor"].__file__ == str(tmp_path / "floor.py")


def test_one_file_may_bring_several_members_of_several_kinds(tmp_path: Path) -> None:
    (tmp_path / "all_kinds.py").write_text(
        FLOOR.replace("STOPPING_RULE = Floor", "STOPPING_RULES = [Floor]")
        + (EXAMPLES / "worst_increment.py").read_text()
        + "METRICS = [METRIC, Metric('best', lambda s: max(s.rows[-1]), 'best')]\n"
        + (EXAMPLES / "mutation.py").read_text()
    )
    load_plugins([str(tmp_path / "all_kinds.py")])
    assert METRICS.names()[-2:] == ["accuracy_worst", "best"] or METRICS.names()[-2:] == ["best", "accuracy_worst"]
    assert STOPPING_RULES.names()[-1] == "floor" and SAMPLERS.names()[-1] == "mutation"
    assert str(find_sampler("mutation(keep=0.2)", "here")) == "mutation(keep=0.2)"
    sys.modules.pop("all_kinds")


def test_a_file_of_a_package_is_imported_as_such(tmp_path: Path) -> None:
    package = tmp_path / "own_parts"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "numbers.py").write_text("LEAST = 0.35\n")
    (package / "rule.py").write_text(
        FLOOR.replace("0.25", "LEAST").replace("from tune_cl", "from own_parts.numbers import LEAST\nfrom tune_cl", 1)
    )
    (plugin,) = load_plugins([str(package / "rule.py")])
    assert (plugin.module, plugin.folder) == ("own_parts.rule", str(tmp_path))
    assert getattr(find_stopping_rule("floor", "here"), "least") == 0.35  # noqa: B009
    before = plugin.source
    for name in ("own_parts.rule", "own_parts.numbers", "own_parts"):
        sys.modules.pop(name)
    (package / "numbers.py").write_text("LEAST = 0.45\n")
    importlib.invalidate_caches()
    (plugin,) = load_plugins([str(package / "rule.py")])
    assert plugin.source != before, "what it imports from its own folder is in its hash"
    assert getattr(find_stopping_rule("floor", "here"), "least") == 0.45  # noqa: B009
    for name in ("own_parts.rule", "own_parts.numbers", "own_parts"):
        sys.modules.pop(name)


def test_an_entry_point_of_an_installed_package_is_loaded_without_being_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(EXAMPLES / "floor.py", tmp_path / "floor.py")
    about = tmp_path / "floor_rule-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: floor-rule\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[tune_cl.plugins]\nfloor = floor\n")
    monkeypatch.syspath_prepend(tmp_path)
    (plugin,) = load_plugins([])
    assert plugin.module == "floor" and "floor" in STOPPING_RULES.names()
    (about / "entry_points.txt").write_text("[tune_cl.plugins]\ngone = no_such_module\n")
    plugins._entry_points.cache_clear()  # they are looked for once in a process
    importlib.invalidate_caches()
    with pytest.raises(TuneCLError, match="plug-in 'gone' of an installed package: no module 'no_such_module'"):
        load_plugins([])


BAD = {
    "no_such.py": (None, "no such file"),
    "two words.py": (FLOOR, "'two words' cannot be imported; rename the file"),
    "json.py": (FLOOR, "another module has the name 'json'"),
    "instance.py": (
        FLOOR.replace("STOPPING_RULE = Floor", "STOPPING_RULE = Floor()"),
        "holds a Floor, not a class derived",
    ),
    "wrong.py": (FLOOR.replace("STOPPING_RULE = Floor", "SAMPLER = Floor"), "SAMPLER holds Floor, not a class derived"),
    "taken.py": (FLOOR.replace('"floor"', '"median"'), "stopping rule 'median': there is another"),
    "unnamed.py": (FLOOR.replace('    name = "floor"\n', ""), "stopping rule None: unfit as a name"),
    "empty.py": ("METRICS = []\n", "METRICS is empty"),
    "nothing.py": ("SAMPLR = 1\n", "has none of METHOD, DATASET, METRIC, NETWORK, TRACKER, SAMPLER, STOPPING_RULE"),
    "breaks.py": ("raise ValueError('first')\n", "cannot be imported: ValueError: first"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_unfit_file_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    text, words = BAD[name]
    if text is not None:
        (tmp_path / name).write_text(text)
    before = [registry.names() for registry in (METRICS, SAMPLERS, STOPPING_RULES)]  # type: ignore[attr-defined]
    with pytest.raises(TuneCLError) as refused:
        load_plugins([str(tmp_path / name)])
    assert str(refused.value).startswith("--plugin ") and words in str(refused.value)
    assert [registry.names() for registry in (METRICS, SAMPLERS, STOPPING_RULES)] == before  # type: ignore[attr-defined]
    sys.modules.pop(name.removesuffix(".py") if name != "json.py" else "", None)


def test_a_worker_that_has_another_source_says_so(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "floor.py", tmp_path)
    (plugin,) = load_plugins([str(tmp_path / "floor.py")])
    with pytest.raises(TuneCLError, match="its source here is another than where the search was started"):
        load_again([Plugin(plugin.module, plugin.folder, "0" * 64)])


def test_a_metric_of_ones_own_is_in_the_rows_of_a_chain(tmp_path: Path) -> None:
    steps = {
        f"{part}.classifier.{name}": value
        for part in ("base", "increment")
        for name, value in (("epochs", 1), ("batch_size", 256))
    }
    run = tune_cl.configure("finetune", overrides={**steps, "base.classifier.width": 4}).model_copy(
        update={"horizon": 1}
    )
    rows = tune_cl.run_chain(run, stages=tmp_path, plugins=[str(EXAMPLES / "worst_increment.py")])
    for row in rows:
        assert row.metrics["val/accuracy_worst"] == min(row.accuracy_row)


def test_a_study_refuses_another_source_of_what_a_plug_in_brings(tmp_path: Path) -> None:
    from tune_cl.testing._searches import open_study, small_space

    file = tmp_path / "floor.py"
    for text in (FLOOR, FLOOR, FLOOR.replace("0.25", "0.35")):
        file.write_text(text)
        sys.modules.pop("floor", None)
        plugins._LOADED.clear()
        importlib.invalidate_caches()
        load_plugins([str(file)])
        if text == FLOOR:
            open_study(tmp_path, small_space(), stopping="floor")
    with pytest.raises(TuneCLError, match="began with another stopping rule source"):
        open_study(tmp_path, small_space(), stopping="floor")
