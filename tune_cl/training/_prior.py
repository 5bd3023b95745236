"""The Balanced Softmax family as settings: the class prior of an exemplar method's cross-entropy (2103.12532)."""

from torch import Tensor

from tune_cl.losses import log_prior
from tune_cl.methods import Settings, parameter


class PriorParameters(Settings):
    """What bends the class prior of a balanced, relaxed or post-hoc adjusted loss."""

    tau: float = parameter(
        1.0, "balanced, relaxed, posthoc: exponent on the counts; 0 is plain CE", ge=0, le=4, source="balanced-softmax"
    )
    alpha: float = parameter(
        1.0,
        "balanced, posthoc: factor on old classes' counts; above 1 more plastic (search tau or alpha, not both)",
        gt=0,
        le=1000,
        source="balanced-softmax",
    )
    epsilon: float = parameter(
        0.1,
        "relaxed: count of an old class, as a share of a new class's mean count",
        gt=0,
        le=1,
        source="balanced-softmax, range",
    )


def training_prior(loss: str, config: PriorParameters, counts: Tensor, n_old: int) -> Tensor | None:
    """What is added to the logits in training; None where nothing is.

    Args:
        loss: `balanced` takes the counts as they are, `relaxed` puts epsilon times the new classes' mean count in place
            of every old class's; any other loss has no prior.
        config: exponent and factors.
        counts: (C,) expected samples of each class seen in this loss, old classes first.
        n_old: number of old classes.

    Returns:
        (C,) float32 from `log_prior`.
    """
    if loss == "balanced":
        return log_prior(counts, n_old, tau=config.tau, alpha=config.alpha)
    if loss == "relaxed":
        epsilon = config.epsilon * float(counts[n_old:].mean())
        without_old = counts.clone()
        without_old[:n_old] = 0
        return log_prior(without_old, n_old, tau=config.tau, epsilon=epsilon)
    return None


def posthoc_adjustment(loss: str, config: PriorParameters, counts: Tensor, n_old: int) -> Tensor | None:
    """What is taken from the logits in prediction after plain training: (C,) float32; None for every other loss."""
    return log_prior(counts, n_old, tau=config.tau, alpha=config.alpha) if loss == "posthoc" else None
