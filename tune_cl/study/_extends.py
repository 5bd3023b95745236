"""Space files on disk: found by path or name, and merged with the files that they extend."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import given_text, parse_yaml

_SHIPPED = "tune_cl/spaces"  # in a clone a link to search_spaces/
_MAX_BYTES = 1_000_000

KeyPath = tuple[str, ...]  # of a value: the keys that lead to it, such as ("scales", "small28", "note")


@dataclass(frozen=True)
class Written:
    """What a space file says, with all that it extends."""

    source: str  # what messages call the file
    content: Mapping[str, Any]
    origins: Mapping[KeyPath, str] = field(default_factory=dict)  # place -> file and place, as in messages

    def at(self, place: KeyPath, default: Any = None) -> Any:
        """The value at a place, above which there are mappings; the default where none is."""
        value: Any = self.content
        for key in place:
            if key not in value:
                return default
            value = value[key]
        return value

    def where(self, *place: str) -> str:
        """File and place of a value, as a message begins with."""
        return self.origins.get(place, f"{self.source}: {'.'.join(place)}")


@dataclass(frozen=True)
class _File:
    source: str
    path: Path | Traversable
    shipped: bool

    def key(self) -> str:
        return str(self.path.resolve() if isinstance(self.path, Path) else self.path)


def shipped_spaces() -> list[str]:
    """Names of the space files that come with tune_cl, such as `genifer.yaml`; without the parts that these extend."""
    return [name for name in _shipped_files() if not name.startswith("_")]


def read_space(path_or_name: str) -> Written:
    """Find a space file, and merge it with what it extends.

    A file named under `extends:` is looked for beside the extending file, then among the shipped ones. Values of the
    extending file come over those of the files that it extends: mappings merge, anything else (a range, too) is
    replaced whole, and `null` removes a value or what has a name, such as a budget. What it says under `parameters`
    comes over what the others say of the same parameter for a scale. Two files under one `extends:` may not differ in
    a value, unless the extending file gives its own.

    Raises:
        TuneCLError: there is no such file, one cannot be read, extends itself, or is not a mapping; or two differ.
    """
    return _with_extended(_find(path_or_name), ())


def space_in_one(path: str) -> str:
    """The text of a space file, or where it extends others that of one file which says the same by itself."""
    file = _find(path)
    text = _read(file)
    if "extends" not in mapping(parse_yaml(text, file.source), file.source, "a space file is"):
        return text
    return json.dumps(read_space(path).content, indent=1)  # JSON is YAML, and quotes what would be read as a number


def mapping(value: Any, where: str, subject: str) -> Mapping[str, Any]:
    """The value, if it is a mapping.

    Raises:
        TuneCLError: it is not.
    """
    if not isinstance(value, Mapping):
        found = "empty" if value is None else f"a {_kind(value)}"
        raise TuneCLError(f"{where}: {found}, but {subject} a mapping of `key: value` lines")
    return value


def _kind(value: Any) -> str:
    return {list: "list", str: "piece of text", bool: "yes or no"}.get(type(value), "number")


def _shipped_folder() -> Traversable:
    return resources.files("tune_cl").joinpath("spaces")


def _shipped_files() -> list[str]:
    return sorted(entry.name for entry in _shipped_folder().iterdir() if entry.name.endswith(".yaml"))


def _shipped_file(name: str) -> _File:
    return _File(f"{_SHIPPED}/{name}", _shipped_folder().joinpath(name), shipped=True)


def _with_suffix(name: str) -> str:
    return name if name.endswith(".yaml") else f"{name}.yaml"


def _find(path_or_name: str) -> _File:
    plain = path_or_name and "\0" not in path_or_name
    path = given_text(path_or_name, "--space") if plain else Path(path_or_name)
    if _is(path.is_file):
        return _File(path_or_name, path, shipped=False)
    name, shipped = _with_suffix(path_or_name), shipped_spaces()
    if name in shipped:
        return _shipped_file(name)
    if path_or_name and _is(path.exists):
        raise TuneCLError(f"--space {path_or_name}: not a file; give a space file or one of {', '.join(shipped)}")
    known = near_matches(name, shipped) or f"; these are shipped: {', '.join(shipped)}"
    raise TuneCLError(f"--space {path_or_name}: no such file, and no shipped space of that name{known}")


def _is(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except (OSError, ValueError):  # a name too long or with a null byte, a folder without permission
        return False


def _read(file: _File) -> str:
    try:
        with file.path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise TuneCLError(f"{file.source}: larger than 1 MB, which no space file is; give the YAML file of a space")
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise TuneCLError(f"{file.source}: not UTF-8 text; give the YAML file of a space") from None
    except OSError as error:
        raise TuneCLError(f"{file.source}: cannot be read ({error.strerror})") from None


def _with_extended(file: _File, above: Sequence[_File]) -> Written:
    chain = (*above, file)
    content = dict(mapping(parse_yaml(_read(file), file.source), file.source, "a space file is"))
    names = _extended(content, file.source)
    below = Written(file.source, {})
    for name in names:
        found = _find_extended(name, file)
        if found.key() in (link.key() for link in chain):
            way = " extends ".join(link.source for link in (*chain, found))
            raise TuneCLError(f"{file.source}: extends: {name} leads back to itself ({way}); leave it out")
        parent = _with_extended(found, chain)
        for place in _differences(below.content, parent.content, content):
            raise TuneCLError(
                f"{file.source}: extends: two of the files differ in {'.'.join(place)} ({below.where(*place)}; "
                f"{parent.where(*place)}); give its value in {file.source}, or extend only one"
            )
        below = Written(file.source, _merge(below.content, parent.content), {**below.origins, **parent.origins})
    merged = _merge(_without_ranges_of_scales(below.content, content), content)
    return Written(file.source, merged, {**below.origins, **dict(_origins(content, file.source))})


def _extended(content: dict[str, Any], source: str) -> list[str]:
    """Take the names under `extends:` out of a file's content."""
    if "extends" not in content:
        return []
    names = content.pop("extends")
    names = names if isinstance(names, list) else [names]
    if not names or not all(isinstance(name, str) and name and "\0" not in name for name in names):
        raise TuneCLError(f"{source}: extends: name a space file, such as genifer.yaml, or a list of several")
    return names


def _find_extended(name: str, file: _File) -> _File:
    known = _shipped_files()
    if not file.shipped and isinstance(file.path, Path):
        given = given_text(name, f"{file.source}: extends:")
        path = file.path.parent / given
        own = _File(str(Path(file.source).parent / given), path, shipped=False)
        # A file named as a shipped one may extend that: a file never means itself.
        if _is(path.is_file) and (own.key() != file.key() or name not in known):
            return own
        known = [*known, *sorted(other.name for other in file.path.parent.glob("*.yaml"))]
    if _with_suffix(name) in _shipped_files():
        return _shipped_file(_with_suffix(name))
    hint = near_matches(name, known) or f"; these are: {', '.join(_shipped_files())}"
    beside = "" if file.shipped else "beside it, and none "
    raise TuneCLError(f"{file.source}: extends: {name}: no such file {beside}among the shipped{hint}")


def _without_ranges_of_scales(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the files below say, but for a scale's ranges of parameters about which the file above says something."""
    named, scales = above.get("parameters"), below.get("scales")
    if not isinstance(named, Mapping) or not isinstance(scales, Mapping):
        return below
    kept = dict(scales)
    for name, scale in scales.items():
        if isinstance(scale, Mapping) and isinstance(ranges := scale.get("parameters"), Mapping):
            kept[name] = {**scale, "parameters": {path: ranges[path] for path in ranges if path not in named}}
    return {**below, "scales": kept}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any], place: KeyPath = ()) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        here = (*place, key)
        if value is None and key in below and not _is_section(below[key], here):
            del merged[key]
        elif _merges(below.get(key), here) and isinstance(value, Mapping):
            merged[key] = _merge(below[key], value, here)
        else:
            merged[key] = value
    return merged


def _is_section(value: Any, place: KeyPath) -> bool:
    """Say whether a value is a mapping under a key of the file's grammar: emptied, it is a mistake, not a removal."""
    return isinstance(value, Mapping) and len(place) % 2 == 1


def _merges(value: Any, place: KeyPath) -> bool:
    """Say whether a value is a mapping of several things, and not one thing as a range is."""
    return isinstance(value, Mapping) and not is_range(place)


def is_range(place: KeyPath) -> bool:
    """Say whether a place is that of a parameter's value or range: `parameters` of the space, a scale or a preset."""
    # Keys of the file's grammar and names that the file gives alternate: scales.NAME.presets.NAME.parameters.PATH.
    return len(place) % 2 == 0 and place[-2] == "parameters"


def _differences(
    a: Mapping[str, Any], b: Mapping[str, Any], above: Mapping[str, Any], place: KeyPath = ()
) -> Iterator[KeyPath]:
    """Places at which two mappings differ, and about which the one above says nothing."""
    for key in (key for key in a if key in b):
        here, settled = (*place, key), above.get(key, {})
        if _merges(a[key], here) and _merges(b[key], here) and isinstance(settled, Mapping):
            yield from _differences(a[key], b[key], settled, here)
        elif a[key] != b[key] and key not in above:
            yield here


def _origins(value: Any, source: str, place: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    if place:
        yield place, f"{source}: {'.'.join(place)}"
    if isinstance(value, Mapping) and not (place and is_range(place)):
        for key, inner in value.items():
            yield from _origins(inner, source, (*place, key))
