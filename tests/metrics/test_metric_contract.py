"""Every metric of the package that has a formula, under the contract of metrics."""

from tune_cl.metrics import scored_metrics
from tune_cl.testing import MetricContract

for _metric in scored_metrics():
    _name = f"Test{_metric.name.title().replace('_', '')}"
    globals()[_name] = type(_name, (MetricContract,), {"metric": _metric.name})
