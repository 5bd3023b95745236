"""Frozen: the base task's classifier, never trained again. A control: what is below it has lost by training on."""

from tune_cl.methods import Method, method_config
from tune_cl.training import BASE_CLASSIFIER, BaseClassifier

METHOD = Method(
    name="frozen",
    summary="control: the base task's classifier, never trained again; it knows the base classes alone",
    config=method_config(base={"classifier": BaseClassifier}, increment={}),
    base=(BASE_CLASSIFIER,),
    increment=(),
)
