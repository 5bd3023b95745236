"""Metrics, each defined once, and objectives: one metric, or arithmetic over several."""

from tune_cl.metrics._metric import (
    METRICS,
    Direction,
    Formula,
    Metric,
    Scored,
    measure,
    register_metric,
    scored_metrics,
)
from tune_cl.metrics._objective import (
    NEAREST_MEAN,
    TEST,
    VALIDATION,
    Objective,
    bare_name,
    default_direction,
    metric_of,
    objective_names,
    on_test_data,
    possible_range,
    read_out,
    with_objective,
)

__all__ = [
    "METRICS",
    "NEAREST_MEAN",
    "TEST",
    "VALIDATION",
    "Direction",
    "Formula",
    "Metric",
    "Objective",
    "Scored",
    "bare_name",
    "default_direction",
    "measure",
    "metric_of",
    "objective_names",
    "on_test_data",
    "possible_range",
    "read_out",
    "register_metric",
    "scored_metrics",
    "with_objective",
]
