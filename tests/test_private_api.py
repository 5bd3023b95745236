"""Where the package uses what its dependencies keep private, it says so here, and takes tried releases alone."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "tune_cl").rglob("*.py"))
# file -> what is used there, and the dependency whose next minor release may change it.
USED = {
    "tune_cl/engine/_submission.py": {"ray": {"_do_request"}},
    "tune_cl/study/_storage.py": {"optuna": {"optuna.storages._rdb.models"}},
    "tune_cl/wandb/_sweep.py": {"wandb": {"_service_api"}},
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_exit"  # os._exit is documented


def own_names() -> set[str]:
    """Every name that the package itself gives to something."""
    names = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return names


def foreign_private(path: Path, own: set[str]) -> set[str]:
    """Private modules that a file imports, attributes that it reads, and methods of a base class that it replaces."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("tune_cl"):
            if any(is_private(part) for part in node.module.split(".")):
                found.add(node.module)
        elif (
            isinstance(node, ast.Attribute) and is_private(node.attr) and (node.attr not in own or is_super(node.value))
        ):
            found.add(node.attr)
    return found


def is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def test_what_is_private_elsewhere_is_used_where_it_is_listed_and_nowhere_else() -> None:
    own = own_names()
    found = {str(path.relative_to(ROOT)): foreign_private(path, own) for path in SOURCES}
    assert {name: used for name, used in found.items() if used} == {
        name: set().union(*by_package.values()) for name, by_package in USED.items()
    }


def test_each_dependency_whose_private_parts_are_used_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    for package in {name for by_package in USED.values() for name in by_package}:
        bounds = [line for line in lines if re.match(rf"{package}(\[\w+\])?[<>=]", line)]
        assert bounds and all("<" in line for line in bounds), f"{package}: {bounds}"
