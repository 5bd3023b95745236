"""The race of the best trials over train seeds: who races, who wins, and a gain that no choice has made too good."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from tune_cl.errors import TuneCLError
from tune_cl.options import Race, SearchOptions, written
from tune_cl.study import Finals, TrialView, check_option

RACE = Race(finalists=3, top=0.25, fresh=3)


def trial(number: int, value: float | None, state: str = "finished") -> TrialView:
    """With two increments; of a stopped one the first alone."""
    values = {} if value is None else {0: value, 1: value} if state == "finished" else {0: value}
    return TrialView(number, state, {}, values, None)  # type: ignore[arg-type]


def finals(race: Race, *values: float, direction: str = "max") -> Finals:
    trials = [trial(number, value) for number, value in enumerate(values)]
    found = Finals.of(race, trials, horizon=1, direction=direction, train_seed=7)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_finalists_are_the_best_share_and_the_default() -> None:
    values = (0.1, 0.5, 0.9, 0.9, 0.3, 0.2, 0.4, 0.8)
    assert list(finals(RACE, *values).first) == [2, 3, 0], "the earlier of equals first, the default last"
    assert list(finals(Race(3, 0.26, 3), *values).first) == [2, 3, 7, 0]
    assert list(finals(Race(3, 0.1, 3), *(0.1 + i for i in range(30))).first) == [29, 28, 27, 0], "a tenth of 30 is 3"
    assert list(finals(RACE, *values, direction="min").first) == [0, 5], "at least two; the default is the best"
    assert finals(RACE, *values).first[2] == 0.9


def test_only_finished_trials_race_and_one_is_no_race() -> None:
    trials = [
        trial(0, None, "failed"),
        trial(1, 0.9, "stopped"),
        trial(2, 0.5),
        trial(3, 0.4),
        trial(4, None, "running"),
    ]
    settings = {"horizon": 1, "direction": "max", "train_seed": 0}
    found = Finals.of(RACE, trials, **settings)  # type: ignore[arg-type]
    assert found is not None and list(found.first) == [2, 3], "a default that has failed cannot race"
    assert Finals.of(RACE, trials[:3], **settings) is None  # type: ignore[arg-type]
    assert Finals.of(Race(), trials, **settings) is None, "one seed is no race"  # type: ignore[arg-type]


def test_the_most_runs_are_known_beforehand() -> None:
    assert Race(3, 0.25, 3).most_runs(16) == (4 + 1) * 2 + 2 * 3 and Race().most_runs(16) == 0
    found = finals(RACE, *(0.5 - 0.01 * i for i in range(15, -1, -1)))
    assert found.most_missing({}) == RACE.most_runs(16)


def test_no_seed_is_of_two_kinds() -> None:
    found = finals(RACE, 0.5, 0.6)
    assert found.seeds == (7, 8, 9) and found.fresh == (10, 11, 12)
    assert Race(2, 0.25, 2).seeds(2**63 - 2) == ((2**63 - 2, 2**63 - 1), (0, 1)), "seeds end, and begin anew"


def run(found: Finals, value: dict[int, float | None], noise: float = 0.0) -> dict[tuple[int, int], float | None]:
    """Carry a race out; each trial has its value, moved by the seed."""
    done: dict[tuple[int, int], float | None] = {}
    rng = np.random.default_rng(0)
    while missing := found.missing(done):
        assert len(missing) <= found.most_missing(done)
        for number, seed in missing:
            base = value[number]
            done[number, seed] = None if base is None else base + noise * float(rng.normal())
    assert found.most_missing(done) == 0 and sorted(found.runs(done)) == sorted(done)
    return done


def test_the_mean_over_seeds_wins_and_the_winner_and_the_default_alone_run_on() -> None:
    found = finals(RACE, 0.5, 0.9, 0.8, 0.1)  # trial 1 was lucky
    assert found.missing({}) == [(t, s) for s in (8, 9) for t in (1, 2, 0)]
    assert found.winner({}) is None and found.most_missing({}) == 6 + 6
    done = run(found, {0: 0.5, 1: 0.6, 2: 0.78})
    assert found.winner(done) == 2 and found.mean(1, done) == pytest.approx((0.9 + 0.6 + 0.6) / 3)
    assert [r for r in done if r[1] in found.fresh] == [(t, s) for s in (10, 11, 12) for t in (2, 0)]


def test_a_default_that_wins_needs_no_more_runs_and_gains_nothing() -> None:
    found = finals(RACE, 0.5, 0.6)
    done = run(found, {0: 0.7, 1: 0.6})
    assert found.winner(done) == 0 and len(done) == 4 and found.gain(done) is None


def test_a_finalist_with_a_failed_run_is_out() -> None:
    found = finals(RACE, 0.5, 0.9, 0.8, 0.1)
    done = run(found, {0: 0.5, 1: None, 2: 0.7})
    assert found.winner(done) == 2 and found.mean(1, done) is None and found.gain(done) is not None
    without = run(found, {0: None, 1: 0.9, 2: 0.8})
    assert found.winner(without) == 1 and found.gain(without) is None, "nothing to compare with"
    assert found.winner(run(found, {0: None, 1: None, 2: None})) is None


def test_the_gain_is_of_fresh_seeds_alone_and_less_is_better_where_it_is() -> None:
    for direction, sign in (("max", 1), ("min", -1)):
        values = [sign * v for v in (0.5, 0.9, 0.8, 0.1)]
        found = finals(RACE, *values, direction=direction)
        done = run(found, {0: sign * 0.5, 1: sign * 0.6, 2: sign * 0.7}, noise=0.01)
        pairs = [(done[2, seed], done[0, seed]) for seed in found.fresh]
        gain = found.gain(done)
        assert gain is not None
        assert gain.mean == pytest.approx(statistics.fmean(sign * (a - b) for a, b in pairs))  # type: ignore[operator]
        luckier = {r: v if r[1] in found.fresh else (v or 0.0) + (r[0] == 2) * sign * 0.05 for r, v in done.items()}
        moved = found.gain(luckier)
        assert moved is not None and moved.mean == gain.mean, "by which it was chosen"
        assert moved.low == pytest.approx(gain.low), "a shift of all values of a finalist is no variance"


def test_the_interval_is_students_with_one_variance_for_all_finalists() -> None:
    found = finals(RACE, 0.5, 0.9, 0.8, 0.1)
    done = run(found, {0: 0.5, 1: 0.6, 2: 0.7}, noise=0.01)
    gain = found.gain(done)
    assert gain is not None and gain.high is not None and gain.low is not None
    groups = [[done[t, s] for s in (8, 9)] for t in (0, 1, 2)] + [[done[t, s] for s in found.fresh] for t in (0, 2)]
    within = sum(float(np.var(group)) * len(group) for group in groups)  # type: ignore[arg-type]
    freedom = 3 * 1 + 2 * 2
    expected = stats.t.ppf(0.975, freedom) * math.sqrt(within / freedom * (1 / 3 + 1 / 3))
    assert gain.high - gain.mean == pytest.approx(expected) and gain.mean - gain.low == pytest.approx(expected)


def test_the_interval_holds_the_true_gain_and_the_value_that_chose_is_too_good() -> None:
    rng = np.random.default_rng(1)
    held, told, searched = [], [], []
    while len(held) < 400:
        true = rng.normal(0.5, 0.01, 8)  # as far apart as a seed moves them
        found = finals(RACE, *(true + rng.normal(0, 0.01, 8)))
        done: dict[tuple[int, int], float | None] = {}
        while missing := found.missing(done):
            done |= {(t, s): float(true[t] + rng.normal(0, 0.01)) for t, s in missing}
        winner, gain = found.winner(done), found.gain(done)
        if gain is None or winner is None or gain.low is None or gain.high is None:
            continue
        right = float(true[winner] - true[0])
        held.append(gain.low <= right <= gain.high)
        told.append(gain.mean - right)
        searched.append(found.first[winner] - found.first[0] - right)
    assert 0.92 < statistics.fmean(held) < 0.98
    assert abs(statistics.fmean(told)) < 3 * 0.01 * math.sqrt(2 / 3) / 20, "no bias beyond chance"
    assert statistics.fmean(searched) > 0.005, "without a race the gain told would be too good"


@pytest.mark.parametrize("given", ["finalists=3,top=0.25", " top=0.25 , finalists=3,first=1", {"finalists": 3}])
def test_a_race_has_one_written_form(given: object) -> None:
    form = "finalists=3,top=0.25,fresh=3"
    options = SearchOptions("finetune", seeds=given)  # type: ignore[arg-type]
    assert options.seeds == form and f"--seeds={form}" in written(options)
    assert check_option("seeds", given, "my.yaml: seeds") == form == check_option("seeds", form, "my.yaml: seeds")
    assert SearchOptions("finetune", seeds="first=1,finalists=1").seeds == "finalists=1"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("finalist=3", "seeds: unknown key 'finalist'; did you mean 'finalists'"),
        ("3", r"seeds '3': write finalists=3,top=0\.25, say"),
        ("finalists=3,finalists=4", "a key is given twice"),
        ("first=2,finalists=3", "seeds: first: trials are trained under one seed"),
        ("finalists=0", "seeds: finalists 0: must be at least 1"),
        ("finalists=three", "seeds: finalists: 'three' is not a whole number"),
        ("finalists=3,top=0", r"seeds: top: '0', but it must be a share above 0 and at most 1, such as 0\.25"),
        ({"finalists": 3, "top": math.nan}, "seeds: top: nan, but it must be a share"),
        ({"finalists": 3, "fresh": 1}, "seeds: fresh: 1, but it must be at least 2"),
        ({"finalists": True}, "seeds: finalists: True is not a whole number"),
        ("finalists=1,top=0.5", "finalists=1 is no race"),
        (3, "seeds 3: write finalists"),
    ],
)
def test_a_malformed_race_is_refused_in_a_sentence(wrong: object, words: str) -> None:
    with pytest.raises(TuneCLError, match=words):
        SearchOptions("finetune", seeds=wrong)  # type: ignore[arg-type]
