"""Fine-tuning: the new classes alone, nothing against forgetting. The lower rung of the ladder."""

from tune_cl.methods import Method, Phase, Settings
from tune_cl.training import BASE_CLASSIFIER, BaseTask, ReplayFreeIncrement, fine_tune, real_images


class Increment(Settings):
    """Every increment after it."""

    classifier: ReplayFreeIncrement = ReplayFreeIncrement()


class FinetuneConfig(Settings):
    """Configuration of `finetune`."""

    base: BaseTask = BaseTask()
    increment: Increment = Increment()


METHOD = Method(
    name="finetune",
    summary="cross-entropy on the new classes alone; the lower rung of the ladder",
    config=FinetuneConfig,
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "finetune.classifier", 1, fine_tune, real_images),),
)
