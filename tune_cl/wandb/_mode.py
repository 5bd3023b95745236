"""Which W&B mode a search runs in, and why."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tune_cl.commands import sync_command
from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import SearchFolder
from tune_cl.tracking import in_one_line
from tune_cl.wandb._sdk import check_place, quiet_wandb

WandbMode = Literal["online", "offline", "disabled"]

# Older words that W&B still accepts in WANDB_MODE.
_ALIASES = {"run": "online", "dryrun": "offline", "shared": "online"}

# What other libraries take for yes in WANDB_DISABLED.
_YES = ("1", "on", "yes", "true")


@dataclass(frozen=True)
class ResolvedMode:
    """A mode and, in a few words, where it comes from."""

    mode: WandbMode
    why: str

    def describe(self, folder: SearchFolder, runs: Path | None = None) -> str:
        """One line for a person: the mode, and where the runs lie (None: where those of a search's trials do)."""
        local = runs or folder.wandb
        if self.mode == "disabled":
            return f"W&B: off ({self.why})"
        if self.mode == "online":
            return f"W&B: online ({self.why}), local copies in {local}"
        return f"W&B: {self.why}, runs are kept offline in {local}; upload with `{sync_command(folder)}`"


def project_name(asked: str | None) -> str:
    """The W&B project: what was asked for, else WANDB_PROJECT, else tune_cl."""
    return asked or os.environ.get("WANDB_PROJECT") or "tune_cl"


def entity_name(asked: str | None) -> str | None:
    """The W&B user or team: what was asked for, else WANDB_ENTITY, else None: the account's default."""
    return asked or os.environ.get("WANDB_ENTITY") or None


def prepared(asked: str | None, project: str | None, entity: str | None) -> ResolvedMode:
    """Choose the mode, and find now what W&B would complain of when something is trained.

    Raises:
        TuneCLError: an unknown mode, 'online' without credentials, a name that W&B does not take for a project or an
            entity, or W&B does not start.
    """
    mode = resolve_mode(asked)
    if mode.mode != "disabled":
        check_place(project_name(project), entity_name(entity))
        quiet_wandb()
    return mode


def resolve_mode(asked: str | None) -> ResolvedMode:
    """Choose the mode: what was asked for, else the environment's, else online where there are credentials.

    The environment says WANDB_DISABLED=true, or WANDB_MODE. Without credentials the mode is offline.

    Raises:
        TuneCLError: an unknown mode, or 'online' without credentials.
    """
    if asked is not None:
        return _checked(asked, "--wandb-mode")
    if os.environ.get("WANDB_DISABLED", "").lower() in _YES:
        return ResolvedMode("disabled", "by WANDB_DISABLED")
    if os.environ.get("WANDB_MODE"):
        return _checked(os.environ["WANDB_MODE"], "WANDB_MODE")
    if credentials_found():
        return ResolvedMode("online", "credentials found")
    return ResolvedMode("offline", "no credentials found")


def credentials_found() -> bool:
    """Say whether W&B has credentials: in the environment, or saved by `wandb login`. Nothing is sent.

    Raises:
        TuneCLError: W&B does not take them for such, or does not start.
    """
    if os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    wandb = quiet_wandb()
    try:
        return bool(wandb.login(prompt=False, verify=False)) or bool(os.environ.get("WANDB_API_KEY"))
    except Exception as error:  # W&B raises many kinds
        raise TuneCLError(
            f"W&B does not take its credentials ({in_one_line(error)}); correct them, or choose --wandb-mode offline"
        ) from None


def _checked(asked: str, where: str) -> ResolvedMode:
    word = _ALIASES.get(asked, asked)
    if word == "online":
        if not credentials_found():
            raise TuneCLError(
                f"{where} {asked}: no W&B credentials found; run `wandb login`, set WANDB_API_KEY, or choose 'offline'"
            )
        return ResolvedMode("online", f"by {where}")
    if word == "offline":
        return ResolvedMode("offline", f"offline by {where}")
    if word == "disabled":
        return ResolvedMode("disabled", f"by {where}")
    modes = get_args(WandbMode)
    raise TuneCLError(f"{where} {asked!r}: not one of {', '.join(modes)}{near_matches(asked, modes)}")
