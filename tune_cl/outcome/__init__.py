"""What a result says besides its value: what never training again would give, and what is to be doubted."""

from tune_cl.outcome._cautions import cautions, edges
from tune_cl.outcome._never_again import (
    Achieved,
    accuracies_never_trained_again,
    achieved,
    never_trained_again,
)
from tune_cl.outcome._noise import CLEAR, gain_error, sampling_error

__all__ = [
    "CLEAR",
    "Achieved",
    "accuracies_never_trained_again",
    "achieved",
    "cautions",
    "edges",
    "gain_error",
    "never_trained_again",
    "sampling_error",
]
