"""Contracts: what every method, data set, sampler, stopping rule and metric owes, as classes to derive tests from."""

from tune_cl.testing._data_sets import DataSetContract
from tune_cl.testing._methods import MethodContract
from tune_cl.testing._metrics import MetricContract
from tune_cl.testing._rules import StoppingRuleContract
from tune_cl.testing._samplers import SamplerContract

__all__ = ["DataSetContract", "MethodContract", "MetricContract", "SamplerContract", "StoppingRuleContract"]
