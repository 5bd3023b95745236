"""The networks before an increment, ready to be used and not trained any more."""

from tune_cl.methods import CLASSIFIER, PhaseContext, State
from tune_cl.nets import Classifier, Component, Generator, build_classifier, build_generator, folded


def frozen_classifier(state: State, context: PhaseContext) -> Classifier:
    """The classifier of a state in eval mode, its batch norm folded; on the phase's device, without gradients."""
    return context.ready(folded(build_classifier(state[CLASSIFIER])))


def frozen_generator(generator: Component, context: PhaseContext) -> Generator:
    """A generator in eval mode, on the phase's device, without gradients."""
    return context.ready(build_generator(generator)).eval().requires_grad_(False)
