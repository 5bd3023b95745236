"""A stopping rule: stops trials that fall below a score.

tune-cl search --space finetune --plugin examples/plugins/floor.py --scheduler 'floor(least=0.3)'
"""

from tune_cl.study import Report, StoppingRule


class Floor(StoppingRule):
    """Stops a trial whose score is below `least` after an increment, the base task apart."""

    name = "floor"
    least: float = 0.25

    def stops(self, report: Report) -> bool:
        """Below the floor now."""
        return report.increment > 0 and report.score < self.least


STOPPING_RULE = Floor
