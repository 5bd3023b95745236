"""Test data. Only `tune_cl.evaluation` may import this room; an import linter sees to it."""

from tune_cl.heldout._folder import check_folder
from tune_cl.heldout._test_sets import TestSet, open_test_set

__all__ = ["TestSet", "check_folder", "open_test_set"]
