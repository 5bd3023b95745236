"""A data set that a program makes: stripes in four directions, in noise.

tune-cl search --space finetune --plugin examples/plugins/stripes.py --stream stripes-b2-t2
"""

from pathlib import Path

import numpy as np

from tune_cl.streams import Dataset, Preprocessing, RawImages

WAVES = {"east": (4, 0), "north": (0, 4), "rising": (3, 3), "falling": (3, -3)}


def draw(seed: int, n: int) -> RawImages:
    """So many images, of each class as many."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(WAVES)
    y, x = np.mgrid[:16, :16]
    waves = np.stack([np.sin(2 * np.pi * (x * a + y * b) / 16) for a, b in WAVES.values()])
    images = 127 + 80 * waves[labels] + rng.normal(0, 30, (n, 16, 16))
    return RawImages(images.clip(0, 255).astype(np.uint8)[:, None], labels, class_names=tuple(WAVES))


def read_training(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawImages:
    """What a search is trained on; a data set of files would read them from `data_root`."""
    return draw(seed=0, n=400)


def read_test(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawImages:
    """What an evaluation is tested on; called there alone."""
    return draw(seed=1, n=200)


DATASET = Dataset(
    "stripes",
    n_classes=4,
    image_shape=(1, 16, 16),  # channels, height, width, as networks see it
    scale="small28",
    source="data_root",
    validation_fraction=0.2,
    preprocessing=Preprocessing(mean=(0.5,), std=(0.25,), crop_padding=2, flip=False),
    reader=read_training,
)
TEST_READER = read_test
