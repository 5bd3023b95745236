"""What a study keeps beside Optuna's own fields: the names of its attributes."""

DEFINITION = "tune_cl:definition"  # of a study: what must not change
PLANNED = "tune_cl:planned_trials"  # of a study: how many trials it was begun with
IDLE = "tune_cl:idle_seconds"  # of a study: how long slots have waited for a base
DECISION = "tune_cl:decision:{}"  # of a trial: what was decided at an increment
REASON = "reason"  # of a trial: why it failed
