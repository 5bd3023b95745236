"""The classes of a search's stream, described in its folder: names, and a few real images of each."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from tune_cl.engine import write_grid
from tune_cl.records import ClassesRecord, SearchFolder, write_json
from tune_cl.streams import Stream

_EACH, _CLASSES, _LARGEST = 8, 100, 64  # images of a class, classes, pixels of an edge


def describe_classes(folder: SearchFolder, stream: Stream) -> None:
    """Write `classes.json` and `real.png`, unless they are there; training images alone are read.

    Where there are many classes, some from the first to the last are pictured, and large images are made smaller.
    """
    if folder.classes.exists() and folder.real_images.exists():
        return
    sizes = [len(stream.classes(t)) for t in range(stream.horizon + 1)]
    known = sum(sizes)
    shown = sorted({round(i) for i in np.linspace(0, known - 1, min(_CLASSES, known))})
    available = [size for t in range(stream.horizon + 1) for size in stream.class_sizes(t)]
    labels = torch.tensor([label for label in shown for _ in range(_EACH)])
    places = torch.tensor([i % available[label] for label in shown for i in range(_EACH)])
    images = stream.exemplars(labels, places).gather(torch.arange(len(labels))).float()
    if images.shape[-1] > _LARGEST:
        images = interpolate(images, size=(_LARGEST, _LARGEST), mode="bilinear", antialias=True)
    write_grid(folder.real_images, images.round().byte().unflatten(0, (len(shown), _EACH)).numpy())
    write_json(folder.classes, ClassesRecord(names=list(stream.class_names[:known]), increments=sizes, pictured=shown))
