"""Searches on images from files: the scale that fits the machine, and a remedy for images that are others now."""

from pathlib import Path

import numpy as np
import pytest
import torch
from search_cli import here

import tune_cl
from tune_cl.api.search import planned
from tune_cl.cli._parser import made, search_parser
from tune_cl.engine import fitting_scale
from tune_cl.options import SearchOptions
from tune_cl.records import SearchFolder, write_json
from tune_cl.streams import DATASETS
from tune_cl.study import load_space


def write_cifar10(root: Path, seed: int = 0) -> None:
    """The binary version, four images a class."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 3072), dtype=np.uint8)
    for i in range(1, 6):
        rows = [bytes([label]) + pixels[label].tobytes() for label in range(10)]
        (folder / f"data_batch_{i}.bin").write_bytes(b"".join(rows))


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """A search on such images, whose definition is on disk."""
    write_cifar10(tmp_path / "data")
    named = {"--space": "finetune", "--stream": "cifar10-b4-t3", "--data-root": tmp_path / "data", "--name": "s"}
    options = [f"{option}={value}" for option, value in named.items()]
    options += [f"--results={tmp_path / 'results'}", "--accept-modified-data", "--dry-run"]
    with planned(made(SearchOptions, search_parser().parse_args(options)), options, ()) as plan:
        write_json(SearchFolder(tmp_path / "results" / "s").search, plan.record)
    return options


def test_changed_images_are_not_told_as_another_definition(tmp_path: Path, options: list[str]) -> None:
    assert here("search", *options)[0] == 0
    write_cifar10(tmp_path / "data", seed=1)
    code, said = here("search", *options)
    assert code == 2 and "other images: the training files of cifar10 are not those of then" in said, said
    assert "name the --data-root of then, or put its files there again; or search on those of now under another" in said
    assert "repeat the options" not in said and len(said) < 500


def test_another_option_is_told_first(tmp_path: Path, options: list[str]) -> None:
    write_cifar10(tmp_path / "data", seed=1)
    code, said = here("search", *options, "--train-seed=1")
    assert code == 2 and "another definition (seeds: train was 0, is 1); give this one another --name" in said


def test_another_data_set_is_another_definition(options: list[str]) -> None:
    code, said = here("search", *options, "--stream=fashion-b4-t3")
    assert code == 2 and "another definition (stream: name was cifar10-b4-t3, is fashion-b4-t3; scale" in said
    assert "fingerprint" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_colour_images_without_a_gpu_are_learnt_small_and_it_is_said(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "data")
    options = ["--space=lwf", "--stream=cifar10-b4-t3", f"--data-root={tmp_path / 'data'}", "--accept-modified-data"]
    options += [f"--results={tmp_path / 'results'}", "--dry-run"]
    code, said = here("search", *options)
    assert code == 0 and "no GPU here (--scale cifar takes those for one)" in said, said
    assert "lwf-cifar10-b4-t3-quick-small32:" in said and "network: small_cnn" in said
    code, said = here("search", *options, "--scale=cifar")
    assert code == 0 and "no GPU here" not in said and "lwf-cifar10-b4-t3-quick:" in said
    assert "network: resnet18_cifar" in said
    code, said = here("search", *options, "--scale=small")
    assert code == 2 and "no scale 'small'; this space has small28, small32, cifar" in said


def test_scale_follows_data_set_space_and_machine(tmp_path: Path) -> None:
    assert fitting_scale(load_space("lwf"), DATASETS["cifar100"], gpu=True) == "cifar"
    assert tune_cl.configure("lwf", stream="cifar10-b4-t3", numerics=tune_cl.Numerics(device="cuda")).parameters == (
        tune_cl.configure("lwf", stream="cifar10-b4-t3", scale="cifar").parameters
    )
    assert fitting_scale(load_space("lwf"), DATASETS["cub200"]) == "cub"
    (tmp_path / "own.yaml").write_text("extends: lwf.yaml\nscales: {small32: null}\n")
    assert fitting_scale(load_space(str(tmp_path / "own.yaml")), DATASETS["cifar10"]) == "cifar"
