"""Student's t knows no ends of a range; what is reported keeps to them."""

import pytest
from scipy import stats

from tune_cl.reports import statistic, within_noise
from tune_cl.reports._statistics import clipped, possible_differences, possible_range


def test_an_interval_holds_nothing_that_cannot_be() -> None:
    """Two accuracies give Student's t one degree of freedom, and an interval far beyond 1."""
    assert stats.ttest_1samp([0.80, 0.94], 0).confidence_interval().high > 1.7
    low, high = (
        getattr(statistic([0.80, 0.94], "ab", possible_range("test/accuracy")), end) for end in ("low", "high")
    )
    assert (low, high) == (0.0, 1.0)
    forgetting = statistic([0.3, 0.9], "ab", possible_range("test/nme/forgetting"))
    assert (forgetting.low, forgetting.high) == (-1.0, 1.0)
    difference = statistic([0.3, 0.9], "ab", possible_differences("test/accuracy_new"))
    assert (difference.low, difference.high) == (-1.0, 1.0) and within_noise(difference)
    assert possible_differences("val/backward_transfer") == (-2.0, 2.0)
    narrow, plain = (statistic([0.50, 0.51], "ab", *of) for of in ((possible_range("test/accuracy"),), ()))
    assert narrow == plain, "what lies within is left as it is"
    assert clipped(None, None, (0.0, 1.0)) == (None, None)


@pytest.mark.parametrize("name", ["accuracy", "accuracy_old", "nme/average_incremental_accuracy_excl_base"])
def test_accuracies_lie_between_0_and_1_and_their_differences_between_minus_1_and_1(name: str) -> None:
    assert possible_range(f"test/{name}") == (0.0, 1.0)
    assert possible_differences(f"test/{name}") == (-1.0, 1.0)


def test_a_metric_that_is_not_known_has_no_ends() -> None:
    high = statistic([10.0, 400.0], "ab", possible_range("test/seconds")).high
    assert high is not None and high > 1000
