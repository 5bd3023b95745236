"""What a study keeps beside Optuna's own fields: the names of its attributes."""

DEFINITION = "tune_cl:definition"  # of a study: what must not change
PLANNED = "tune_cl:planned_trials"  # of a study: how many trials it was begun with
FOLDER = "tune_cl:folder"  # of a study: the id that its search.json has, too, and where it was begun
IDLE = "tune_cl:idle_seconds"  # of a study: how long slots have waited for a base
DECISION = "tune_cl:decision:{}"  # of a trial: what was decided at an increment
REASON = "reason"  # of a trial: why it failed
RETRY_OF = "retry_of"  # of a trial: the number, in the search, of the failed trial that it tries again
POINTS = "tune_cl:points"  # of a study: samples to try, in order, with where they are from
EARLIER = "tune_cl:earlier_searches"  # of a study: the earlier searches, and their good configurations
POINT = "tune_cl:point"  # of a trial: which of the points it is
PROPOSER = "tune_cl:proposer"  # of a trial: which sampler proposed it
PRIOR = "prior"  # the proposer of a trial that was drawn from what was known beforehand
