"""The networks that spaces ship for large images, one step of each phase: they fit each other and the images."""

from typing import Any

import pytest
import torch
from tiny_phases import CPU

import tune_cl
from tune_cl.methods import PhaseContext, PhaseData, get_method
from tune_cl.nets import Component, build_generator
from tune_cl.streams import LabelledImages, RandomKey, StreamShape, parse_name

ONE_STEP: dict[str, Any] = {
    f"{part}.{phase}.{name}": value
    for part in ("base", "increment")
    for phase, values in (
        ("classifier", {"epochs": 1, "batch_size": 2}),
        ("generator", {"steps": 1, "batch_size": 2}),
    )
    for name, value in values.items()
}
CLASSES = 2  # at the base task, and at the increment


def images_of(shape: StreamShape, t: int) -> PhaseData:
    """An image of each of two classes, of the size in which the data set is stored."""
    preprocessing, image_shape = shape.dataset.preprocessing, shape.dataset.image_shape
    side = preprocessing.stored_size or image_shape[1]
    images = torch.randint(256, (CLASSES, image_shape[0], side, side), generator=torch.Generator().manual_seed(t))
    labels = torch.arange(CLASSES) + t * CLASSES
    return PhaseData(
        increment=t,
        new=LabelledImages(images.to(torch.uint8), labels),
        n_old=t * CLASSES,
        n_new=CLASSES,
        n_stream=shape.dataset.n_classes,
        preprocessing=preprocessing,
        image_shape=image_shape,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "stream", "made"),
    [
        ("genifer", "cifar100-b50-t5", 32),
        ("genifer", "cub200-b100-t5", 128),
        ("image_replay", "cub200-b100-t5", 128),
        ("genifer", "imagenet-b500-t5", 128),
        ("feature_replay", "cifar100-b50-t5", 8),
        ("feature_replay", "cub200-b100-t5", 14),
    ],
)
def test_every_phase_takes_a_step_at_the_shipped_sizes(method: str, stream: str, made: int) -> None:
    shape, chosen = parse_name(stream), get_method(method)
    run = tune_cl.configure(method, stream=stream, budget="full", overrides=ONE_STEP)
    config = chosen.config.model_validate(run.parameters)
    state: dict[str, Component] = {}
    for t in (0, 1):
        data = images_of(shape, t)
        for phase in chosen.phases(config, t, horizon=2):
            context = PhaseContext(RandomKey(0, t, phase.name), CPU)
            state |= phase.run(chosen.subtree(config, t, phase), data, state, context).changed
    assert state["classifier"].tensors["head.weight"].shape[0] == 2 * CLASSES
    assert build_generator(state["generator"]).shape.image_shape[1:] == (made, made)
    assert all(tensor.isfinite().all() for part in state.values() for tensor in part.tensors.values())
