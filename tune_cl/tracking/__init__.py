"""What a person sees of a search, live and in W&B; fed by records and events alone."""

from tune_cl.tracking._commands import SUBMITTED, data_options, evaluate_command, program
from tune_cl.tracking._console import ConsoleTracker
from tune_cl.tracking._events import (
    Event,
    IncrementReported,
    PhaseProgress,
    SearchEnded,
    SearchStarted,
    SlotDeferred,
    Tracker,
    TrialEnded,
    TrialStarted,
)
from tune_cl.tracking._format import (
    count_text,
    duration_text,
    gain_text,
    never_trained_again_text,
    plain_table,
    replay_text,
    setting_text,
    trial_counts_text,
    trials_text,
    value_text,
)
from tune_cl.tracking._trackers import Trackers
from tune_cl.tracking._wandb import WandbTracker
from tune_cl.tracking._wandb_comparison import (
    ComparisonRun,
    UnfinishedUpload,
    check_wandb,
    publish_comparison,
)
from tune_cl.tracking._wandb_evaluation import WandbEvaluation
from tune_cl.tracking._wandb_read import WANDB_SCHEME, RemoteRow, RemoteSearch, RemoteTrial, read_wandb_search
from tune_cl.tracking._wandb_sync import Upload, plan_upload, upload

__all__ = [
    "SUBMITTED",
    "WANDB_SCHEME",
    "ComparisonRun",
    "ConsoleTracker",
    "Event",
    "IncrementReported",
    "PhaseProgress",
    "RemoteRow",
    "RemoteSearch",
    "RemoteTrial",
    "SearchEnded",
    "SearchStarted",
    "SlotDeferred",
    "Tracker",
    "Trackers",
    "TrialEnded",
    "TrialStarted",
    "UnfinishedUpload",
    "Upload",
    "WandbEvaluation",
    "WandbTracker",
    "check_wandb",
    "count_text",
    "data_options",
    "duration_text",
    "evaluate_command",
    "gain_text",
    "never_trained_again_text",
    "plain_table",
    "plan_upload",
    "program",
    "publish_comparison",
    "read_wandb_search",
    "replay_text",
    "setting_text",
    "trial_counts_text",
    "trials_text",
    "upload",
    "value_text",
]
