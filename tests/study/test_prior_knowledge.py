"""What a search knows before its first trial: beliefs in a space file, points by hand, earlier searches."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from search_trees import LR, resolved, space_dict

from tune_cl.errors import TuneCLError
from tune_cl.study import Knowledge, Proposal, SearchSpace, Study, StudySettings, point_of, read_study
from tune_cl.study._prior import prior_share
from tune_cl.study._sampler import Random
from tune_cl.study._scratch import SamplerSettings
from tune_cl.testing._searches import (
    ALL_RANGES,
    BASE_RATE,
    LOSS,
    RATE,
    STEPS,
    WEIGHT,
    made_value,
    searched,
    small_space,
)

NOTHING = SamplerSettings(Random(), 0, 2, "max")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_early_trials_lie_near_what_is_believed_and_say_so(tmp_path: Path, sampler: str) -> None:
    space = small_space({RATE: {"log": [1e-5, 1e-1], "prior": 1e-2, "confidence": "high"}})
    trials = searched(tmp_path, space, sampler=sampler, trials=40)
    drawn = [abs(math.log10(trial.parameters[RATE] / 1e-2)) for trial in trials if trial.proposer == "prior"]
    assert 8 <= len(drawn) <= 30
    assert statistics.median(drawn) < 0.6, "one standard deviation is an eighth of four decades"
    early = [trial.proposer for trial in trials[1:9]].count("prior")
    late = [trial.proposer for trial in trials[-8:]].count("prior")
    assert early > late


def test_confidence_alone_believes_in_the_default_and_a_choice_is_believed_in_too(tmp_path: Path) -> None:
    ranges = {RATE: {"log": [1e-5, 1e-1], "confidence": "high"}, LOSS: {**ALL_RANGES[LOSS], "prior": "kd"}}
    trials = searched(tmp_path, small_space(ranges), sampler="random", trials=40)
    drawn = [trial.parameters for trial in trials if trial.proposer == "prior"]
    assert statistics.median(abs(math.log10(found[RATE] / 1e-3)) for found in drawn) < 0.6
    assert statistics.mean(found[LOSS] == "kd" for found in drawn) > 0.5


def test_without_a_belief_nothing_changes(tmp_path: Path) -> None:
    for folder in ("plain", "believed"):
        (tmp_path / folder).mkdir()
    plain = searched(tmp_path / "plain", small_space({RATE: {"log": [1e-5, 1e-1]}}), sampler="tpe", trials=12)
    assert all(trial.proposer in ("default", "tpe") for trial in plain)


def reported(values: Sequence[tuple[str, float]]) -> list[FrozenTrial]:
    """Finished trials, by who proposed them and what they came to."""
    return [
        create_trial(state=TrialState.COMPLETE, value=value, system_attrs={"tune_cl:proposer": by})
        for by, value in values
    ]


def test_the_share_of_a_belief_falls_with_the_trials_and_faster_where_it_misleads() -> None:
    good = reported([("default", 0.5), *[("prior", 0.8), ("tpe", 0.4)] * 6])
    bad = reported([("default", 0.5), *[("prior", 0.2), ("tpe", 0.4)] * 6])
    assert prior_share(4, [], NOTHING) == 1.0
    assert prior_share(4, good, NOTHING) == pytest.approx(4 / (4 + 13)), "not less for being good"
    assert prior_share(4, bad, NOTHING) < 0.7 * prior_share(4, good, NOTHING)
    assert prior_share(4, good * 20, NOTHING) < 0.02


@pytest.mark.slow
def test_a_misleading_belief_is_outgrown_and_a_good_one_helps(tmp_path: Path) -> None:
    def best(belief: dict[str, Any], trials: int) -> float:
        found = []
        for seed in range(6):
            folder = tmp_path / f"{belief}-{trials}-{seed}"
            space = small_space({BASE_RATE: ALL_RANGES[BASE_RATE], RATE: {"log": [1e-5, 1e-1], **belief}})
            study = searched(folder, space, sampler="tpe", trials=trials, search_seed=seed)
            found.append(max(made_value(space.configuration(trial.parameters), 4) for trial in study[1:]))
        return statistics.mean(found)

    good, wrong = {"prior": 1e-2, "confidence": "high"}, {"prior": 1e-1, "confidence": "high"}
    assert best(good, 8) > best({}, 8)
    assert best(wrong, 40) > best({}, 40) - 0.02


@pytest.mark.parametrize(
    ("belief", "words"),
    [
        ({"prior": 1.0}, ["prior: 1.0 lies outside the range"]),
        ({"prior": "much"}, ["prior: the text 'much' is not allowed"]),
        ({"confidence": "hig"}, ["confidence: 'hig' is unknown", "low, medium, high"]),
        ({"pior": 1e-3}, ["pior: unknown key of a range", "did you mean 'prior'"]),
    ],
)
def test_a_wrong_belief_is_refused_in_a_sentence(tmp_path: Path, belief: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TuneCLError) as refused:
        resolved(tmp_path, space_dict({LR: {"log": [1e-5, 1e-1], **belief}}))
    for word in words:
        assert word in str(refused.value)


def settings(**changes: Any) -> StudySettings:
    kept: dict[str, Any] = {"sampler": "random", "stopping": "none", "search_seed": 0, "trials": 6}
    kept |= {"objective": "val/accuracy", "direction": "max", "horizon": 4}
    return StudySettings(**{**kept, **changes})


def started(folder: Path, space: SearchSpace, knowledge: Knowledge, n: int, **changes: Any) -> list[Proposal]:
    """The next n proposals of a study that is opened anew for each."""
    found = []
    for _ in range(n):
        study = Study.open(folder / "study.journal", "s", space, settings(**changes), knowledge=knowledge)
        proposal = study.ask()
        assert isinstance(proposal, Proposal)
        study.tell_failed(proposal.number, "not run")
        found.append(proposal)
    return found


def test_points_by_hand_come_right_after_the_default_and_more_may_be_added_later(tmp_path: Path) -> None:
    space = small_space()
    first = point_of(space, {RATE: 1e-4}, "point 1")
    second = point_of(space, {LOSS: "kd", WEIGHT: 0.3}, "point 2")
    begun = started(tmp_path, space, Knowledge(points=(first,)), 3)
    assert [p.proposer for p in begun] == ["default", "by hand", "random"]
    assert begun[1].parameters[RATE] == 1e-4
    later = started(tmp_path, space, Knowledge(points=(first, second)), 2)
    assert [p.proposer for p in later] == ["by hand", "random"]
    assert later[0].parameters[WEIGHT] == 0.3


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"increment.classifier.learning_rat": 1e-3}, ["not searched here", "did you mean"]),
        ({RATE: 5.0}, ["5.0 is not allowed", "at most 1"]),
        ({RATE: 0.5}, ["0.5 is not in its range, log 1e-05 … 0.1"]),
        ({WEIGHT: 0.5}, ["does not count beside the other values"]),
        ({LOSS: "balanced"}, ["not allowed", "labels: hard"]),
    ],
)
def test_a_point_that_the_space_does_not_have_is_refused(point: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TuneCLError) as refused:
        point_of(small_space(), point, "--try points.yaml: point 2")
    for word in ("--try points.yaml: point 2: ", *words):
        assert word in str(refused.value)


def test_the_best_of_earlier_searches_is_tried_first_and_later_proposals_lie_near_their_good_trials(
    tmp_path: Path,
) -> None:
    space = small_space({RATE: {"log": [1e-5, 1e-1]}, STEPS: {"int": [10, 200]}})
    good = ({RATE: 2e-2, STEPS: 100}, {RATE: 1e-2, STEPS: 120})
    knowledge = Knowledge(searches=("other",), best=(good[0],), good=good)
    found = started(tmp_path, space, knowledge, 20, trials=30)
    assert [p.proposer for p in found[:2]] == ["default", "earlier search"]
    assert found[1].parameters == good[0]
    drawn = [p.parameters for p in found[2:] if p.proposer == "prior"]
    assert len(drawn) >= 6
    assert all(1e-3 < p[RATE] < 1e-1 for p in drawn), "within a few tenths of the range of one of them"


def test_other_earlier_searches_are_refused_once_a_search_has_begun(tmp_path: Path) -> None:
    space = small_space({RATE: {"log": [1e-5, 1e-1]}})
    one = Knowledge(searches=("one",), best=({RATE: 1e-2},), good=({RATE: 1e-2},))
    started(tmp_path, space, one, 1)
    started(tmp_path, space, Knowledge(), 1)  # what it began with is remembered
    with pytest.raises(TuneCLError, match=r"--warm-start two: .* began with one; .* another --name"):
        started(tmp_path, space, Knowledge(searches=("two",), good=({RATE: 1e-2},)), 1)
    started(tmp_path / "bare", space, Knowledge(), 1)
    with pytest.raises(TuneCLError, match="began without any"):
        started(tmp_path / "bare", space, one, 1)


def test_a_study_of_optuna_is_read_and_a_missing_one_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mine.db"
    study = optuna.create_study(storage=url, study_name="mine", direction="minimize")
    for value, rate in ((0.3, 1e-3), (0.1, 1e-2)):
        study.add_trial(
            create_trial(
                params={RATE: rate}, distributions={RATE: optuna.distributions.FloatDistribution(1e-5, 1)}, value=value
            )
        )
    assert [(t.parameters[RATE], t.value) for t in read_study(url, None, "x")] == [(1e-2, 0.1), (1e-3, 0.3)]
    with pytest.raises(TuneCLError, match="no study 'other'; it has mine"):
        read_study(url, "other", "x")
    with pytest.raises(TuneCLError, match="no such file"):
        read_study(f"sqlite:///{tmp_path}/none.db", None, "x")
    assert not (tmp_path / "none.db").exists()
