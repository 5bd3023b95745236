"""Weights & Biases: searches, evaluations, comparisons and sweeps, live and afterwards; reading searches back."""

from tune_cl.wandb._comparison import ComparisonRun, UnfinishedUpload, check_wandb, publish_comparison
from tune_cl.wandb._evaluation import WandbEvaluation
from tune_cl.wandb._read import WANDB_SCHEME, RemoteRow, RemoteSearch, RemoteTrial, read_wandb_search
from tune_cl.wandb._sync import Upload, plan_upload, upload
from tune_cl.wandb._tracker import WandbTracker

__all__ = [
    "WANDB_SCHEME",
    "ComparisonRun",
    "RemoteRow",
    "RemoteSearch",
    "RemoteTrial",
    "UnfinishedUpload",
    "Upload",
    "WandbEvaluation",
    "WandbTracker",
    "check_wandb",
    "plan_upload",
    "publish_comparison",
    "read_wandb_search",
    "upload",
]
