"""What a phase is given of the stream: the tensors of its increment, and of others only what it declares to see."""

from collections.abc import Mapping

from tune_cl.methods import MEMORY, Extent, Phase, PhaseData
from tune_cl.nets import Component
from tune_cl.streams import Stream, join


def extent(stream: Stream, horizon: int) -> Extent:
    """What a configuration must be able to deal with on a stream, up to a horizon."""
    return Extent(stream.image_shape, len(stream.classes(0)), stream.n_seen(horizon))


def phase_data(stream: Stream, phase: Phase, t: int, state: Mapping[str, Component]) -> PhaseData:
    """Gather the images of increment t, of the memory that the state names, and of the past for a control.

    Args:
        stream: training data.
        phase: the phase that is about to run.
        t: its increment.
        state: the chain's state before it.
    """
    n_old = stream.n_seen(t - 1) if t else 0
    memory = state.get(MEMORY) if phase.sees_memory and t else None
    return PhaseData(
        increment=t,
        new=stream.training(t),
        n_old=n_old,
        n_new=stream.n_seen(t) - n_old,
        n_stream=stream.n_classes,
        preprocessing=stream.preprocessing,
        image_shape=stream.image_shape,
        past=join([stream.training(i) for i in range(t)]) if phase.sees_past and t else None,
        memory=None if memory is None else stream.exemplars(memory.tensors["labels"], memory.tensors["positions"]),
    )
