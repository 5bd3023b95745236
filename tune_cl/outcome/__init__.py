"""What a result says besides its value: what never training again would give, and what is to be doubted."""

from tune_cl.outcome._cautions import cautions, edges
from tune_cl.outcome._never_again import (
    Achieved,
    accuracies_never_trained_again,
    achieved,
    never_trained_again,
)

__all__ = [
    "Achieved",
    "accuracies_never_trained_again",
    "achieved",
    "cautions",
    "edges",
    "never_trained_again",
]
