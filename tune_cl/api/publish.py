"""A search and its evaluation, brought to W&B afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from tune_cl.api.call import takes
from tune_cl.api.named_search import named_search
from tune_cl.api.places import results_folder
from tune_cl.errors import TuneCLError
from tune_cl.options import SyncOptions
from tune_cl.records import exclusive_lock, lies_there
from tune_cl.reports import overview
from tune_cl.wandb import Upload, plan_upload, upload


@takes(SyncOptions)
def publish(options: SyncOptions) -> bool:
    """Bring a search and its evaluation to W&B's server: whatever it has not got of them, as `tune-cl sync` does.

    The first argument is a `SearchResult`, the folder of a search, or its name below `results`; every other option is a
    keyword. It may be repeated and interrupted at any time: what the server has is not sent again.

    Returns:
        Whether the server has everything now. Else a line was printed that says why; the same call goes on.

    Raises:
        TuneCLError: there is no such search, it is running, it has no W&B runs, or there are no credentials.

    Example:
        >>> tune_cl.publish("genifer-fashion-b4-t3-quick", wandb_project="continual", everything=True)
    """
    with planned(options) as plan:
        return plan.empty or send(plan, print)


@contextmanager
def planned(options: SyncOptions, *, only_look: bool = False) -> Iterator[Upload]:
    """Find what is to be uploaded; nothing else writes to the search meanwhile.

    Raises:
        TuneCLError: see `publish`.
    """
    folder = named_search(options.search, results_folder(options))
    if not lies_there(folder.search):
        raise TuneCLError(
            f"{options.search}: no search lies there (no search.json); name a folder below {options.results}"
        )
    evaluated = folder.evaluation.path.is_dir()
    with (
        exclusive_lock(folder),
        exclusive_lock(folder.evaluation) if evaluated else nullcontext(),
    ):  # what runs now sends its rows itself
        place = options.wandb_project, options.wandb_entity
        yield plan_upload(folder, *place, everything=options.everything, only_look=only_look)


def send(plan: Upload, report: Callable[[str], None]) -> bool:
    """Upload what was planned; returns whether the server has everything now."""
    return upload(plan, report, overview)
