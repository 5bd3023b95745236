"""The contract of data sets, on one from a plug-in, one of the package, and one that breaks it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tune_cl.heldout._shipped import SHIPPED
from tune_cl.streams import DATASETS, RawFiles, RawImages
from tune_cl.testing import DataSetContract

STRIPES = Path(__file__).parents[2] / "examples" / "plugins" / "stripes.py"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets as they were, afterwards."""
    monkeypatch.setattr(DATASETS, "_members", dict(DATASETS._members))
    monkeypatch.setattr(DATASETS, "_origins", dict(DATASETS._origins))


class TestStripes(DataSetContract):
    data_set = "stripes"
    plugins = (str(STRIPES),)


class TestFashion(DataSetContract):
    data_set = "fashion"

    def read_test(self) -> RawImages | RawFiles:
        return SHIPPED["fashion"](DATASETS["fashion"], None, True)


class _Broken(DataSetContract):
    """Its test images are training images, and its mean is that of others."""

    data_set = "fashion"

    def read_test(self) -> RawImages | RawFiles:
        return self.read_training()


def test_a_data_set_that_breaks_the_contract_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = _Broken()
    with pytest.raises(AssertionError):
        contract.test_no_image_is_trained_and_tested_on()
    fashion = DATASETS["fashion"]
    monkeypatch.setitem(
        DATASETS._members, "fashion", replace(fashion, preprocessing=replace(fashion.preprocessing, mean=(0.9,)))
    )
    with pytest.raises(AssertionError):
        contract.test_mean_and_std_are_about_those_of_its_images()
    assert np.isclose(fashion.preprocessing.mean[0], 0.286)
