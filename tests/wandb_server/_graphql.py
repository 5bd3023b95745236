"""As much of GraphQL as W&B's client speaks: operations with variables, fragments, aliases, @include and @skip.

An object of the answer maps a field's name to its value, or to a function that takes the field's arguments.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"""(?P<skip>[\s,]+|\#[^\n]*)|(?P<punctuation>\.\.\.|[!$():=@\[\]{|}])|(?P<name>[_A-Za-z]\w*)"""
    r"""|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<string>"(?:[^"\\]|\\.)*")"""
)


class GraphQLError(Exception):
    """What the server cannot answer."""


@dataclass(frozen=True)
class Variable:
    """A place for a variable's value."""

    name: str


@dataclass(frozen=True)
class Selection:
    """A field, or (without a name) a fragment in its place."""

    name: str
    alias: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    directives: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fields: tuple["Selection", ...] = ()
    spread: str = ""  # the fragment's name; '' in line


@dataclass(frozen=True)
class Document:
    """One operation and the fragments that it uses."""

    kind: str  # query, mutation
    name: str
    defaults: Mapping[str, Any]
    fields: tuple[Selection, ...]
    fragments: Mapping[str, tuple[Selection, ...]]


def parse(text: str) -> Document:
    """Read a document with one operation."""
    return _Parser(text).document()


def execute(document: Document, variables: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Answer an operation from the fields of a root.

    Raises:
        GraphQLError: a field is asked for that the root, or an object below it, has not.
    """
    return _Execution(document.fragments, {**document.defaults, **variables}).object(root, document.fields)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._place = 0

    def document(self) -> Document:
        operation: tuple[str, str, dict[str, Any], tuple[Selection, ...]] | None = None
        fragments: dict[str, tuple[Selection, ...]] = {}
        while self._place < len(self._tokens):
            if self._peek() == "fragment":
                self._take("fragment")
                name = self._next()
                self._take("on")
                self._next()
                fragments[name] = self._fields()
            else:
                operation = self._operation()
        if operation is None:
            raise GraphQLError("no operation")
        return Document(*operation, fragments)

    def _operation(self) -> tuple[str, str, dict[str, Any], tuple[Selection, ...]]:
        kind = name = ""
        defaults: dict[str, Any] = {}
        if self._peek() != "{":
            kind = self._next()
            name = "" if self._peek() in ("(", "{") else self._next()
            defaults = self._variables() if self._peek() == "(" else {}
        return kind or "query", name, defaults, self._fields()

    def _variables(self) -> dict[str, Any]:
        defaults = {}
        self._take("(")
        while self._peek() != ")":
            self._take("$")
            name = self._next()
            self._take(":")
            self._type()
            if self._peek() == "=":
                self._take("=")
                defaults[name] = self._value()
        self._take(")")
        return defaults

    def _type(self) -> None:
        if self._next() == "[":
            self._type()
            self._take("]")
        if self._peek() == "!":
            self._take("!")

    def _fields(self) -> tuple[Selection, ...]:
        fields = []
        self._take("{")
        while self._peek() != "}":
            fields.append(self._selection())
        self._take("}")
        return tuple(fields)

    def _selection(self) -> Selection:
        if self._peek() == "...":
            return self._fragment()
        alias = name = self._next()
        if self._peek() == ":":
            self._take(":")
            name = self._next()
        arguments = self._arguments() if self._peek() == "(" else {}
        directives = self._directives()
        fields = self._fields() if self._peek() == "{" else ()
        return Selection(name, alias, arguments, directives, fields)

    def _fragment(self) -> Selection:
        self._take("...")
        name = ""
        if self._peek() == "on":
            self._take("on")
            self._next()
        elif self._peek() not in ("@", "{"):
            name = self._next()
        directives = self._directives()
        return Selection("", "", {}, directives, () if name else self._fields(), name)

    def _directives(self) -> dict[str, Mapping[str, Any]]:
        directives = {}
        while self._peek() == "@":
            self._take("@")
            name = self._next()
            directives[name] = self._arguments()
        return directives

    def _arguments(self) -> dict[str, Any]:
        arguments = {}
        self._take("(")
        while self._peek() != ")":
            name = self._next()
            self._take(":")
            arguments[name] = self._value()
        self._take(")")
        return arguments

    def _value(self) -> Any:
        token = self._next()
        if token == "$":
            return Variable(self._next())
        if token == "[":
            values = []
            while self._peek() != "]":
                values.append(self._value())
            self._take("]")
            return values
        if token == "{":
            members = {}
            while self._peek() != "}":
                name = self._next()
                self._take(":")
                members[name] = self._value()
            self._take("}")
            return members
        try:
            return json.loads(token)  # a string, a number, true, false, null
        except json.JSONDecodeError:
            return token  # an enumeration's word

    def _peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _next(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, expected: str) -> None:
        found = self._next()
        if found != expected:
            raise GraphQLError(f"expected {expected!r}, found {found!r}")


@dataclass(frozen=True)
class _Execution:
    fragments: Mapping[str, tuple[Selection, ...]]
    variables: Mapping[str, Any]

    def object(self, value: Mapping[str, Any], fields: tuple[Selection, ...]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for selection in fields:
            if not self._included(selection):
                continue
            if not selection.name:
                inner = selection.fields or self.fragments[selection.spread]
                answer |= self.object(value, inner)
                continue
            if selection.name not in value:
                kind = value.get("__typename", "an object")
                raise GraphQLError(f'Cannot query field "{selection.name}" on type "{kind}".')
            found = value[selection.name]
            if callable(found):
                found = found(**{name: self._filled(given) for name, given in selection.arguments.items()})
            answer[selection.alias] = self._answer(found, selection.fields)
        return answer

    def _answer(self, value: Any, fields: tuple[Selection, ...]) -> Any:
        if isinstance(value, list):
            return [self._answer(item, fields) for item in value]
        return self.object(value, fields) if isinstance(value, Mapping) and fields else value

    def _included(self, selection: Selection) -> bool:
        wanted = {"include": True, "skip": False}
        return all(self._filled(of["if"]) == wanted[name] for name, of in selection.directives.items())

    def _filled(self, value: Any) -> Any:
        if isinstance(value, Variable):
            return self.variables.get(value.name)
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        return {name: self._filled(item) for name, item in value.items()} if isinstance(value, dict) else value


def _tokens(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise GraphQLError(f"cannot read {text[place : place + 20]!r}")
        if match.lastgroup != "skip":
            yield match.group()
        place = match.end()
