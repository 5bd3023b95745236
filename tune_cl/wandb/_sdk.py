"""The one way to W&B's package: nothing of the environment but credentials, the server and caches reaches it.

W&B takes a setting from any variable `WANDB_<SETTING>`, and lets some of them, such as the sweep of a W&B agent, win
over what a program asks for. So every variable is withdrawn that is not listed here, before W&B reads them.
"""

import os
import re
import threading
from contextlib import suppress
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.tracking import in_one_line

# How to reach the server and as whom, and where caches lie; the last line is read by us as well.
_LEFT = {
    "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_CREDENTIALS_FILE", "WANDB_CONFIG_DIR",
    "WANDB_BASE_URL", "WANDB_APP_URL", "WANDB_INSECURE_DISABLE_SSL", "WANDB_HTTP_TIMEOUT", "WANDB_FILE_PUSHER_TIMEOUT",
    "WANDB_HTTP_PROXY", "WANDB_HTTPS_PROXY", "WANDB__PROXIES", "WANDB_X_PROXIES", "WANDB__EXTRA_HTTP_HEADERS",
    "WANDB_X_EXTRA_HTTP_HEADERS", "WANDB__SERVICE_WAIT", "WANDB_X_SERVICE_WAIT",
    "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR", "WANDB_ERROR_REPORTING", "WANDB_CORE_DEBUG",
    "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_MODE", "WANDB_DISABLED",
}  # fmt: skip
_SERVICE = "WANDB_SERVICE"  # set by W&B itself, in the process that has started its service
_NAME = re.compile(r"[^\s/\\#?%:](?:[^/\\#?%:]{0,126}[^\s/\\#?%:])?")
_TEARDOWN_SECONDS = 0.3  # for the hook to be withdrawn


def quiet_wandb() -> Any:
    """Import W&B without its chatter, its error reports, and what the environment would have it do.

    The error reports would send stack traces away and, where the server does not answer, hold up the end of the
    process for half a minute; the variable is read when wandb starts, so it can only be set here.

    Raises:
        TuneCLError: W&B does not start, for example because it does not take a variable of the environment.
    """
    for name in [name for name in os.environ if name.startswith(("WANDB_", "_WANDB_"))]:
        if name not in _LEFT and not (name == _SERVICE and _is_ours(os.environ[name])):
            del os.environ[name]
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        import wandb

        settings = wandb.Settings(silent=True, sagemaker_disable=True)
        if "WANDB_MODE" in os.environ:  # weighed by us; W&B would find no credentials in mode offline
            settings.mode = "online"
        wandb.setup(settings=settings)
    except Exception as error:  # W&B raises many kinds, of its own and of its validation
        raise TuneCLError(
            f"W&B does not start ({_complaint(error)}); correct or unset the variable, or choose --wandb-mode disabled"
        ) from None
    return wandb


def check_place(project: str, entity: str | None) -> None:
    """Check the names that a W&B server would refuse, when everything is trained.

    Raises:
        TuneCLError: the project or the entity has no such name.
    """
    for option, name in (("--wandb-project", project), ("--wandb-entity", entity)):
        if name is not None and not _NAME.fullmatch(name):
            variable = option[2:].replace("-", "_").upper()
            raise TuneCLError(
                f"{option} {name!r} (or {variable}): W&B takes 1 to 128 characters, none of them / \\ # ? % : and no "
                "space at either end"
            )


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


def _is_ours(token: str) -> bool:
    """Whether this process has started the service of a token (version-pid-…); a parent's belongs to its own runs."""
    return token.split("-")[1:2] == [str(os.getpid())]


def _complaint(error: Exception) -> str:
    """What W&B complains of: of pydantic's complaints the first, with the variable that it is about."""
    errors = getattr(error, "errors", None)
    if not callable(errors) or not (found := errors()):
        return in_one_line(error)
    first = found[0]
    name = "_".join(str(part) for part in first["loc"]).removeprefix("x_")
    return f"WANDB_{name.upper()}={first.get('input')!r}: {first['msg'].removeprefix('Value error, ')}"
