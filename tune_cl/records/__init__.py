"""What is on disk: typed records, their files and their folders."""

from tune_cl.records._files import (
    append_line,
    describe_validation,
    read_lines,
    read_record,
    read_yaml,
    write_atomically,
    write_json,
    write_yaml,
)
from tune_cl.records._folders import SearchFolder, TrialFolder, search_folder
from tune_cl.records._models import (
    SCHEMA_VERSION,
    BestSummary,
    IncrementRow,
    Record,
    RunConfig,
    SearchRecord,
    SearchSeeds,
    StageUse,
    StreamRecord,
    Summary,
    TrialState,
    TrialSummary,
)

__all__ = [
    "SCHEMA_VERSION",
    "BestSummary",
    "IncrementRow",
    "Record",
    "RunConfig",
    "SearchFolder",
    "SearchRecord",
    "SearchSeeds",
    "StageUse",
    "StreamRecord",
    "Summary",
    "TrialFolder",
    "TrialState",
    "TrialSummary",
    "append_line",
    "describe_validation",
    "read_lines",
    "read_record",
    "read_yaml",
    "search_folder",
    "write_atomically",
    "write_json",
    "write_yaml",
]
