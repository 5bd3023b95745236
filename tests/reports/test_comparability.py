"""What is refused, what is noted, and how searches are named."""

from pathlib import Path

import pytest
from made_searches import made, record, write_search, write_summary, write_trial

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, SearchSeeds, StreamRecord, write_json
from tune_cl.reports import compare, read_search

FINALS = {0: 0.5, 1: 0.7}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stream": StreamRecord(name="fashion-b4-t2")}, ["stream fashion-b4-t3", "fashion-b4-t2", "--stream"]),
        (
            {"stream": StreamRecord(name="fashion-b4-t3", order_seed=1)},
            ["class order seed 0", "seed 1", "--order-seed"],
        ),
        (
            {"stream": StreamRecord(name="fashion-b4-t3", class_order=(3, 1, 2, 0, 4, 5, 6, 7, 8, 9))},
            ["class order seed 0", "3,1,2,0", "--class-order"],
        ),
        ({"stream": StreamRecord(name="fashion-b4-t3", split_seed=7)}, ["split seed 0", "7", "--split-seed"]),
        ({"objective": "val/accuracy"}, ["val/average_incremental_accuracy", "val/accuracy", "--objective"]),
        ({"direction": "min"}, ["direction max", "min"]),
        ({"protocol": "first_3"}, ["protocol stream", "first_3", "--protocol"]),
        ({"horizon": 2}, ["horizon 3", "2", "--protocol"]),
        ({"data_fingerprint": "1" * 64}, ["training data differ", "000000000000", "111111111111"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_numbers_that_do_not_mean_the_same_are_refused(
    tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    a, b = made(tmp_path / "a", FINALS), made(tmp_path / "b", FINALS, **changes)
    with pytest.raises(TuneCLError) as refusal:
        compare([a, b])
    sentence = str(refusal.value)
    assert "\n" not in sentence
    for word in (*words, str(tmp_path / "a"), str(tmp_path / "b")):
        assert word in sentence


def test_the_order_seed_does_not_matter_where_the_class_order_is_a_published_one(tmp_path: Path) -> None:
    streams = [StreamRecord(name="fashion-b4-t3", class_order="numpy-1993", order_seed=seed) for seed in (0, 1)]
    compare([made(tmp_path / f"{seed}", FINALS, stream=stream) for seed, stream in enumerate(streams)])


def test_the_same_search_twice_and_none_are_refused(tmp_path: Path) -> None:
    search = made(tmp_path / "a", FINALS)
    with pytest.raises(TuneCLError, match="given twice"):
        compare([search, search])
    with pytest.raises(TuneCLError, match="no search to compare"):
        compare([])


def test_what_may_differ_is_noted(tmp_path: Path) -> None:
    a = made(tmp_path / "a", FINALS)
    b = made(tmp_path / "b", {**FINALS, 2: 0.6}, budget="full", threads=2, seeds=SearchSeeds(train=1))
    notes = "\n".join(compare([a, b]).notes)
    for words in (
        "Different budgets (a: quick, b: full)",
        "numbers of trials (a: 2, b: 3)",
        "numbers of threads (a: 1, b: 2)",
        "b: seed 1",
    ):
        assert words in notes
    assert compare([a]).notes == []


def test_labels_are_methods_where_these_differ_then_names_then_sources(tmp_path: Path) -> None:
    a, b = made(tmp_path / "x" / "a", FINALS), made(tmp_path / "x" / "b", FINALS, method="genifer")
    c, d = made(tmp_path / "x" / "c", FINALS), made(tmp_path / "y" / "a", FINALS)
    assert [entry.label for entry in compare([a, b]).searches] == ["lwf", "genifer"]
    assert [entry.label for entry in compare([a, c]).searches] == ["a", "c"]
    assert [entry.label for entry in compare([a, d]).searches] == [a.source, d.source]


def test_what_was_searched_and_what_differs_besides_stand_side_by_side(tmp_path: Path) -> None:
    a = made(tmp_path / "a", FINALS)
    folder = write_search(tmp_path / "b", {0: 0.5})
    write_trial(folder, 1, [0.9, 0.8, 0.8, 0.8], rate=5e-3, weight_kd=4.0)
    write_summary(folder, {0: "finished", 1: "finished"}, {0: 0.5, 1: 0.8})
    rows = {row.path: row for row in compare([a, read_search(folder)]).parameters}
    assert list(rows) == ["increment.classifier.learning_rate", "increment.classifier.weight_kd"]
    rate, weight = rows.values()
    assert rate.searched == ["a", "b"] and weight.searched == []
    assert rate.best == {"a": 2e-3, "b": 5e-3} and rate.default == {"a": 1e-3, "b": 1e-3}
    assert weight.best == {"a": 1.0, "b": 4.0}


def test_states_come_from_the_summary_and_costs_from_the_rows(tmp_path: Path) -> None:
    search = made(tmp_path / "s", {0: 0.5, 3: 0.6}, stopped={1: 0.9}, failed=[2])
    assert [trial.state for trial in search.trials] == ["finished", "stopped", "failed", "finished"]
    assert search.best is not None and search.best.trial == 3 and search.unfinished is None
    assert [trial.paid.images_trained for trial in search.trials] == [
        4000,
        1000,
        1000,
        3000,
    ]  # with what the failed lost
    assert [trial.alone.images_trained for trial in search.trials] == [4000, 2000, 2000, 4000]


def test_of_equals_the_earliest_is_the_best(tmp_path: Path) -> None:
    search = made(tmp_path / "s", {0: 0.5, 1: 0.6, 2: 0.6})
    assert search.best is not None and search.best.trial == 1


def test_an_unfinished_search_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "s")
    write_json(folder.search, record(trials=8))
    write_trial(folder, 0, [0.9, 0.8, 0.7, 0.6])
    write_trial(folder, 1, [0.9, 0.8])
    search = read_search(folder)
    assert [trial.state for trial in search.trials] == ["finished", "running"]  # no trial is stopped at the horizon
    assert search.unfinished == "unfinished: 1 finished, 1 running or interrupted, of 8 trials asked for"
    assert any("may still change" in note for note in compare([search]).notes)


def test_stages_that_lay_in_the_store_are_noted(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {1: 0.7, 2: 0.6}, failed=[])
    search = read_search(folder)  # no trial 0: nobody here has trained the base task
    assert search.found.images_trained == 1000
    assert any("lay in the store already" in note for note in compare([search]).notes)


def test_what_is_no_search_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TuneCLError, match="not the folder of a search"):
        read_search(SearchFolder(tmp_path))
    folder = SearchFolder(tmp_path / "s")
    write_json(folder.search, record())
    with pytest.raises(TuneCLError, match="no trial yet"):
        read_search(folder)
    write_trial(folder, 0, [0.9])
    folder.trial(0).increments.write_text('{"trial": "x"}\n')
    with pytest.raises(TuneCLError, match=r"increments\.jsonl, line 1: trial: should be a valid integer"):
        read_search(folder)


def test_warnings_of_the_winner_and_the_default_are_noted_and_other_trials_named(tmp_path: Path) -> None:
    search = made(tmp_path / "a", {0: 0.5, 1: 0.7, 2: 0.6})
    zero = "the classifier phase ended with a loss ce of exactly 0, from which nothing is learned"
    warned = [
        trial.model_copy(update={"warnings": [f"increment 1: {zero}"] if trial.trial else []})
        for trial in search.trials
    ]
    comparison = compare([search.model_copy(update={"trials": warned})])
    (of_best, of_others) = [note for note in comparison.notes if "warning" in note]
    assert of_best.endswith(f"warning of its best (trial 0001): increment 1: {zero}.")
    assert "trial 0002 had warnings" in of_others
