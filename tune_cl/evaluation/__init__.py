"""Evaluation: the chosen configuration, retrained on held-out class orders and seeds, and read on test data.

The only room that may import `tune_cl.heldout`.
"""

from tune_cl.evaluation._conductor import EvaluationConductor
from tune_cl.evaluation._examination import TestExaminer, check_test_images
from tune_cl.evaluation._plan import EvaluationPlan, EvaluationRun, Order, class_orders, plan_evaluation
from tune_cl.evaluation._readings import Readings, readings_of
from tune_cl.evaluation._report import LOST, report
from tune_cl.evaluation._summary import summarise
from tune_cl.evaluation._view import EvaluationView

__all__ = [
    "LOST",
    "EvaluationConductor",
    "EvaluationPlan",
    "EvaluationRun",
    "EvaluationView",
    "Order",
    "Readings",
    "TestExaminer",
    "check_test_images",
    "class_orders",
    "plan_evaluation",
    "readings_of",
    "report",
    "summarise",
]
