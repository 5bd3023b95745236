"""Searches side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.outcome import cautions, edges
from tune_cl.records import Caution
from tune_cl.reports._budget import best_so_far, expected_best
from tune_cl.reports._checks import check_comparable, notes
from tune_cl.reports._differences import differences
from tune_cl.reports._models import ComparedSearch, Comparison, ParameterRow, SearchData, TrialData


def compare(searches: Sequence[SearchData]) -> Comparison:
    """Compare searches on one stream by one objective.

    Args:
        searches: at least one; see `read_search`.

    Raises:
        TuneCLError: none is given, one is given twice, or their numbers do not mean the same.

    Example:
        >>> compared = compare([read_search(SearchFolder(Path("results") / name)) for name in ("a", "b")])
        >>> for difference in compared.differences:
        ...     print(difference.sentence)
    """
    if not searches:
        raise TuneCLError("no search to compare; name at least one results folder")
    check_comparable(searches)
    first, labels = searches[0], label_apart(searches)
    return Comparison(
        stream=first.stream,
        objective=first.objective,
        direction=first.direction,
        protocol=first.protocol,
        horizon=first.horizon,
        searches=[_compared(label, search) for label, search in zip(labels, searches, strict=True)],
        parameters=list(_parameters(searches, labels)),
        differences=differences(searches, labels),
        notes=list(notes(searches, labels)),
    )


def label_apart(searches: Sequence[SearchData]) -> list[str]:
    """The shortest of method, name and source that is another for each search."""
    for names in ([s.method for s in searches], [s.name for s in searches]):
        if len(set(names)) == len(names):
            return names
    return [search.source for search in searches]


def _compared(label: str, search: SearchData) -> ComparedSearch:
    best, default = search.best, search.default
    value = None if best is None else best.value
    default_value = None if default is None else default.value
    return ComparedSearch(
        label=label,
        search=search,
        best=None if best is None else best.trial,
        value=value,
        default_value=default_value,
        gain=None if value is None or default_value is None else search.sign * (value - default_value),
        never_trained_again=None if best is None else search.achieved(best).frozen(best.trial, search.objective),
        cautions=list(doubts_of(search)),
        best_so_far=best_so_far(search),
        expected_best=expected_best(search),
    )


def doubts_of(search: SearchData) -> Iterator[Caution]:
    """What speaks against a search's best trial."""
    best, default = search.best, search.default
    if best is None:
        return
    against = None if default is None or default is best else search.achieved(default)
    yield from cautions(search.achieved(best), against, search.objective)
    if best is not search.first:
        yield from edges(best.parameters, search.ranges)


def _parameters(searches: Sequence[SearchData], labels: Sequence[str]) -> Iterator[ParameterRow]:
    """What was searched by any, then what was not and differs between the best trials of two."""
    named = list(zip(labels, searches, strict=True))
    best = {label: _parameters_of(search.best) for label, search in named}
    default = {label: _parameters_of(search.first) for label, search in named}
    searched = list(dict.fromkeys(path for search in searches for path in search.searched))
    others = sorted({path for parameters in best.values() for path in parameters} - set(searched))
    differing = [path for path in others if _differs([p[path] for p in best.values() if path in p])]
    for path in (*searched, *differing):
        yield ParameterRow(
            path=path,
            searched=[label for label, search in named if path in search.searched],
            best={label: parameters[path] for label, parameters in best.items() if path in parameters},
            default={label: parameters[path] for label, parameters in default.items() if path in parameters},
        )


def _parameters_of(trial: TrialData | None) -> dict[str, Any]:
    return {} if trial is None else trial.parameters


def _differs(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values[1:])
