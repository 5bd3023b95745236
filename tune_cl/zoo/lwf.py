"""Learning without forgetting (Li & Hoiem 2016): the old network's answers on new images are kept. No memory."""

from tune_cl.methods import Method, Phase, Settings
from tune_cl.training import BASE_CLASSIFIER, BaseTask, LwfClassifier, learn_without_forgetting, real_images


class Increment(Settings):
    """Every increment after the base task."""

    classifier: LwfClassifier = LwfClassifier()


class LwfConfig(Settings):
    """Configuration of `lwf`."""

    base: BaseTask = BaseTask()
    increment: Increment = Increment()


METHOD = Method(
    name="lwf",
    summary="distillation of old logits on new images, (relaxed) cross-entropy; no replay",
    config=LwfConfig,
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "lwf.classifier", 1, learn_without_forgetting, real_images),),
)
