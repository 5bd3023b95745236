"""The oracle: Genifer's classifier phase with real old images in place of replayed ones. A control, not a method."""

from tune_cl.methods import Method, Phase, method_config
from tune_cl.training import (
    BASE_CLASSIFIER,
    PAST_STUDENT,
    BaseClassifier,
    ReplayClassifier,
    Student,
    replay_images,
    train_with_oracle,
)

METHOD = Method(
    name="oracle",
    summary="control: genifer with only the source exchanged, real old images",
    config=method_config(
        base={"classifier": BaseClassifier}, increment={"classifier": ReplayClassifier, "student": Student}
    ),
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "oracle.classifier", 1, train_with_oracle, replay_images, sees_past=True),),
    judge=PAST_STUDENT,
)
