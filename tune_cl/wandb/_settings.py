"""The settings that every W&B run is opened with."""

from typing import Any

_INIT_SECONDS = 30.0  # for the server to answer when a run starts
_FINISH_SECONDS = 15.0  # for the upload of what is left when a run ends
_FLUSH_SECONDS = 1.0  # W&B keeps rows in memory for so long before it writes them to disk (its default: 15)


def run_settings(wandb: Any) -> dict[str, Any]:
    """Silent, nothing about the machine or the code, and never a wait without an end."""
    wanted = {
        "silent": True,
        "console": "off",
        "host": "",
        "symlink": False,
        "use_dot_wandb": False,
        "save_code": False,
        "disable_code": True,
        "disable_git": True,
        "disable_job_creation": True,
        "x_disable_meta": True,
        "x_disable_machine_info": True,
        "x_disable_stats": True,
        "x_disable_viewer": True,
        "x_save_requirements": False,
        "x_transaction_log_flush_interval": _FLUSH_SECONDS,
        "init_timeout": _INIT_SECONDS,
        "finish_timeout": _FINISH_SECONDS,
        "finish_timeout_raises": True,
        "stop_fn": _ignore_stop,
    }
    return {name: value for name, value in wanted.items() if name in wandb.Settings.model_fields}


def _ignore_stop() -> None:
    """W&B's stop button: its default would interrupt the driver, and with it all other trials."""
