"""What is wrong with an increment although it ran to its end: signs that nothing was learned.

All of it is read from what is stored of the stages and from the scores, so that a stage warns whoever uses it.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from scipy.special import bdtrc
from torch import Tensor

from tune_cl.chain._scoring import Correct
from tune_cl.methods import CLASSIFIER, Phase
from tune_cl.nets import Component
from tune_cl.store import Stage

_CHANCE = 0.01  # how probable it may be that a classifier that knows nothing gets as many right, before a word is said


def phase_warnings(phase: Phase, stage: Stage, n_seen: int) -> Iterator[str]:
    """What is wrong with a stage.

    Args:
        phase: that trained it.
        stage: as stored.
        n_seen: classes up to its increment; one alone is told apart from nothing, by a loss of 0.
    """
    for name in phase.classification:
        if n_seen > 1 and stage.record.losses.get(name) == 0:
            yield f"the {phase.name} phase ended with a loss {name} of exactly 0, from which nothing is learned"
    scale = _scale(stage.changed)
    if scale is not None and scale <= 0:
        yield (
            f"the {phase.name} phase ended with a learned scale of {scale:.3g}; it must be above 0 for the class that "
            "fits best to have the largest logit"
        )


def score_warnings(correct: Sequence[Correct], labels: Sequence[Tensor]) -> Iterator[str]:
    """What is wrong with the scores of an increment.

    Args:
        correct: which validation images of increments 0..t are classified right.
        labels: of these images.
    """
    images = torch.cat(list(labels)).unique(return_counts=True)[1].tolist()
    by_means = [part.nearest_mean for part in correct if part.nearest_mean is not None]
    read_outs = [("", [part.linear for part in correct]), *([(" by nearest class mean", by_means)] if by_means else [])]
    for read_out, parts in read_outs:
        doubt = chance_warning(sum(int(part.sum()) for part in parts), images, read_out)
        if doubt is not None:
            yield doubt


def chance_warning(right: int, images: Sequence[int], read_out: str = "") -> str | None:
    """What is wrong with an accuracy that a classifier without knowledge would have as well; None if nothing is.

    Args:
        right: images that are classified right, of all classes seen.
        images: of each class seen; to name the largest class always is the best that can be done without knowledge.
        read_out: what classifies, if it is not the head.
    """
    n = sum(images)
    if len(images) < 2 or not n:
        return None
    chance = max(images) / n
    if bdtrc(right - 1, n, chance) <= _CHANCE:  # at least so many of n by guessing
        return None
    return (
        f"accuracy{read_out} {right / n:.4f} on {len(images)} classes is not above chance ({chance:.4f}; {right} of "
        f"{n} validation images)"
    )


def _scale(changed: Mapping[str, Component]) -> float | None:
    """The learned scale of a classifier's head, where it has one."""
    classifier = changed.get(CLASSIFIER)
    scale = None if classifier is None else classifier.tensors.get("head.scale")
    return None if scale is None else float(scale)
