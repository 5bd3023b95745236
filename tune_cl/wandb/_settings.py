"""How every W&B run is opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_INIT_SECONDS = 30.0  # for the server to answer when a run starts
_FINISH_SECONDS = 15.0  # for the upload of what is left when a run ends
_FLUSH_SECONDS = 1.0  # W&B keeps rows in memory for so long before it writes them to disk (its default: 15)


def open_run(
    wandb: Any,
    mode: str,
    local: Path,
    *,
    tags: Sequence[str] = (),
    sweep_id: str | None = None,
    finish_seconds: float | None = None,
    **about: Any,
) -> Any:
    """Open a run, or open it again; every call of what is returned may block or raise, and so may this one.

    Args:
        wandb: the module, from `quiet_wandb`.
        mode: 'online' or 'offline'.
        local: W&B's folder for local files, named 'wandb'.
        tags: of the run.
        sweep_id: the sweep that it belongs to.
        finish_seconds: for the upload of what is left when the run ends; None for a short time.
        about: id, project, entity, job_type, name, config, group.
    """
    local.mkdir(parents=True, exist_ok=True)
    settings = _run_settings(wandb)
    if finish_seconds is not None:
        settings["finish_timeout"] = finish_seconds
    return wandb.init(
        **about,
        mode=mode,
        tags=list(tags),
        resume="allow",
        reinit="create_new",
        dir=str(local.parent),  # W&B appends 'wandb'
        settings=wandb.Settings(**settings, sweep_id=sweep_id),
    )


def _run_settings(wandb: Any) -> dict[str, Any]:
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
