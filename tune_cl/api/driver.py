"""What searches and evaluations share: machines to run on, places to write to, and how both end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cl.engine import Resources, check_writable, cluster, joined, local_resources, share_out
from tune_cl.options import Placement
from tune_cl.records import make_folder


@dataclass(frozen=True)
class Machines:
    """Where trials can run.

    Attributes:
        nodes: what each node offers.
        where: they are, for messages.
        ray: to be entered when something is to be trained: starts Ray, where it is not up.
    """

    nodes: Sequence[Mapping[str, float]]
    where: str
    ray: AbstractContextManager[Any]

    def share_out(self, options: Placement) -> Resources:
        """What a trial gets, and how many run at a time.

        Raises:
            TuneCLError: not one trial fits.
        """
        asked = (options.cpus_per_trial, options.gpus_per_trial, options.concurrency)
        return share_out(self.nodes, *asked, self.where)


@contextmanager
def machines(address: str | None) -> Iterator[Machines]:
    """The machines at an address; without one, the Ray that this process is connected to, else this machine.

    Ray is started here when all is found sound and something is left to run; one that was up before stays up.

    Raises:
        TuneCLError: there is no cluster at the address.
    """
    if address is None and joined() is None:
        yield Machines(local_resources(), "this machine", cluster(None))
        return
    with cluster(address) as nodes:
        yield Machines(nodes, "this machine" if address is None and len(nodes) == 1 else "the cluster", nullcontext())


def make_stages(stages: Path) -> None:
    """Make the folder of stages.

    Raises:
        TuneCLError: it cannot be written.
    """
    make_folder(stages, "--stages")
    check_writable(stages, "--stages")
