"""Functions for Python out of records of options: typed like the record, strict as the command line."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, ParamSpec, TypeVar, overload

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.options import Options, declared

Given = ParamSpec("Given")
Record = TypeVar("Record", bound=Options)
Result = TypeVar("Result")

_FLAG = re.compile(r"--[a-z][a-z-]*[a-z]")


class Taking(Generic[Given, Record, Result]):
    """A function of one record that takes the record's fields, or the record itself."""

    def __init__(self, record: type[Record], function: Callable[[Record], Result]) -> None:
        self._record, self._function = record, function
        functools.update_wrapper(self, function)
        signature = inspect.signature(record)
        self.__signature__ = signature.replace(return_annotation=inspect.signature(function).return_annotation)

    @overload
    def __call__(self, options: Record, /) -> Result: ...
    @overload
    def __call__(self, *args: Given.args, **options: Given.kwargs) -> Result: ...
    def __call__(self, *args: Any, **options: Any) -> Result:
        """Check the options, then call the function."""
        with in_python(self._record):
            if len(args) == 1 and not options and isinstance(args[0], self._record):
                return self._function(args[0])
            return self._function(self._made(args, options))

    def _made(self, args: tuple[Any, ...], options: dict[str, Any]) -> Record:
        known = [item.name for item in declared(self._record)]
        for name in options:
            if name not in known:
                raise TuneCLError(f"{name}: no such option{near_matches(name, known)}")
        try:
            inspect.signature(self._record).bind(*args, **options)
        except TypeError as error:
            raise TuneCLError(f"{self._function.__name__}: {error}; every other option is a keyword") from None
        return self._record(*args, **options)


def takes(
    record: Callable[Given, Record],
) -> Callable[[Callable[[Record], Result]], Taking[Given, Record, Result]]:
    """Make a function of one record a function of the record's fields.

    Example:
        >>> @takes(SearchOptions)
        ... def search(options: SearchOptions) -> SearchResult: ...
        >>> search("genifer.yaml", trials=16)
    """
    return lambda function: Taking(record, function)  # type: ignore[arg-type]


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
