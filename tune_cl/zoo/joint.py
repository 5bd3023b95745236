"""Joint training on all real images seen so far: a control that keeps all data. The upper end of the ladder."""

from tune_cl.methods import Method, Phase, Settings
from tune_cl.training import BASE_CLASSIFIER, BaseTask, JointIncrement, joint_images, train_jointly


class Increment(Settings):
    """Every increment after the base task."""

    classifier: JointIncrement = JointIncrement()


class JointConfig(Settings):
    """Configuration of `joint`."""

    base: BaseTask = BaseTask()
    increment: Increment = Increment()


METHOD = Method(
    name="joint",
    summary="control: cross-entropy on all real images seen so far",
    config=JointConfig,
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "joint.classifier", 1, train_jointly, joint_images, sees_past=True),),
)
