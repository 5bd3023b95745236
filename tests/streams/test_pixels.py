"""What networks see of stored images."""

import torch

from tune_cl.streams import Pixels, Preprocessing, resize

CPU = torch.device("cpu")
LARGE = Preprocessing((0.3, 0.5, 0.4), (0.2, 0.25, 0.3), 0, True, stored_size=10, seen_size=6, crop="random")
PLAIN = Preprocessing((0.3, 0.5, 0.4), (0.2, 0.25, 0.3), 2, True)


def images(size: int) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_of_larger_images_the_normalised_centre_is_seen() -> None:
    stored, pixels = images(10), Pixels(LARGE, CPU)
    assert torch.equal(pixels.see(stored), pixels.normalise(stored)[:, :, 2:8, 2:8])
    assert torch.equal(pixels.see(images(6)), pixels.normalise(images(6)))


def test_images_of_the_seen_size_are_seen_whole() -> None:
    pixels = Pixels(PLAIN, CPU)
    assert torch.equal(pixels.see(images(10)), pixels.normalise(images(10)))


def test_resizing_to_the_same_size_changes_nothing_and_shrinking_averages() -> None:
    floats = images(8).float()
    assert resize(floats, 8) is floats
    assert resize(floats, 16).shape == (4, 3, 16, 16)
    board = (torch.arange(8) % 2).float().expand(1, 1, 8, 8)  # of stripes one pixel wide
    assert (resize(board, 4) - 0.5).abs().max() < 0.13  # without antialiasing, 0.5 only by luck of the positions
    assert (resize(board, 3) - 0.5).abs().max() < 0.2
