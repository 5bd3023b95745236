"""Genifer on colour files in CIFAR-100's format: losses, rates and batches as its space ships them for `cifar`.

The networks are narrow, and the generator takes less than a tenth of the steps of the budget `quick`, so that it takes
minutes on one core. What such a short game shows: it is played on valid pixels, and the label, which enters the
generator faintly there (`label_scale: classes`), begins to be obeyed.
"""

from pathlib import Path

import pytest
import torch
from cifar_writers import write_binary
from torch.nn import functional

import tune_cl
from tune_cl.methods import flatten

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PER_CLASS = 60
CHANCE = 1 / 50
NARROW = {
    "base.classifier.network": "small_cnn",
    "base.classifier.width": 16,
    "base.generator.channels": 64,
    "base.generator.discriminator_width": 64,
}
SHORT = {
    "base.classifier.epochs": 4,
    "increment.classifier.epochs": 4,
    "base.generator.steps": 1500,
    "increment.generator.steps": 50,
    "increment.student.steps": 100,
}


def write_blobs(root: Path) -> None:
    """Noisy images of 100 classes; a class is four colours, one in each corner, that run into one another."""
    draws = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 256, (100, 3, 2, 2), generator=draws).float()
    labels = torch.arange(100).repeat_interleave(PER_CLASS)
    images = functional.interpolate(corners, size=32, mode="bilinear", align_corners=True)[labels]
    images = images + 40 * torch.randn(images.shape, generator=draws)
    write_binary(root, "cifar100", [(images.clamp(0, 255).byte().numpy(), labels.numpy())])


def test_replay_is_valid_and_obeys_its_label_at_the_settings_of_the_paper(tmp_path: Path) -> None:
    write_blobs(tmp_path / "data")
    run = tune_cl.configure(
        "genifer", stream="cifar100-b50-t1", scale="cifar", budget="quick", overrides={**NARROW, **SHORT}
    )
    settings = flatten(run.parameters)
    assert (settings["base.generator.weight_label"], settings["base.generator.label_scale"]) == (0, "classes")
    base, increment = tune_cl.run_chain(
        run, stages=tmp_path / "stages", data_root=tmp_path / "data", accept_modified_data=True
    )
    assert (base.metrics["val/accuracy"] or 0) > 0.9
    assert (base.metrics["generator/edge_pixels"] or 0) < 0.25, "a third of them were, where the game was not cut"
    assert (increment.metrics["val/accuracy_old"] or 0) > 0.5
    assert (increment.metrics["replay_accuracy"] or 0) > 2 * CHANCE
    assert (increment.metrics["val/replay_student"] or 0) > 3 * CHANCE
