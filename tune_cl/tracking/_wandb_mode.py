"""Which W&B mode a search runs in, and why."""

import os
import shlex
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import SearchFolder
from tune_cl.tracking._report import python_text

WandbMode = Literal["online", "offline", "disabled"]

# Older words that W&B still accepts in WANDB_MODE.
_ALIASES = {"run": "online", "dryrun": "offline", "shared": "online"}

_TEARDOWN_SECONDS = 0.3  # for the hook to be withdrawn


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


def sync_command(folder: SearchFolder) -> str:
    """The command that uploads what W&B's server has not got of a search, in the manner in which this one was typed."""
    installed = Path(sys.argv[0]).name == "tune-cl"
    start = "tune-cl sync" if installed else f"{python_text()} launch/sync.py"
    return f"{start} {shlex.quote(str(folder.path))}"


def project_name(asked: str | None) -> str:
    """The W&B project: what was asked for, else WANDB_PROJECT, else tune_cl."""
    return asked or os.environ.get("WANDB_PROJECT") or "tune_cl"


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


def abandon_service() -> None:
    """Let go of W&B's service, which would otherwise hold up the end of the process until its uploads are through.

    `wandb.teardown` withdraws its exit hook first and waits afterwards; it waits in a thread that nobody waits for.
    """
    import wandb

    thread = threading.Thread(target=_tear_down, args=[wandb], name="wandb-teardown", daemon=True)
    thread.start()
    thread.join(_TEARDOWN_SECONDS)


def _tear_down(wandb: Any) -> None:
    with suppress(Exception, SystemExit):  # it exits with the code of a service that ended badly
        wandb.teardown()


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
