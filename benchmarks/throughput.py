"""Write `throughput.md`: how fast a classifier is trained, against loops without this package. One thread, CPU seconds.

    python benchmarks/throughput.py [--rounds 5] [--avalanche PYTHON]

PYTHON is that of an environment with avalanche-lib 0.6.0, torch and torchvision. Every loop trains the same network on
the same 3,200 images, with the same crops and mirror images, for one epoch; rounds go through all loops in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _avalanche import PADDING, RATE, pil_transform
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from tune_cl.chain import computing
from tune_cl.methods import PhaseContext, PhaseData, get_method
from tune_cl.nets import Classifier, ClassifierShape, build_classifier, crop_and_flip, lay_out, new_classifier
from tune_cl.options import Numerics
from tune_cl.records import StreamRecord
from tune_cl.streams import LabelledImages, Pixels, RandomKey, Stream, open_stream

BATCH, WIDTH = 32, 16
FORMATS = ("contiguous", "channels_last")
Loop = Callable[[], tuple[float, Classifier]]  # -> CPU seconds of an epoch, and the network that it trained


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--avalanche", metavar="PYTHON")
    args = parser.parse_args()
    stream = open_stream(StreamRecord(name="fashion-b4-t3"))
    images = stream.training(0)
    assert isinstance(images, LabelledImages)
    loops: dict[str, Loop] = {}
    for name in FORMATS:
        numerics = Numerics(memory_format=name).resolved()
        loops[f"tune_cl, {name}"] = lambda n=numerics: ours(stream, images, n)
        loops[f"bare loop, images in memory, {name}"] = lambda n=numerics: bare(stream, images, n)
    loops["bare loop, PIL and DataLoader"] = lambda: with_pil(stream, images)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    accuracy: dict[str, float] = {}
    with computing(Numerics().resolved()):
        for number in range(args.rounds + 1):
            for name, loop in loops.items():
                spent, net = loop()
                if number:  # the first round warms up
                    seconds[name].append(spent)
                accuracy[name] = accuracy_of(net, stream)
    if args.avalanche:
        seconds["Avalanche 0.6.0"] = with_avalanche(args.avalanche, images, args.rounds)
    Path(__file__).with_suffix(".md").write_text(page(seconds, accuracy, len(images)))


def ours(stream: Stream, images: LabelledImages, numerics: Numerics) -> tuple[float, Classifier]:
    """An epoch of the package's own phase."""
    method = get_method("finetune")
    settings = {"network": "small_cnn", "width": WIDTH, "epochs": 1, "batch_size": BATCH, "optimizer": "adamw"}
    config = (
        method.base[0].run,
        type(method.config().base.classifier).model_validate(
            {**settings, "learning_rate": RATE, "schedule": "constant", "weight_decay": 0.01}
        ),
    )
    data = PhaseData(0, images, 0, 4, 10, stream.preprocessing, stream.image_shape)
    context = PhaseContext(RandomKey(0, 0, "classifier"), torch.device("cpu"), numerics=numerics)
    began = time.process_time()
    result = config[0](config[1], data, {}, context)
    return time.process_time() - began, build_classifier(result.changed["classifier"])


def bare(stream: Stream, images: LabelledImages, numerics: Numerics) -> tuple[float, Classifier]:
    """The same epoch, written down as a script would."""
    net = lay_out(_new(), numerics).train()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, fused=True)
    pixels, random = Pixels(stream.preprocessing, torch.device("cpu")), torch.Generator().manual_seed(0)
    began = time.process_time()
    for index in torch.randperm(len(images), generator=random).split(BATCH):
        batch = pixels.normalise(images.images[index])
        batch = crop_and_flip(batch, PADDING, True, random, fill=pixels.black.flatten())
        _step(net, optimizer, batch, images.labels[index])
    return time.process_time() - began, net


class _Pictures(Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, images: LabelledImages) -> None:
        self._pictures = [Image.fromarray(image[0]) for image in images.images.numpy()]
        self._labels = images.labels.tolist()
        self._transform = pil_transform()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return self._transform(self._pictures[place]), self._labels[place]


def with_pil(stream: Stream, images: LabelledImages) -> tuple[float, Classifier]:
    """The same epoch over PIL images and torchvision's transforms in a DataLoader."""
    net = _new().train()
    optimizer = torch.optim.AdamW(net.parameters(), RATE)
    loader = DataLoader(_Pictures(images), BATCH, shuffle=True, generator=torch.Generator().manual_seed(0))
    began = time.process_time()
    for batch, labels in loader:
        _step(net, optimizer, batch, labels)
    return time.process_time() - began, net


def with_avalanche(python: str, images: LabelledImages, rounds: int) -> list[float]:
    """CPU seconds of epochs of Avalanche's Naive strategy, in an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npz")
        np.savez(path, images=images.images.numpy(), labels=images.labels.numpy())
        script = Path(__file__).with_name("_avalanche.py")
        done = subprocess.run(
            [python, str(script), str(path), str(rounds)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    return [float(value) for value in json.loads(done.stdout.splitlines()[-1])]


def _new() -> Classifier:
    return new_classifier(ClassifierShape("small_cnn", WIDTH, (1, 28, 28), 4), 0)


def _step(net: Classifier, optimizer: torch.optim.Optimizer, batch: torch.Tensor, labels: torch.Tensor) -> None:
    loss = functional.cross_entropy(net(batch), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@torch.inference_mode()
def accuracy_of(net: Classifier, stream: Stream) -> float:
    """On the validation images of the base task."""
    held = stream.validation(0)
    assert isinstance(held, LabelledImages)
    pixels = Pixels(stream.preprocessing, torch.device("cpu"))
    return float((net.eval().predict(pixels.see(held.images)).argmax(1) == held.labels).float().mean())


def page(seconds: dict[str, list[float]], accuracy: dict[str, float], n: int) -> str:
    """The page."""
    best = statistics.median(seconds["tune_cl, channels_last"])
    rows = []
    for name, spent in seconds.items():
        middle = statistics.median(spent)
        rates = f"{n / middle:,.0f} ({n / max(spent):,.0f}-{n / min(spent):,.0f})"
        right = f"{accuracy[name]:.3f}" if name in accuracy else ""
        rows.append(f"| {name} | {rates} | {middle / best:.2f} | {right} |")
    cpu = torch.backends.cpu.get_cpu_capability()
    return "\n".join(
        [
            "# Training throughput",
            "",
            f"`python {' '.join(['benchmarks/throughput.py', *sys.argv[1:]])}`: small_cnn of width {WIDTH}, batches of "
            f"{BATCH}, {n:,} grey images of 28x28, AdamW, crops and mirror images; one thread, {cpu}, PyTorch "
            f"{torch.__version__.split('+')[0]}, float32. Images per CPU second: median (min-max) over "
            f"{len(next(iter(seconds.values())))} epochs, each from new weights; the loops in turn. Accuracy: on 800 "
            "validation images after the last of these epochs: one epoch at a constant rate, which moves by several "
            "points with the last digits.",
            "",
            "| loop | images per CPU second | time, tune_cl = 1 | accuracy |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
