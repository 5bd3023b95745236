"""What all compared searches have in common, in a line."""

from tune_cl.records import StreamRecord
from tune_cl.reports._models import Comparison


def class_order_text(stream: StreamRecord) -> str:
    """A class order in words: 'seed 0', 'numpy-1993', '3,1,2'."""
    if stream.class_order == "seed":
        return f"seed {stream.order_seed}"
    return stream.class_order if isinstance(stream.class_order, str) else ",".join(map(str, stream.class_order))


def setting_line(comparison: Comparison) -> str:
    """Stream, objective, protocol: what makes the numbers mean the same."""
    way = "more" if comparison.direction == "max" else "less"
    return (
        f"{comparison.stream.name}, class order {class_order_text(comparison.stream)}, split seed "
        f"{comparison.stream.split_seed}; {comparison.objective} after increment {comparison.horizon} ({way} is "
        f"better), protocol {comparison.protocol}"
    )
