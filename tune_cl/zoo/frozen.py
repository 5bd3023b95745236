"""Frozen: the base task's classifier, never trained again. A control: what is below it has lost by training on."""

from tune_cl.methods import Method, Settings
from tune_cl.training import BASE_CLASSIFIER, BaseTask


class Increment(Settings):
    """Every increment after the base task: nothing is trained, so there is nothing to set."""


class FrozenConfig(Settings):
    """Configuration of `frozen`."""

    base: BaseTask = BaseTask()
    increment: Increment = Increment()


METHOD = Method(
    name="frozen",
    summary="control: the base task's classifier, never trained again; it knows the base classes alone",
    config=FrozenConfig,
    base=(BASE_CLASSIFIER,),
    increment=(),
)
