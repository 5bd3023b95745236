"""Open registries: members of one kind by name, and the text `name(option=value)` that chooses one of them."""

import ast
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tune_cl.errors import TuneCLError, near_matches, shown

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?::[A-Za-z][A-Za-z0-9_]*)?")
_FITTING = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 1000  # characters of a choice

T = TypeVar("T")


@dataclass(frozen=True)
class Origin:
    """Where a member comes from, if not from the package."""

    module: str
    source: str  # SHA-256

    @classmethod
    def of(cls, kind: type) -> "Origin":
        """That of a class of a script or a notebook.

        Raises:
            TuneCLError: its source cannot be read, so that another version of it could not be told from it.
        """
        try:
            source = inspect.getsource(kind)
        except (OSError, TypeError):
            raise TuneCLError(
                f"{kind.__name__}: its source cannot be read; define it in a file, and name that file as a plug-in"
            ) from None
        return cls(kind.__module__, hashlib.sha256(source.encode()).hexdigest())


class Registry(Generic[T]):
    """Members of one kind by name, in the order in which they were added.

    Example:
        >>> RULES: Registry[type[StoppingRule]] = Registry("stopping rule")
        >>> RULES.add("none", NoStopping)
        >>> RULES.get("none", "--scheduler")
    """

    def __init__(
        self,
        kind: str,
        also: str = "",
        *,
        shipped: Mapping[str, Callable[[], T]] | None = None,
        form: re.Pattern[str] = _FITTING,
    ) -> None:
        """Begin one.

        Args:
            kind: what messages call a member, such as 'sampler'.
            also: what else may be written where a name is wanted, for messages.
            shipped: name -> what makes a member of the package when it is first looked up.
            form: of the names.
        """
        self._kind, self._also, self._form = kind, also, form
        self._shipped = dict(shipped or {})
        self._members: dict[str, T] = {}
        self._origins: dict[str, Origin] = {}  # of those that plug-ins brought

    def __iter__(self) -> Iterator[T]:
        return map(self._member, self.names())

    def __getitem__(self, name: str) -> T:
        return self.get(name, self._kind)

    def __contains__(self, name: object) -> bool:
        return name in self._members or name in self._shipped

    def names(self) -> list[str]:
        """The names that are known."""
        return [*self._shipped, *(name for name in self._members if name not in self._shipped)]

    def add(self, name: Any, member: T, origin: Origin | None = None) -> None:
        """Make a member known; the same one again does nothing.

        Args:
            name: what it is found by.
            member: the object.
            origin: the plug-in that brings it, which may replace what it brought before.

        Raises:
            TuneCLError: the name is unfit, or another member has it.
        """
        if not isinstance(name, str) or not self._form.fullmatch(name):
            raise TuneCLError(
                f"{self._kind} {shown(name)}: unfit as a name; use lower-case letters, digits and _, and begin with a "
                "letter"
            )
        known = self._origins.get(name)
        replaced = origin is not None and known is not None and known.module == origin.module
        if name in self and not replaced and self._member(name) != member:
            whose = f"of {known.module}" if known is not None else "of the package"
            raise TuneCLError(
                f"{self._kind} {name!r}: there is another {self._kind} of that name, {whose}; rename this one"
            )
        self._members[name] = member
        if origin is not None:
            self._origins[name] = origin

    def origin(self, name: str) -> Origin | None:
        """The plug-in that brought a member; None for one of the package."""
        return self._origins.get(name)

    def source(self, name: str) -> str | None:
        """The hash of the source of that plug-in."""
        return self._origins[name].source if name in self._origins else None

    def get(self, name: str, where: str) -> T:
        """Look a member up.

        Args:
            name: of the member.
            where: what a message begins with, such as `--sampler`.

        Raises:
            TuneCLError: there is none of that name.
        """
        if name not in self:
            raise TuneCLError(f"{where}: {self.unknown(name)}")
        return self._member(name)

    def unknown(self, name: str, more: Iterable[str] = ()) -> str:
        """A sentence's words for a name that is none; `more` are known beside the members."""
        names = [*self.names(), *more]
        *others, last = map(repr, names)
        choices = f"{', '.join(others)} or {last}" if others else last
        near = near_matches(name, names)
        return f"{shown(name)} is unknown; it is {choices}{self._also}; one of your own needs --plugin{near}"

    def _member(self, name: str) -> T:
        if name not in self._members:
            self._members[name] = self._shipped[name]()
        return self._members[name]


@dataclass(frozen=True)
class Choice:
    """A member's name and the options that were written with it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: Any, where: str) -> "Choice":
        """Read `name` or `name(option=value, ...)`; values are Python literals, and nothing is evaluated.

        Example:
            >>> Choice.parse("halving(factor=3)", "--scheduler")
            Choice(name='halving', options={'factor': 3})

        Raises:
            TuneCLError: the text is not of that form.
        """
        if not isinstance(text, str) or not text.strip():
            raise TuneCLError(f"{where}: {shown(text)} is not a name; write text")
        name, parenthesis, options = text.strip().partition("(")
        name = name.strip()
        form = f"{where}: {shown(text)}: write a name, or a name with options such as {name or 'name'}(option=2)"
        if not _NAME.fullmatch(name) or len(text) > _LONGEST:
            raise TuneCLError(form)
        if not parenthesis:
            return cls(name)
        try:
            call = ast.parse(f"f({options}", mode="eval").body
            if not isinstance(call, ast.Call) or call.args or any(option.arg is None for option in call.keywords):
                raise TuneCLError(form)
            read = {str(option.arg): ast.literal_eval(option.value) for option in call.keywords}
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            raise TuneCLError(f"{form}, whose values are numbers, texts in quotes, True, False or None") from None
        return cls(name, read)

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in sorted(self.options.items()))
        return f"{self.name}({options})" if options else self.name


class Member(BaseModel):
    """Base of members that are chosen with options: a class is the member, its fields are the options.

    Attributes:
        name: what chooses it.
        registry: where members of its kind are found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
    name: ClassVar[str]
    registry: ClassVar[Registry[Any]]

    def chosen(self, where: str) -> str:
        """The text that a search records: name and options. A class of one's own is made known here.

        Raises:
            TuneCLError: another class has its name, or its source cannot be read.
        """
        kind = type(self)
        if kind.__module__.partition(".")[0] != __name__.partition(".")[0] and kind not in list(self.registry):
            try:
                self.registry.add(getattr(kind, "name", None), kind, Origin.of(kind))
            except TuneCLError as error:
                raise TuneCLError(f"{where}: {error}") from None
        return str(self)

    @classmethod
    def summary(cls) -> str:
        """What it does, for a list: the first line of its docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0].rstrip(".")

    @classmethod
    def written_options(cls) -> str:
        """The options with their defaults, for a list: `factor=2, first=1`."""
        return ", ".join(f"{name}={field.default!r}" for name, field in cls.model_fields.items())

    @classmethod
    def choose(cls: type["M"], choice: Choice, where: str) -> "M":
        """The member with the options of a choice.

        Raises:
            TuneCLError: an option is unknown, of the wrong type or out of bounds.
        """
        try:
            return cls(**choice.options)
        except ValidationError as error:
            first = error.errors()[0]
            option = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields)
                hint = near_matches(option, cls.model_fields) or (f"; it has {known}" if known else "; it has none")
                raise TuneCLError(f"{where}: {cls.name} has no option {option!r}{hint}") from None
            message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
            found = f", not {shown(first['input'])}" if option else ""
            raise TuneCLError(f"{where}: {cls.name}: {f'{option}: ' if option else ''}{message}{found}") from None

    def __str__(self) -> str:
        changed = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.default
        }
        return str(Choice(self.name, changed))


M = TypeVar("M", bound=Member)
