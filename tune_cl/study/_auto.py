"""The sampler that chooses among samplers by how much a search knows."""

from typing import ClassVar

from optuna.samplers import BaseSampler
from pydantic import Field

from tune_cl.study._sampler import Gp, Random, Sampler, SamplerContext, Tpe


class Auto(Sampler):
    """Random at first, TPE while few trials have reported, a Gaussian process from `gp` to `most` of them, then TPE.

    A Gaussian process needs about a dozen trials to beat TPE, and its cost grows with the cube of their number.
    """

    name: ClassVar[str] = "auto"
    startup: int | None = Field(None, ge=1, le=1_000_000)  # None: a third of the search, 2 to 10
    gp: int = Field(12, ge=1, le=1_000_000)  # finished and stopped trials from which the Gaussian process proposes
    most: int = Field(300, ge=1, le=1_000_000)  # so many of them, and TPE proposes again

    def proposer(self, context: SamplerContext) -> Sampler:
        """Which one proposes."""
        if context.reported < min(context.startup, self.gp):
            return Random()
        if self.gp <= context.reported < self.most:
            return Gp(startup=1)
        return Tpe(startup=1)

    def make(self, context: SamplerContext) -> BaseSampler:
        """That one's."""
        return self.proposer(context).make(context)
