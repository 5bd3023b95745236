"""Which W&B mode a search runs in, and why."""

import os
import shlex
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import SearchFolder

WandbMode = Literal["online", "offline", "disabled"]

# Older words that W&B still accepts in WANDB_MODE.
_ALIASES = {"run": "online", "dryrun": "offline", "shared": "online"}


@dataclass(frozen=True)
class ResolvedMode:
    """A mode and, in a few words, where it comes from."""

    mode: WandbMode
    why: str

    def describe(self, folder: SearchFolder) -> str:
        """One line for a person: the mode, and where the runs lie."""
        if self.mode == "disabled":
            return f"W&B: off ({self.why})"
        if self.mode == "online":
            return f"W&B: online ({self.why}), local copies in {folder.wandb}"
        return f"W&B: {self.why}, runs are kept offline in {folder.wandb}; upload with `{sync_command(folder)}`"


def sync_command(folder: SearchFolder) -> str:
    """The command that uploads everything that W&B keeps locally for a search."""
    return f"wandb sync {shlex.quote(str(folder.wandb))}/*run-*"


def resolve_mode(asked: str | None) -> ResolvedMode:
    """Choose the mode: what was asked for, else WANDB_MODE, else online where there are credentials, else offline.

    Raises:
        TuneCLError: an unknown mode, or 'online' without credentials.
    """
    if asked is not None:
        return _checked(asked, "--wandb-mode")
    if os.environ.get("WANDB_MODE"):
        return _checked(os.environ["WANDB_MODE"], "WANDB_MODE")
    if credentials_found():
        return ResolvedMode("online", "credentials found")
    return ResolvedMode("offline", "no credentials found")


def credentials_found() -> bool:
    """Say whether W&B has credentials: in the environment, or saved by `wandb login`. Nothing is sent."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return bool(quiet_wandb().login(prompt=False, verify=False))


def quiet_wandb() -> Any:
    """Import wandb without its chatter and without its error reports.

    The error reports would send stack traces away and, where the server does not answer, hold up the end of the
    process for half a minute; the variable is read when wandb starts, so it can only be set here.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True))
    return wandb


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
