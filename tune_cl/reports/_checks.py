"""Whether searches may be compared at all, and what to bear in mind where they may."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from tune_cl.errors import TuneCLError
from tune_cl.reports._differences import chosen
from tune_cl.reports._models import SearchData, TrialData
from tune_cl.reports._setting import class_order_text
from tune_cl.text import count_text, trials_text


def check_comparable(searches: Sequence[SearchData]) -> None:
    """Refuse searches whose numbers do not mean the same.

    Raises:
        TuneCLError: one was given twice, or two differ in what is named in the sentence.
    """
    sources = [search.source for search in searches]
    twice = next((source for source in sources if sources.count(source) > 1), None)
    if twice is not None:
        raise TuneCLError(f"{twice}: given twice; name each search once")
    for a, b in pairwise(searches):
        for what, of, right in _MUST_AGREE:
            if of(a) != of(b):
                raise TuneCLError(
                    f"{_named(a, b)} are not comparable: {what} {of(a)} in the first, {of(b)} in the second; {right}"
                )
        if None not in (a.data_fingerprint, b.data_fingerprint) and a.data_fingerprint != b.data_fingerprint:
            raise TuneCLError(
                f"{_named(a, b)} are not comparable: their training data differ (fingerprints {_digits(a)} and "
                f"{_digits(b)}); search both on the same files"
            )


def notes(searches: Sequence[SearchData], labels: Sequence[str]) -> Iterator[str]:
    """What does not forbid a comparison and may explain a difference."""
    for what, of, why in _MAY_DIFFER:
        values = {label: of(search) for label, search in zip(labels, searches, strict=True)}
        known = {label: value for label, value in values.items() if value}
        if len(set(known.values())) > 1:
            told = ", ".join(f"{label}: {value}" for label, value in known.items())
            yield f"{what} ({told}): {why}"
    for label, search in zip(labels, searches, strict=True):
        yield from _of_one(label, search)
    found = {label: s.found.images_trained for label, s in zip(labels, searches, strict=True) if s.found.images_trained}
    if found:
        told = ", ".join(f"{label}: {count_text(images)} images" for label, images in found.items())
        yield (
            f"Stages that lay in the store already, trained by no trial of the search ({told}): what it paid is lower "
            "by that. Compare costs as if alone."
        )


def _of_one(label: str, search: SearchData) -> Iterator[str]:
    if search.unfinished is not None:
        yield f"{label} is {search.unfinished}; its numbers may still change."
    if search.best is None:
        yield f"{label}: no trial has finished, so nothing of it can be compared yet."
    yield from _warnings(label, search)
    evaluation = search.evaluation
    if evaluation is None:
        return
    choice = chosen(evaluation)
    if search.best is not None and choice is not None and choice.trial != search.best.trial:
        yield (
            f"{label}: the evaluation is of trial {choice.trial:04d}, which was the best then; by now it is trial "
            f"{search.best.trial:04d}. Evaluating that as well would be a second look at test data."
        )
    if evaluation.missing:
        yield f"{label}: {len(evaluation.missing)} runs of the evaluation have no result yet."
    if not evaluation.held_out:
        yield f"{label}: the evaluation includes the class order of the search, so it is not on held-out orders alone."


def _warnings(label: str, search: SearchData) -> Iterator[str]:
    """Signs that nothing was learned: those of the winner and the default, and how many other trials have some."""
    told: dict[str, TrialData] = {}
    if search.best is not None:
        told["its best"] = search.best
    if search.default is not None and search.default != search.best:
        told["its default"] = search.default
    for name, trial in told.items():
        for warning in trial.warnings:
            yield f"{label}: warning of {name} (trial {trial.trial:04d}): {warning}."
    shown = {trial.trial for trial in told.values()}
    others = [trial.trial for trial in search.trials if trial.warnings and trial.trial not in shown]
    if others:
        yield f"{label}: {trials_text(others)} had warnings, too; see the rows in trials/."


def _digits(search: SearchData) -> str:
    return (search.data_fingerprint or "")[:12]


def _named(a: SearchData, b: SearchData) -> str:
    return f"{a.source} and {b.source}"


def _numeric(name: str) -> Callable[[SearchData], str]:
    older = {"precision": "float32"}.get(name, "")  # what records had that do not say
    return lambda search: search.numerics.get(name, older)


# What is compared, how to read it, and what would be right.
_MUST_AGREE: tuple[tuple[str, Callable[[SearchData], object], str], ...] = (
    ("stream", lambda s: s.stream.name, "search both with the same --stream"),
    ("class order", lambda s: class_order_text(s.stream), "search both with the same --class-order and --order-seed"),
    ("split seed", lambda s: s.stream.split_seed, "search both with the same --split-seed"),
    ("objective", lambda s: s.objective, "search both with the same --objective"),
    ("direction", lambda s: s.direction, "search both with the same --objective"),
    ("protocol", lambda s: s.protocol, "search both with the same --protocol"),
    ("horizon", lambda s: s.horizon, "search both with the same --protocol"),
)
_MAY_DIFFER: tuple[tuple[str, Callable[[SearchData], str], str], ...] = (
    ("Different budgets", lambda s: s.budget, "one trains longer than the other, so that a gain may be its price."),
    ("Different scales", lambda s: s.scale or "", "networks of different sizes."),
    (
        "Different train seeds",
        lambda s: f"seed {s.seeds.train}",
        "initial weights and batches are not the same, which alone moves a value.",
    ),
    (
        "Different numbers of trials",
        lambda s: str(sum(1 for _ in s.ended())),
        "the best of more trials is better by chance alone; see the expected best after n trials.",
    ),
    *(
        (f"Different {words}", _numeric(name), "equal configurations need not give equal numbers to the last digit.")
        for name, words in (
            ("device", "devices"),
            ("threads", "numbers of threads"),
            ("precision", "precisions"),
            ("torch", "versions of PyTorch"),
        )
    ),
)
