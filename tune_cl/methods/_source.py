"""The source of a phase from outside the package: its hash is in stage keys, so that stages follow the code.

Within the package a declared version does this, and a test sees to it that it is raised; whoever writes a method of
their own edits it ten times a day and has no such test.
"""

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import resolve_name
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.methods._phase import Method, Phase
from tune_cl.methods._tree import Settings

_PACKAGE = "tune_cl"
_NOT_A_USERS = {*sys.stdlib_module_names, "torch", "torchvision", "numpy", "pydantic", "PIL"}


def with_sources(method: Method, ours: Iterable[Any]) -> Method:
    """A method whose phases know the hash of their source, where that lies outside the package.

    Args:
        method: as its module made it.
        ours: what the phases of the package run.

    Raises:
        TuneCLError: a phase has no source that could be read.
    """
    known = list(ours)
    config = method.config()

    def stamped(phase: Phase, part: str) -> Phase:
        if _is_ours(phase.run, known):
            return replace(phase, source=None)
        group = getattr(getattr(config, part), phase.name)
        roots = _modules_of(phase.run) | _modules_of_settings(type(group)) or _modules_of_settings(method.config)
        return replace(phase, source=_digest(roots, f"method {method.name!r}: its phase {phase.name!r}"))

    return replace(
        method,
        base=tuple(stamped(phase, "base") for phase in method.base),
        increment=tuple(stamped(phase, "increment") for phase in method.increment),
        judge=method.judge and stamped(method.judge, "increment"),
    )


def method_source(method: Method) -> str | None:
    """One hash over the sources of a method's phases; None where all are the package's."""
    sources = [phase.source for part in method.parts().values() for phase in part]
    return hashlib.sha256(repr(sources).encode()).hexdigest() if any(sources) else None


def module_source(module: ModuleType) -> str:
    """The hash of a module's source, and of what it imports from its own folder.

    Raises:
        TuneCLError: there is no source file.
    """
    return _digest({module.__name__}, f"module {module.__name__}")


def _is_ours(run: Any, ours: list[Any]) -> bool:
    """Whether a phase runs the package's own code, and nothing else."""
    plain = isinstance(run, FunctionType) and run.__closure__ is None
    return any(run is theirs for theirs in ours) or (plain and _inside_package(run.__globals__["__name__"]))


def _inside_package(module: str) -> bool:
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")


def _modules_of(run: Any) -> set[str]:
    """The modules outside the package in which a callable, or what it was made of, was written."""
    found: set[str] = set()
    seen: set[int] = set()
    left = [run]
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, partial):
            left += [part.func, *part.args, *part.keywords.values()]
        elif isinstance(part, MethodType):
            left += [part.__func__, part.__self__]
        elif isinstance(part, FunctionType):
            found.add(part.__globals__["__name__"])  # `__module__` is another's after functools.wraps
            values = [cell.cell_contents for cell in part.__closure__ or ()]
            left += [*values, *(part.__defaults__ or ()), inspect.unwrap(part)]
        else:
            found.add(part.__module__ if isinstance(part, type) else type(part).__module__)
    return {module for module in found if _is_written_by_a_user(module)}


def _modules_of_settings(kind: type[Settings]) -> set[str]:
    return {parent.__module__ for parent in kind.__mro__ if _is_written_by_a_user(parent.__module__)}


def _is_written_by_a_user(module: str) -> bool:
    """Not the package's, not Python's own, not what it is built on."""
    return not _inside_package(module) and module.partition(".")[0] not in _NOT_A_USERS


def _digest(modules: Iterable[str], what: str) -> str:
    """The hash of the files of some modules, and of what they import from their own folders; paths are not in it."""
    files: dict[str, Path] = {}
    for name in sorted(modules):
        files.update(_files(name, what))
    if not files:
        raise TuneCLError(
            f"{what}: is made of functions of the package and values of its own (functools.partial, say), which its "
            "stages could not follow; write a function for it in a module"
        )
    contents = [(name, hashlib.sha256(files[name].read_bytes()).hexdigest()) for name in sorted(files)]
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def _files(module: str, what: str) -> dict[str, Path]:
    """Path below the folder that an import begins in -> file, of a module and of all that it imports from there."""
    loaded = sys.modules.get(module)
    told = getattr(loaded, "__file__", None)
    spec = getattr(loaded, "__spec__", None)
    name = spec.name if spec is not None else Path(told).stem if told else module  # a script has no spec
    if told is None or told.startswith("<"):
        raise TuneCLError(
            f"{what}: {module} was typed in and has no source file, and stages are found by the source; write it to a "
            "file such as my_method.py, and import that"
        )
    if Path(told).suffix in (".pyc", ".so", ".pyd") or not Path(told).is_file():
        raise TuneCLError(
            f"{what}: {told} is not the source of {module}, and stages are found by the source; put the .py file there"
        )
    file = Path(told).absolute()
    steps = name.count(".") + (file.name == "__init__.py")
    root = file.parents[steps]
    alone = name.partition(".")[0] if _holds_libraries(root) else None
    found: dict[str, Path] = {}
    left = [(name, file)]
    while left:
        name, file = left.pop()
        place = file.relative_to(root).as_posix()
        if place in found:
            continue
        found[place] = file
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for imported in _imports(file, package):
            if alone in (None, imported.partition(".")[0]) and not _inside_package(imported):
                left += _on_the_way(root, imported)
        left += _on_the_way(root, name)
    return found


def _holds_libraries(folder: Path) -> bool:
    """Whether a folder is one that libraries are installed in: what lies side by side there has nothing in common."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return str(folder) in libraries or folder.name in ("site-packages", "dist-packages")


def _imports(file: Path, package: str) -> Iterator[str]:
    """Names of modules that a file's import statements may mean, wherever in it they are."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # not imported yet, and never in this state
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            except ImportError:  # beyond the top: it fails when it is run
                continue
            yield from (f"{base}.{alias.name}" for alias in node.names)  # a module, or something in `base`


def _on_the_way(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """The modules that an import of a dotted name runs, those that lie below a folder: packages first."""
    parts = name.split(".")
    for i in range(len(parts)):
        for file in (root.joinpath(*parts[: i + 1], "__init__.py"), root.joinpath(*parts[:i], f"{parts[i]}.py")):
            if file.is_file():
                yield ".".join(parts[: i + 1]), file
                break
