"""Joint training on all real images seen so far: a control that keeps all data. The upper end of the ladder."""

from tune_cl.methods import Method, Phase, method_config
from tune_cl.training import BASE_CLASSIFIER, BaseClassifier, JointIncrement, joint_images, train_jointly

METHOD = Method(
    name="joint",
    summary="control: cross-entropy on all real images seen so far",
    config=method_config(base={"classifier": BaseClassifier}, increment={"classifier": JointIncrement}),
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "joint.classifier", 1, train_jointly, joint_images, sees_past=True),),
)
