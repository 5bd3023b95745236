"""YAML as a person means it: `1e-4` is a number, `off` is a word, and nothing is said twice.

PyYAML follows YAML 1.1, where `1e-4` is text, `off` is false, `1:30` is ninety and `010` is eight. Files that
people write or change are read by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), less
infinities, octal and hexadecimal numbers.
"""

import re
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from tune_cl.errors import TuneCLError

_TAG = "tag:yaml.org,2002:"
_SCALARS = [
    (f"{_TAG}null", re.compile(r"(?:~|null|Null|NULL|)\Z")),
    (f"{_TAG}bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")),
    (f"{_TAG}int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")),
    (f"{_TAG}float", re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")),
]


def parse_yaml(text: str, where: str) -> Any:
    """Read one YAML document made of mappings, lists, text, numbers, true/false and null.

    Args:
        text: the document.
        where: what a message begins with: a file or a flag.

    Raises:
        TuneCLError: not YAML, a key twice or not text, a tag, an anchor or alias, or nested too deeply.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise TuneCLError(f"{where}: {_describe(error)}") from None
    except (ValueError, RecursionError):
        raise TuneCLError(f"{where}: holds a number too long or brackets too deep to be read") from None


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {None: _SCALARS}  # noqa: RUF012  (PyYAML declares it so)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # An alias may refer to itself or, nested, multiply a small file beyond memory; a tag may ask for any type.
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ComposerError(None, None, "anchors and aliases (& and *) are not read here", event.start_mark)
        if getattr(event, "tag", None):
            raise ComposerError(None, None, "tags (!) are not read here", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ConstructorError(None, None, f"the key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise ConstructorError(None, None, f"the key {key!r} is given twice; keep one", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _describe(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML"
    return f"{place}{problem}"
