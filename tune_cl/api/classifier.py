"""A trained classifier that takes images as people have them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

from tune_cl.errors import TuneCLError
from tune_cl.nets import Classifier

_EIGHT_BITS = ("1", "L", "P", "RGB", "LA", "PA", "RGBA", "La", "RGBa", "RGBX", "CMYK", "YCbCr")
Images = Tensor | Image.Image | Sequence[Image.Image]


class LoadedClassifier(nn.Module):
    """A classifier in eval mode, with the preprocessing of its data set.

    Every method takes images in one of three forms:

    - float32 (B, C, H, W), normalised per channel with `mean` and `std`: given to the network as they are;
    - uint8 (B, C, H, W), 0 to 255, of the network's size, or squares as the data set stores them, whose centre is cut;
    - a PIL image or a list of them, of any size: made grey or RGB, the short side scaled, the centre cut out.

    Attributes:
        classifier: the network itself.
        class_names: in the order of the logits.
        mean: per channel, of pixels scaled to 0…1.
        std: the same.
        about: everything that the weights file says besides the weights.

    Example:
        >>> classifier = tune_cl.load("results/genifer-fashion-b4-t3-quick")
        >>> classifier.names([Image.open("shirt.png")])
        ['shirt']
    """

    def __init__(self, classifier: Classifier, about: dict[str, Any]) -> None:
        super().__init__()
        self.classifier, self.about = classifier.eval(), about
        self.class_names: list[str] = list(about["class_names"])
        self.mean, self.std = tuple(about["mean"]), tuple(about["std"])
        self._stored = about.get("stored_size")
        self.eval()

    @property
    def shape(self) -> Any:
        """What the network is built from; `shape.image_shape` is (C, H, W)."""
        return self.classifier.shape

    def forward(self, images: Images) -> Tensor:
        """Raw logits (B, classes) float32.

        Raises:
            TuneCLError: the images have no form that is known, or another size than the network takes.
        """
        logits: Tensor = self.classifier(self.prepare(images))
        return logits

    def predict(self, images: Images) -> Tensor:
        """Logits (B, classes) to choose by: the raw ones less a post-hoc adjustment, where the training had one."""
        return self.classifier.predict(self.prepare(images))

    @torch.no_grad()
    def names(self, images: Images) -> list[str]:
        """The name of the most likely class of each image."""
        return [self.class_names[i] for i in self.predict(images).argmax(1).tolist()]

    def prepare(self, images: Images) -> Tensor:
        """Images in any of the three forms -> float32 (B, C, H, W), normalised, on the network's device."""
        if not isinstance(images, Tensor):
            pictures = [images] if isinstance(images, Image.Image) else images
            if not isinstance(pictures, list | tuple) or not all(isinstance(one, Image.Image) for one in pictures):
                raise TuneCLError(f"images: {type(images).__name__}, but a tensor or a list of PIL images is needed")
            if not pictures:
                raise TuneCLError("images: an empty list; give one image at least")
            images = torch.stack([self._pixels(picture) for picture in pictures])
        images = images.to(next(self.parameters()).device)
        if images.dtype == torch.uint8:
            normalised: Tensor = transforms.normalize(self._centre(images).float() / 255, [*self.mean], [*self.std])
            return normalised
        if images.dtype != torch.float32:
            raise TuneCLError(f"images: dtype {images.dtype}; give uint8 (0 to 255), or float32 that is normalised")
        self._check(images)
        return images

    def _pixels(self, picture: Image.Image) -> Tensor:
        """uint8 (C, H, W) of the network's size."""
        channels, height, width = self.shape.image_shape
        if picture.mode not in _EIGHT_BITS:
            raise TuneCLError(f"images: a PIL image of mode {picture.mode!r}; convert it to 'L' or 'RGB' first")
        array = np.array(picture.convert("L" if channels == 1 else "RGB"))
        pixels = torch.from_numpy(array.reshape(*array.shape[:2], channels)).permute(2, 0, 1)
        if pixels.shape[1:] != (height, width):
            pixels = transforms.resize(pixels, [self._stored or height], antialias=True)
        centre: Tensor = transforms.center_crop(pixels, [height, width])
        return centre

    def _centre(self, images: Tensor) -> Tensor:
        """Cut the centre out of squares as the data set stores them."""
        if self._stored is not None and images.ndim == 4 and images.shape[-2:] == (self._stored, self._stored):
            images = transforms.center_crop(images, list(self.shape.image_shape[1:]))
        self._check(images)
        return images

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or tuple(images.shape[1:]) != self.shape.image_shape:
            needed = ", ".join(str(n) for n in self.shape.image_shape)
            raise TuneCLError(f"images: shape {tuple(images.shape)}, but (B, {needed}) is needed")
