"""Contracts: what every method, sampler, stopping rule and metric owes, as classes to derive one's own tests from."""

from tune_cl.testing._methods import MethodContract
from tune_cl.testing._metrics import MetricContract
from tune_cl.testing._rules import StoppingRuleContract
from tune_cl.testing._samplers import SamplerContract

__all__ = ["MethodContract", "MetricContract", "SamplerContract", "StoppingRuleContract"]
