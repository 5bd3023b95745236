"""Every stopping rule of the package under the contract of stopping rules."""

from tune_cl.testing import StoppingRuleContract


class TestHalving(StoppingRuleContract):
    rule = "halving"


class TestHyperband(StoppingRuleContract):
    rule = "hyperband(factor=3)"


class TestMedian(StoppingRuleContract):
    rule = "median(startup=2)"


class TestPatience(StoppingRuleContract):
    rule = "patience(increments=1, startup=2)"


class TestNone(StoppingRuleContract):
    rule = "none"
