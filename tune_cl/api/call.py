"""Functions for Python out of records of options: typed like the record, strict as the command line."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.options import Options, declared

Given = ParamSpec("Given")
Record = TypeVar("Record", bound=Options)
Taken = TypeVar("Taken", contravariant=True)
Result = TypeVar("Result", covariant=True)

_FLAG = re.compile(r"--[a-z][a-z-]*[a-z]")


class Taking(Protocol[Given, Taken, Result]):
    """A function of one record that takes the record's fields, or the record itself."""

    @overload
    def __call__(self, options: Taken, /) -> Result: ...
    @overload
    def __call__(self, *args: Given.args, **options: Given.kwargs) -> Result: ...


def takes(
    record: Callable[Given, Record],
) -> Callable[[Callable[[Record], Result]], Taking[Given, Record, Result]]:
    """Make a function of one record a function of the record's fields.

    Example:
        >>> @takes(SearchOptions)
        ... def search(options: SearchOptions) -> SearchResult: ...
        >>> search("genifer.yaml", trials=16)
    """
    kind = cast(type[Record], record)

    def decorate(function: Callable[[Record], Result]) -> Taking[Given, Record, Result]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Result:
            with in_python(kind):
                whole = len(args) == 1 and not options and isinstance(args[0], kind)
                return function(args[0] if whole else _made(kind, function.__name__, args, options))

        call.__signature__ = _signature(kind, function)  # type: ignore[attr-defined]
        options = [f"    {item.name}: {item.option.help}." for item in declared(kind)]
        call.__doc__ = "\n".join([inspect.cleandoc(function.__doc__ or ""), "", "Options:", *options])
        return cast(Taking[Given, Record, Result], call)

    return decorate


def _signature(record: type[Options], function: Callable[..., Any]) -> inspect.Signature:
    """The fields of a record with their plain types, and what a function returns."""
    given = inspect.signature(record).parameters.values()
    plain = [parameter.replace(annotation=parameter.annotation.__origin__) for parameter in given]
    return inspect.Signature(plain, return_annotation=inspect.signature(function).return_annotation)


def _made(record: type[Record], function: str, args: tuple[Any, ...], options: dict[str, Any]) -> Record:
    known = [item.name for item in declared(record)]
    for name in options:
        if name not in known:
            raise TuneCLError(f"{name}: no such option{near_matches(name, known)}")
    try:
        inspect.signature(record).bind(*args, **options)
    except TypeError as error:
        raise TuneCLError(f"{function}: {error}; every other option is a keyword") from None
    return record(*args, **options)


@contextmanager
def in_python(record: type[Options]) -> Iterator[None]:
    """Have complaints name a record's fields, not the options of the command line."""
    try:
        yield
    except TuneCLError as error:
        raise TuneCLError(_in_words_of_python(str(error), record)) from None


def _in_words_of_python(sentence: str, record: type[Options]) -> str:
    names = {item.flag: item.name for item in declared(record)}
    return _FLAG.sub(lambda match: names.get(match[0], match[0]), sentence)
