"""The picture of replay: real images beside what a generator makes of the same classes, for several streams."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from tune_cl.chain import Chain
from tune_cl.records import RunConfig
from tune_cl.store import StageStore
from tune_cl.streams import LabelledImages, open_stream

ROWS, COLUMNS, SCALE = 8, 6, 2
LABEL, GAP, TOP = 92, 18, 22


def draw(runs: Sequence[RunConfig], stages: Path, path: Path) -> None:
    """A panel for each chain, of its last replay; where there are many classes, of some over the whole stream."""
    panels = [_panel(run, stages) for run in runs]
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    canvas = Image.new("L", (width, max(panel.height for panel in panels)), 255)
    x = 0
    for panel in panels:
        canvas.paste(panel, (x, 0))
        x += panel.width + GAP
    path.parent.mkdir(exist_ok=True)
    canvas.save(path)


def _panel(run: RunConfig, stages: Path) -> Image.Image:
    stream = open_stream(run.stream)
    chain = Chain(run, stream, StageStore(stages))
    preview = None
    while chain.next_increment < run.horizon:
        preview = chain.advance().preview
    assert preview is not None
    shown = sorted({round(i) for i in np.linspace(0, len(preview) - 1, min(ROWS, len(preview)))})
    size = stream.image_shape[1] * SCALE
    canvas = Image.new("L", (LABEL + 2 * COLUMNS * size + GAP, TOP + size * len(shown)), 255)
    pen = ImageDraw.Draw(canvas)
    pen.text((LABEL, 5), f"{run.stream.name}: real", fill=0)
    pen.text((LABEL + COLUMNS * size + GAP, 5), f"replayed after increment {run.horizon - 1}", fill=0)
    for row, index in enumerate(shown):
        t = next(t for t in range(run.horizon) if index in stream.classes(t))
        data = stream.training(t)
        assert isinstance(data, LabelledImages)
        y = TOP + row * size
        pen.text((4, y + size // 2 - 6), stream.class_names[index], fill=0)
        _paste(canvas, data.images[data.labels == index][:COLUMNS], LABEL, y, size)
        _paste(canvas, preview[index][:COLUMNS], LABEL + COLUMNS * size + GAP, y, size)
    return canvas


def _paste(canvas: Image.Image, images: torch.Tensor, x: int, y: int, size: int) -> None:
    for j, image in enumerate(images):
        pixels = np.asarray(image[0])
        canvas.paste(Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST), (x + j * size, y))
