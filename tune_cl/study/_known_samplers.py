"""The samplers that a search may name."""

from tune_cl.errors import TuneCLError
from tune_cl.registry import Choice, Origin, Registry
from tune_cl.study._auto import Auto
from tune_cl.study._even import Grid, Qmc
from tune_cl.study._sampler import OPTUNA, CmaEs, Gp, Nsga2, OptunaSampler, Random, Sampler, Tpe

SAMPLERS: Registry[type[Sampler]] = Registry(
    "sampler", "; optuna:NAME is any sampler of Optuna, such as optuna:GPSampler"
)
for _sampler in (Auto, Tpe, Random, Gp, CmaEs, Qmc, Grid, Nsga2):
    SAMPLERS.add(_sampler.name, _sampler)
Sampler.registry = SAMPLERS


def find_sampler(text: str, where: str) -> Sampler:
    """The sampler that a text such as `gp`, `tpe(startup=4)` or `optuna:TPESampler(gamma=0.2)` names.

    Args:
        text: a name, with options in parentheses or without.
        where: what a message begins with, such as `--sampler`.

    Raises:
        TuneCLError: the sampler or an option is unknown, or the sampler cannot serve a search.
    """
    choice = Choice.parse(text, where)
    if choice.name.startswith(OPTUNA):
        return OptunaSampler.choose(
            Choice("optuna", {"kind": choice.name.removeprefix(OPTUNA), "arguments": dict(choice.options)}), where
        )
    return SAMPLERS.get(choice.name, where).choose(choice, where)


def register_sampler(sampler: type[Sampler], origin: Origin | None = None) -> None:
    """Make a sampler from outside the package known in this process.

    Raises:
        TuneCLError: its name is unfit or taken, or it has no `make`.
    """
    if sampler.make is Sampler.make:
        raise TuneCLError(f"sampler {sampler.__name__}: it defines no `make(self, context)`")
    SAMPLERS.add(getattr(sampler, "name", None), sampler, origin)
