"""A metric: accuracy on the classes of the increment that is recognised worst.

tune-cl search --space finetune --plugin examples/plugins/worst_increment.py --objective val/accuracy_worst
"""

from tune_cl.metrics import Metric, Scored


def worst(scored: Scored) -> float:
    """The least of R[t, 0] ... R[t, t]."""
    return min(scored.rows[-1])


METRIC = Metric("accuracy_worst", worst, "accuracy on the worst increment's classes", short="worst")
