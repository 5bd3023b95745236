"""PODNet searched from the command line at the settings that its space ships for CIFAR-100, on files in that format."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cifar_writers import write_binary
from search_cli import rows_of, search
from torch.nn import functional

import tune_cl
from tune_cl.records import SearchFolder, StreamRecord
from tune_cl.streams import open_stream

pytestmark = [pytest.mark.slow, pytest.mark.ray]

COPIES = 3  # of each drawing, shifted


def write_drawings(root: Path) -> None:
    """240 coloured drawings of each of 100 classes, as CIFAR-100's binary training file."""
    stream = open_stream(StreamRecord(name="quickdraw-b50-t5"))
    parts = [stream.training(t) for t in range(6)]
    images, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    rng = np.random.default_rng(0)
    padded = functional.pad(images, (4, 4, 4, 4))  # 36 pixels
    batches = []
    for _ in range(COPIES):
        places = rng.integers(0, 5, (len(images), 2))
        shifted = torch.stack([image[:, y : y + 32, x : x + 32] for image, (y, x) in zip(padded, places, strict=True)])
        colours = torch.from_numpy(rng.uniform(0.5, 1, (len(images), 3, 1, 1)))
        batches.append((shifted * colours).byte().numpy())
    write_binary(root, "cifar100", [(np.concatenate(batches), np.tile(labels.numpy(), COPIES))])


@pytest.mark.timeout(1500)
def test_podnet_learns_at_its_published_settings_and_its_scale_stays_positive(tmp_path):
    write_drawings(tmp_path / "data")
    done = search(
        *("--space", "podnet.yaml", "--stream", "cifar100-b50-t5", "--scale", "cifar", "--budget", "full"),
        *("--protocol", "first_1"),
        *("--data-root", tmp_path / "data", "--accept-modified-data", "--trials", "1", "--concurrency", "1"),
        *("--set", "base.classifier.epochs=3", "--set", "increment.classifier.epochs=6"),
        *("--results", tmp_path / "results", "--name", "podnet"),
        timeout=1400,
    )
    assert done.returncode == 0, done.stderr
    base, increment = rows_of(SearchFolder(tmp_path / "results" / "podnet"))[0]
    assert base.metrics["val/accuracy"] > 5 / 50, "five times chance"
    assert base.losses["classifier/nca"] > 0
    assert increment.metrics["val/accuracy"] > 3 / 60
    assert tune_cl.load(tmp_path / "results" / "podnet").classifier.head.scale > 0
