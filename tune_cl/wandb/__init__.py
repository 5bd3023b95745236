"""Weights & Biases: searches, evaluations, comparisons and sweeps, live and afterwards; reading searches back."""

from tune_cl.wandb._overview import Overview, Subject, UnfinishedUpload, check_wandb, publish_comparison
from tune_cl.wandb._publish import Upload, plan_upload, upload
from tune_cl.wandb._read import WANDB_SCHEME, RemoteRow, RemoteSearch, RemoteTrial, read_wandb_search
from tune_cl.wandb._sweep_file import SweepFile, export_sweep, import_sweep
from tune_cl.wandb._tracker import WandbEvaluation, WandbTracker

__all__ = [
    "WANDB_SCHEME",
    "Overview",
    "RemoteRow",
    "RemoteSearch",
    "RemoteTrial",
    "Subject",
    "SweepFile",
    "UnfinishedUpload",
    "Upload",
    "WandbEvaluation",
    "WandbTracker",
    "check_wandb",
    "export_sweep",
    "import_sweep",
    "plan_upload",
    "publish_comparison",
    "read_wandb_search",
    "upload",
]
