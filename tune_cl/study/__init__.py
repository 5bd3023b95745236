"""Space files, samplers, early stopping and the study that remembers: ask and tell, no Ray."""

from tune_cl.study._allowed import Unreachable, unreachable_values
from tune_cl.study._definition import StudySettings
from tune_cl.study._extends import shipped_spaces, space_in_one
from tune_cl.study._file import ScaleSettings, SpaceFile, load_space
from tune_cl.study._finalists import Finals
from tune_cl.study._importance import importance
from tune_cl.study._knowledge import Knowledge, point_of, values_here
from tune_cl.study._known_samplers import SAMPLERS, find_sampler, register_sampler
from tune_cl.study._options import (
    check_objective,
    check_option,
    protocol_horizon,
)
from tune_cl.study._prefix import check_base_configurations
from tune_cl.study._ranges import Range, check_value, find_leaf
from tune_cl.study._sampler import Sampler, SamplerContext
from tune_cl.study._samplers import check_sampler, written_range
from tune_cl.study._space import SearchSpace, SpaceRow, parse_override, resolve, space_around, with_options
from tune_cl.study._stopping import (
    STOPPING_RULES,
    Decision,
    Report,
    StoppingRule,
    find_stopping_rule,
    register_stopping_rule,
)
from tune_cl.study._storage import StudyTrial, check_url, read_study
from tune_cl.study._study import Study
from tune_cl.study._trials import Deferred, Proposal, TrialView

__all__ = [
    "SAMPLERS",
    "STOPPING_RULES",
    "Decision",
    "Deferred",
    "Finals",
    "Knowledge",
    "Proposal",
    "Range",
    "Report",
    "Sampler",
    "SamplerContext",
    "ScaleSettings",
    "SearchSpace",
    "SpaceFile",
    "SpaceRow",
    "StoppingRule",
    "Study",
    "StudySettings",
    "StudyTrial",
    "TrialView",
    "Unreachable",
    "check_base_configurations",
    "check_objective",
    "check_option",
    "check_sampler",
    "check_url",
    "check_value",
    "find_leaf",
    "find_sampler",
    "find_stopping_rule",
    "importance",
    "load_space",
    "parse_override",
    "point_of",
    "protocol_horizon",
    "read_study",
    "register_sampler",
    "register_stopping_rule",
    "resolve",
    "shipped_spaces",
    "space_around",
    "space_in_one",
    "unreachable_values",
    "values_here",
    "with_options",
    "written_range",
]
