"""Every sampler of the package, and some of Optuna's, under the contract of samplers."""

import importlib.util

import pytest

from tune_cl.testing import SamplerContract


class TestTpe(SamplerContract):
    sampler = "tpe"


class TestRandom(SamplerContract):
    sampler = "random"


@pytest.mark.slow  # a fit for every proposal
class TestGp(SamplerContract):
    sampler = "gp"


@pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="the package cmaes is optional")
class TestCmaEs(SamplerContract):
    sampler = "cmaes(population=4)"


class TestQmc(SamplerContract):
    sampler = "qmc"


class TestNsga2(SamplerContract):
    sampler = "nsga2(population=4)"


class TestOptunasTpe(SamplerContract):
    sampler = "optuna:TPESampler(n_startup_trials=4)"


@pytest.mark.slow  # fits Gaussian processes
class TestAuto(SamplerContract):
    sampler = "auto(startup=2, gp=4)"


class TestGrid(SamplerContract):
    sampler = "grid"
