"""Fine-tuning: the new classes alone, nothing against forgetting. The lower rung of the ladder."""

from tune_cl.methods import Method, Phase, method_config
from tune_cl.training import BASE_CLASSIFIER, BaseClassifier, ReplayFreeIncrement, fine_tune, real_images

METHOD = Method(
    name="finetune",
    summary="cross-entropy on the new classes alone; the lower rung of the ladder",
    config=method_config(base={"classifier": BaseClassifier}, increment={"classifier": ReplayFreeIncrement}),
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "finetune.classifier", 1, fine_tune, real_images),),
)
