"""One epoch after another of Avalanche's Naive strategy; run by `throughput.py` in an environment that has Avalanche.

python _avalanche.py IMAGES.npz ROUNDS
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

PADDING, RATE = 2, 2e-3
MEAN, STD = (0.2860,), (0.3530,)


def pil_transform() -> Any:
    """Crops, mirror images and normalisation of PIL images."""
    return transforms.Compose(
        [
            transforms.RandomCrop(28, padding=PADDING),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def network() -> nn.Module:
    """The same small network as `small_cnn` of width 16."""
    widths, strides = (1, 16, 32, 32, 64, 64), (1, 2, 1, 2, 1)
    layers: list[nn.Module] = []
    for i, stride in enumerate(strides):
        convolution = nn.Conv2d(widths[i], widths[i + 1], 3, stride=stride, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(widths[i + 1]), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 4))


class Pictures(torch.utils.data.Dataset[Any]):
    """PIL images with labels."""

    def __init__(self, pictures: list[Image.Image], targets: list[int]) -> None:
        self.pictures, self.targets = pictures, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, place: int) -> Any:
        return self.pictures[place], self.targets[place]


def main(path: str, rounds: int) -> None:
    """Print CPU seconds of each epoch as JSON; a first one warms up."""
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset
    from avalanche.training.supervised import Naive

    torch.set_num_threads(1)
    stored = np.load(path)
    pictures = Pictures([Image.fromarray(image[0]) for image in stored["images"]], stored["labels"].tolist())
    transform = pil_transform()
    data = as_classification_dataset(pictures, transform_groups=dict.fromkeys(("train", "eval"), (transform, None)))
    benchmark = benchmark_from_datasets(train=[data], test=[data])
    seconds = []
    for _ in range(rounds + 1):
        net = network()
        optimizer = torch.optim.AdamW(net.parameters(), RATE)
        strategy = Naive(
            model=net,
            optimizer=optimizer,
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=32,
            train_epochs=1,
            evaluator=None,
        )
        began = time.process_time()
        strategy.train(benchmark.train_stream[0], num_workers=0)
        seconds.append(time.process_time() - began)
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
