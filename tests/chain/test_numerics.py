"""How numbers are computed is asked for once, resolved once, recorded, in every key, and kept throughout a search."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_chains import chain_of, rows_of, run_config

import tune_cl
from tune_cl import Numerics, TuneCLError
from tune_cl.api.continued import continued
from tune_cl.chain import computing
from tune_cl.records import RunConfig, SearchFolder, SearchRecord, SearchSeeds, StreamRecord, write_json


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "float16"}, "precision 'float16': not one of auto, float32, bfloat16"),
        ({"memory_format": True}, "memory_format True: not one of"),
        ({"deterministic": 1}, "deterministic 1: neither True nor False"),
        ({"threads": 0}, "threads: 0, but it must be at least 1"),
        ({"device": "cuda:0"}, "device 'cuda:0': not one of cpu, cuda"),
    ],
)
def test_what_cannot_be_computed_with_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TuneCLError) as refused:
        Numerics(**options)
    assert str(refused.value).startswith(words)


def test_auto_lowers_no_precision_and_a_cpu_is_deterministic_anyway() -> None:
    plain = Numerics().resolved()
    assert plain == Numerics(
        precision="float32", memory_format="channels_last", deterministic=False, threads=1, device="cpu"
    )
    assert Numerics(deterministic=True).resolved() == plain
    assert Numerics(deterministic=True, device="cuda").resolved().deterministic
    assert plain.resolved() == plain


def test_what_is_given_goes_over_what_is_recorded() -> None:
    recorded = Numerics(precision="bfloat16", threads=2, memory_format="contiguous").resolved()
    assert Numerics().over(recorded) == recorded
    assert (
        Numerics(threads=3, precision="float32").over(recorded)
        == Numerics(precision="float32", threads=3, memory_format="contiguous").resolved()
    )


def test_a_configuration_records_them_and_older_ones_have_the_default() -> None:
    numerics = Numerics(precision="bfloat16", memory_format="contiguous", threads=2)
    run = tune_cl.configure("lwf", stream="fashion-b4-t3", numerics=numerics)
    assert run.numerics == numerics.resolved()
    assert RunConfig.model_validate_json(run.model_dump_json()) == run
    older = {k: v for k, v in json.loads(run.model_dump_json()).items() if k not in ("precision", "memory_format")}
    assert RunConfig.model_validate(older).numerics == Numerics(threads=2).resolved()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"precision": "bfloat16"}, "precision was float32, is bfloat16"),
        ({"memory_format": "contiguous"}, "memory_format was channels_last, is contiguous"),
        ({"deterministic": True}, "deterministic was False, is True"),
    ],
)
def test_a_search_keeps_them(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    record = SearchRecord(
        name="s", method="lwf", stream=StreamRecord(name="fashion-b4-t3"), scale="small28", budget="quick",
        protocol="stream", horizon=3, objective="val/accuracy", seeds=SearchSeeds(), sampler="tpe", scheduler="none",
        threads=1, device="cpu", fixed={}, ranges={}, default={}, data_fingerprint="0", trials=2,
    )  # fmt: skip
    folder = SearchFolder(tmp_path)
    write_json(folder.search, record)
    assert continued(folder, record).numerics == Numerics().resolved()
    with pytest.raises(TuneCLError, match=f"another definition \\({words}\\)"):
        continued(folder, record.model_copy(update=changed))


@pytest.mark.parametrize("method", ["lwf", "genifer"])
def test_a_chain_in_bfloat16_learns_in_stages_of_its_own(tmp_path: Path, method: str) -> None:
    run = run_config(method, horizon=1)
    exact, lowered = (
        chain_of(run.model_copy(update={"precision": precision}), tmp_path) for precision in ("float32", "bfloat16")
    )
    rows = rows_of(exact), rows_of(lowered)
    used = [{use.key for row in of_chain for use in row.stages} for of_chain in rows]
    assert not used[0] & used[1] and all(use.origin == "trained" for row in rows[1] for use in row.stages)
    pairs = zip(rows[0], rows[1], strict=True)
    losses = [(a.losses[name], b.losses[name]) for a, b in pairs for name in a.losses if name.startswith("classifier")]
    assert losses and all(b == pytest.approx(a, rel=0.2, abs=0.05) and a != b for a, b in losses)
    for component in lowered.state().values():
        assert {tensor.dtype for tensor in component.tensors.values()} <= {torch.float32, torch.int64}


def test_threads_are_those_of_the_run_while_it_computes() -> None:
    before = torch.get_num_threads()
    with computing(Numerics(threads=before + 1).resolved()):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
