"""The shipped contract of methods, over one from outside the package and the controls of the package."""

import re
from pathlib import Path
from typing import ClassVar

import pytest

import tune_cl.methods as methods_room
from tune_cl.testing import MethodContract

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-method.md"


class TestFeatureLwf(MethodContract):
    """The example of the page on methods, as its readers save it."""

    method = "feature_lwf"
    changes: ClassVar = {"increment.classifier.weight_feature": 0.1, "increment.classifier.learning_rate": 0.01}

    @pytest.fixture(autouse=True)
    def _loaded(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        from tune_cl.plugins import load_plugins

        file = tmp_path_factory.getbasetemp() / "feature_lwf.py"
        if not file.exists():
            [text] = re.findall(r"```python\n(\"\"\"LwF on features.*?)```", PAGE.read_text(), re.DOTALL)
            file.write_text(text)
        monkeypatch.setattr(methods_room.METHODS, "_members", dict(methods_room.METHODS._members))
        load_plugins([str(file)])


class TestFrozen(MethodContract):
    method = "frozen"


class TestExemplars(MethodContract):
    method = "il_baseline"
    changes: ClassVar = {"base.memory.size": 20}
