"""Ray: the Trainable, thin adapters of Searcher and Scheduler, running a search."""

from tune_cl.engine._adapters import StudyScheduler, StudySearcher, TrialRecording, distribution_of
from tune_cl.engine._backbone import named_in, with_backbone
from tune_cl.engine._budget import StageBudget
from tune_cl.engine._cluster import Resources, cluster, joined, local_resources, share_out
from tune_cl.engine._conductor import Conductor, run_config, write_grid
from tune_cl.engine._configure import fitting_scale, override
from tune_cl.engine._driver import Driver, Ending, InFlight
from tune_cl.engine._failures import DISK_SECONDS, describe_failure, ran_out_of_memory
from tune_cl.engine._finalists import FinalistsConductor
from tune_cl.engine._job_package import pack
from tune_cl.engine._run import check_writable, run_search
from tune_cl.engine._runs import RunsConductor, RunWatcher
from tune_cl.engine._storage_probe import check_seen, check_shared
from tune_cl.engine._submission import DEFAULT_SERVER, Job, JobServer
from tune_cl.engine._summary import finals_of
from tune_cl.engine._trainable import ChainTrainable, Examiner, result_of
from tune_cl.engine._winner import load_weights, save_weights, save_winner

__all__ = [
    "DEFAULT_SERVER",
    "DISK_SECONDS",
    "ChainTrainable",
    "Conductor",
    "Driver",
    "Ending",
    "Examiner",
    "FinalistsConductor",
    "InFlight",
    "Job",
    "JobServer",
    "Resources",
    "RunWatcher",
    "RunsConductor",
    "StageBudget",
    "StudyScheduler",
    "StudySearcher",
    "TrialRecording",
    "check_seen",
    "check_shared",
    "check_writable",
    "cluster",
    "describe_failure",
    "distribution_of",
    "finals_of",
    "fitting_scale",
    "joined",
    "load_weights",
    "local_resources",
    "named_in",
    "override",
    "pack",
    "ran_out_of_memory",
    "result_of",
    "run_config",
    "run_search",
    "save_weights",
    "save_winner",
    "share_out",
    "with_backbone",
    "write_grid",
]
