"""Ray: the Trainable, thin adapters of Searcher and Scheduler, progress, and running a search."""

from tune_cl.engine._cluster import Resources, cluster, local_resources, share_out
from tune_cl.engine._conductor import Conductor, Ending, run_config, write_grid
from tune_cl.engine._configure import configure, override
from tune_cl.engine._failures import describe_failure
from tune_cl.engine._run import held, make_folder, run_search
from tune_cl.engine._trainable import ChainTrainable, result_of
from tune_cl.engine._winner import load_weights, save_weights, save_winner

__all__ = [
    "ChainTrainable",
    "Conductor",
    "Ending",
    "Resources",
    "cluster",
    "configure",
    "describe_failure",
    "held",
    "load_weights",
    "local_resources",
    "make_folder",
    "override",
    "result_of",
    "run_config",
    "run_search",
    "save_weights",
    "save_winner",
    "share_out",
    "write_grid",
]
