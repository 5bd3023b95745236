"""The oracle: Genifer's classifier phase with real old images in place of replayed ones. A control, not a method."""

from tune_cl.methods import Method, Phase, Settings
from tune_cl.training import (
    BASE_CLASSIFIER,
    PAST_STUDENT,
    BaseTask,
    ReplayClassifier,
    Student,
    replay_images,
    train_with_oracle,
)


class Increment(Settings):
    """Every increment after the base task."""

    classifier: ReplayClassifier = ReplayClassifier()
    student: Student = Student()


class OracleConfig(Settings):
    """Configuration of `oracle`."""

    base: BaseTask = BaseTask()
    increment: Increment = Increment()


METHOD = Method(
    name="oracle",
    summary="control: genifer with only the source exchanged, real old images",
    config=OracleConfig,
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "oracle.classifier", 1, train_with_oracle, replay_images, sees_past=True),),
    judge=PAST_STUDENT,
)
