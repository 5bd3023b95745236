"""Features of images as they are, without augmentation and without a gradient."""

import torch
from torch import Tensor

from tune_cl.methods import PhaseContext, PhaseData
from tune_cl.nets import POOLED, Classifier
from tune_cl.streams import ImageSource, Pixels, in_turn

_BATCH = 256


@torch.no_grad()
def pooled_features(classifier: Classifier, images: ImageSource, data: PhaseData, context: PhaseContext) -> Tensor:
    """Pooled features of a classifier in eval mode: (N, D) float32 on the CPU."""
    pixels = Pixels(data.preprocessing, context.device)
    parts = [
        classifier.features(pixels.see(stored), POOLED).cpu()
        for stored, _ in in_turn(images, _BATCH, context.device, context.loader_workers)
    ]
    return torch.cat(parts)
