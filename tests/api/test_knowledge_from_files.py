"""`--try` and `--warm-start`: what is read from files, folders of searches and studies of Optuna."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from reports.made_searches import write_search

from tune_cl.api.knowledge import knowledge_of
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method
from tune_cl.options import SearchOptions
from tune_cl.study import Knowledge, SearchSpace, load_space, resolve

RATE, WEIGHT = "increment.classifier.learning_rate", "increment.classifier.weight_kd"
LWF = get_method("lwf")


def lwf_space(**overrides: Any) -> SearchSpace:
    return resolve(load_space("lwf"), config=LWF.config, scale="small28", budget="quick", overrides=overrides)


def read(tmp_path: Path, **options: Any) -> Knowledge:
    return knowledge_of(SearchOptions("lwf", results=tmp_path, **options), LWF, lwf_space())


def test_points_of_a_file_take_defaults_where_they_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "points.yaml"
    file.write_text(f"- {{{RATE}: 3.0e-3}}\n- {RATE}: 0.001\n  {WEIGHT}: 5\n")
    points = read(tmp_path, points=file).points
    assert [point[RATE] for point in points] == [3e-3, 1e-3]
    assert points[0][WEIGHT] == lwf_space().default[WEIGHT]
    assert points[1][WEIGHT] == 5.0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "is no list of points"),
        (f"- {{{RATE}: 3.0}}", f"point 1: {RATE}: 3.0 is not"),
        ("- {learning_rate: 0.1}", "point 1: learning_rate: not searched here"),
        ("- [1", "points.yaml"),
    ],
)
def test_a_wrong_file_of_points_is_refused_in_a_sentence(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "points.yaml"
    file.write_text(content)
    with pytest.raises(TuneCLError, match=r"--try .*points\.yaml") as refused:
        read(tmp_path, points=file)
    assert words in str(refused.value)
    with pytest.raises(TuneCLError, match="cannot be read: No such file"):
        read(tmp_path, points=tmp_path / "none.yaml")


def test_an_earlier_search_gives_its_best_and_its_good_trials_but_none_that_was_stopped(tmp_path: Path) -> None:
    write_search(tmp_path / "other", {trial: 0.5 + 0.01 * trial for trial in range(8)}, stopped={8: 0.9})
    known = read(tmp_path, warm_start=["other"])
    assert known.searches == ("other",)
    assert len(known.best) == 1
    assert len(known.good) == 2, "a quarter of eight finished ones"
    assert known.best[0].items() >= known.good[0].items()


def test_a_study_of_optuna_gives_the_same(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mine.db"
    study = optuna.create_study(storage=url, study_name="mine", direction="maximize")
    for value, rate in ((0.3, 3e-4), (0.5, 3e-3), (0.4, 1e-3)):
        found = {RATE: FloatDistribution(1e-5, 1)}
        study.add_trial(create_trial(params={RATE: rate}, distributions=found, value=value))
    known = read(tmp_path, warm_start=[f"{url}#mine"])
    assert known.best[0][RATE] == 3e-3
    assert [good[RATE] for good in known.good] == [3e-3, 1e-3]
    study.add_trial(create_trial(params={"lr": 0.1}, distributions={"lr": FloatDistribution(1e-5, 1)}, value=0.9))
    other = optuna.create_study(storage=url, study_name="foreign")
    other.add_trial(create_trial(params={"lr": 0.1}, distributions={"lr": FloatDistribution(1e-5, 1)}, value=0.9))
    with pytest.raises(TuneCLError, match="none of its parameters is searched here"):
        read(tmp_path, warm_start=[f"{url}#foreign"])


def test_a_search_of_another_method_or_without_a_finished_trial_is_refused(tmp_path: Path) -> None:
    write_search(tmp_path / "other", {0: 0.5}, method="finetune")
    with pytest.raises(TuneCLError, match="--warm-start other: it is of finetune, and this search of lwf"):
        read(tmp_path, warm_start=["other"])
    write_search(tmp_path / "early", {}, stopped={0: 0.5})
    with pytest.raises(TuneCLError, match="none of its trials has finished"):
        read(tmp_path, warm_start=["early"])
    with pytest.raises(TuneCLError, match="no search of that name"):
        read(tmp_path, warm_start=["none"])
