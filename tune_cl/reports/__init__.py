"""What several runs or searches say together: statistics, comparison, plots, pages."""

from tune_cl.reports._budget import expected_maximum
from tune_cl.reports._compare import compare
from tune_cl.reports._console import console_parts
from tune_cl.reports._evaluated import (
    EvaluatedRun,
    evaluated_configuration,
    evaluation_cautions,
    interval_over,
    paired_difference,
    paired_over,
)
from tune_cl.reports._folder import read_search
from tune_cl.reports._live import Watch
from tune_cl.reports._models import (
    BudgetPoint,
    ComparedSearch,
    Comparison,
    Cost,
    Difference,
    ExpectedBest,
    ParameterRow,
    SearchData,
    TrialData,
)
from tune_cl.reports._page import page
from tune_cl.reports._publish import overview, publish
from tune_cl.reports._remote import read_remote
from tune_cl.reports._search_page import search_page
from tune_cl.reports._search_view import SearchView, search_view
from tune_cl.reports._statistics import statistic, within_noise

__all__ = [
    "BudgetPoint",
    "ComparedSearch",
    "Comparison",
    "Cost",
    "Difference",
    "EvaluatedRun",
    "ExpectedBest",
    "ParameterRow",
    "SearchData",
    "SearchView",
    "TrialData",
    "Watch",
    "compare",
    "console_parts",
    "evaluated_configuration",
    "evaluation_cautions",
    "expected_maximum",
    "interval_over",
    "overview",
    "page",
    "paired_difference",
    "paired_over",
    "publish",
    "read_remote",
    "read_search",
    "search_page",
    "search_view",
    "statistic",
    "within_noise",
]
