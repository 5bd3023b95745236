"""`fresh` trains anew: nothing that lay in the store is used, and what was trained takes its place."""

import json
import math
from pathlib import Path

import pytest
from test_checkpoints import Killed, strike_at
from tiny_chains import TIMES, comparable, origins, rows_of, run_config, tiny_stream

from tune_cl.chain import Chain, Progress
from tune_cl.records import RunConfig
from tune_cl.store import StageStore


def chain(run: RunConfig, stages: Path, *, every: float = math.inf, strike: object = None, **given: object) -> Chain:
    store = StageStore(stages, TIMES, checkpoint_every=every)
    return Chain(run, tiny_stream(), store, strike or (lambda progress: None), node="here", **given)  # type: ignore[arg-type]


def trained_by(stages: Path) -> set[str]:
    return {json.loads(file.read_text())["trained_by"].partition("/")[0] for file in stages.glob("??/*/stage.json")}


RUN = run_config("finetune", horizon=2)
OTHER = run_config("finetune", {"increment.classifier.learning_rate": 0.02}, horizon=2)


def test_a_fresh_chain_trains_everything_to_the_same_numbers_and_replaces_what_was_stored(tmp_path: Path):
    first = rows_of(chain(RUN, tmp_path, payer="one/0000"))
    assert trained_by(tmp_path) == {"one"}
    again = rows_of(chain(RUN, tmp_path, payer="two/0000", fresh=True))
    assert origins(again) == ["trained"] * 3 and comparable(again) == comparable(first)
    assert trained_by(tmp_path) == {"two"} and list((tmp_path / "drafts").iterdir()) == []
    assert origins(rows_of(chain(RUN, tmp_path, payer="three"))) == ["reused"] * 3


def test_wrong_numbers_in_the_store_do_not_reach_a_fresh_chain(tmp_path: Path):
    """Stages of another configuration under these keys: what a changed procedure without another key would leave."""
    store = StageStore(tmp_path, TIMES)
    honest = rows_of(chain(RUN, tmp_path / "honest"))
    planned = chain(RUN, tmp_path).planned_keys()
    strange = chain(run_config("finetune", {"base.classifier.learning_rate": 1e-6}, horizon=2), tmp_path / "strange")
    rows_of(strange)
    for (_, _, key), (_, _, theirs) in zip(planned, strange.planned_keys(), strict=True):
        stage = StageStore(tmp_path / "strange").load(theirs)
        assert stage is not None
        record = stage.record.model_copy(update={"key": key})
        store.publish(type(stage)(record, stage.changed, stage.preview))
    assert comparable(rows_of(chain(RUN, tmp_path))) != comparable(honest), "they would be used"
    assert comparable(rows_of(chain(RUN, tmp_path, fresh=True))) == comparable(honest)


def test_trials_of_one_fresh_search_share_their_stages_also_when_it_goes_on(tmp_path: Path):
    rows_of(chain(RUN, tmp_path, payer="earlier/0000"))
    rows_of(chain(OTHER, tmp_path, payer="earlier/0001"))
    assert origins(rows_of(chain(RUN, tmp_path, payer="mine/0000", fresh=True))) == ["trained"] * 3
    assert origins(rows_of(chain(OTHER, tmp_path, payer="mine/0001", fresh=True))) == ["reused", *["trained"] * 2]
    assert origins(rows_of(chain(OTHER, tmp_path, payer="mine/0002", fresh=True))) == ["reused"] * 3
    assert trained_by(tmp_path) == {"mine"}


@pytest.mark.parametrize(("payer", "begins_at"), [("mine/0001", 2), ("another/0000", 1)])
def test_a_checkpoint_of_the_same_search_is_gone_on_from_and_another_is_not(tmp_path: Path, payer: str, begins_at: int):
    """Killed while its third step was reported, so that two are in the checkpoint."""
    with pytest.raises(Killed):
        rows_of(chain(RUN, tmp_path, every=0.0, strike=strike_at(0, "classifier", 2), payer="mine/0000", fresh=True))
    seen: list[Progress] = []
    rows = rows_of(chain(RUN, tmp_path, every=0.0, strike=seen.append, payer=payer, fresh=True))
    assert seen[0].step == begins_at
    assert comparable(rows) == comparable(rows_of(chain(RUN, tmp_path / "whole")))
