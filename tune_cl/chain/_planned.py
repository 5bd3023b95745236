"""The keys of a chain's stages before anything is trained, on any machine."""

from tune_cl.chain._configuration import settings_of
from tune_cl.chain._keys import stage_ingredients
from tune_cl.methods import get_method
from tune_cl.records import RunConfig
from tune_cl.store import stage_key
from tune_cl.streams import Stream


def planned_keys(run: RunConfig, stream: Stream) -> list[tuple[int, str, str]]:
    """(increment, phase, key) of every stage of a configuration up to its horizon.

    The same as `Chain.planned_keys`, without a chain: a driver may lack the GPU that its workers train on.

    Raises:
        TuneCLError: the configuration does not fit its method.
    """
    method = get_method(run.method)
    config = settings_of(run)
    keys: list[tuple[int, str, str]] = []
    parent: str | None = None
    for t in range(run.horizon + 1):
        for phase in method.phases(config, t, run.horizon):
            subtree = method.subtree(config, t, phase)
            parent = stage_key(
                stage_ingredients(parent, stream.identity(t), run.seed_at(t), phase, subtree, run.numerics)
            )
            keys.append((t, phase.name, parent))
    return keys
