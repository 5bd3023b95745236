"""Learning without forgetting (Li & Hoiem 2016): the old network's answers on new images are kept. No memory."""

from tune_cl.methods import Method, Phase, method_config
from tune_cl.training import BASE_CLASSIFIER, BaseClassifier, LwfClassifier, learn_without_forgetting, real_images

METHOD = Method(
    name="lwf",
    summary="distillation of old logits on new images, (relaxed) cross-entropy; no replay",
    config=method_config(base={"classifier": BaseClassifier}, increment={"classifier": LwfClassifier}),
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "lwf.classifier", 1, learn_without_forgetting, real_images),),
)
