"""What is on disk: typed records, their files and their folders."""

from tune_cl.records._evaluation import EvaluatedConfiguration, EvaluationSummary, Reading, Statistic
from tune_cl.records._evaluation_place import EvaluationPlace, order_name, parse_run, place_of
from tune_cl.records._files import (
    append_line,
    describe_validation,
    read_lines,
    read_record,
    read_yaml,
    write_atomically,
    write_json,
    write_run,
    write_yaml,
)
from tune_cl.records._folders import EvaluationFolder, SearchFolder, TrialFolder, search_folder, search_id
from tune_cl.records._held import held, make_folder
from tune_cl.records._models import (
    SCHEMA_VERSION,
    BestSummary,
    Failure,
    IncrementRow,
    Record,
    RunConfig,
    SearchRecord,
    SearchSeeds,
    Sharing,
    StageUse,
    StreamRecord,
    Summary,
    TrialState,
    TrialSummary,
)
from tune_cl.records._paths import flatten
from tune_cl.records._recording import RecordedIncrement, RecordedStage, RecordedTrial, Recording
from tune_cl.records._yaml import parse_yaml

__all__ = [
    "SCHEMA_VERSION",
    "BestSummary",
    "EvaluatedConfiguration",
    "EvaluationFolder",
    "EvaluationPlace",
    "EvaluationSummary",
    "Failure",
    "IncrementRow",
    "Reading",
    "Record",
    "RecordedIncrement",
    "RecordedStage",
    "RecordedTrial",
    "Recording",
    "RunConfig",
    "SearchFolder",
    "SearchRecord",
    "SearchSeeds",
    "Sharing",
    "StageUse",
    "Statistic",
    "StreamRecord",
    "Summary",
    "TrialFolder",
    "TrialState",
    "TrialSummary",
    "append_line",
    "describe_validation",
    "flatten",
    "held",
    "make_folder",
    "order_name",
    "parse_run",
    "parse_yaml",
    "place_of",
    "read_lines",
    "read_record",
    "read_yaml",
    "search_folder",
    "search_id",
    "write_atomically",
    "write_json",
    "write_run",
    "write_yaml",
]
