"""What training the best trials of a search again, under further train seeds, came to."""

from pydantic import Field

from tune_cl.records._record import Record
from tune_cl.records._statistic import Statistic


class Finalist(Record):
    """One configuration of the race."""

    trial: int
    values: list[float | None] = Field(
        description="the objective under each of the race's `seeds`; None where that run has failed, or has not ended"
    )
    mean: float | None = Field(description="of the values, where there are all")


class Finalists(Record):
    """The race of the best trials over train seeds: `finalists` of `summary.json`.

    All runs of a trial share its base task, trained under the search's own seed.
    """

    seeds: list[int] = Field(description="train seeds that choose among the finalists; the first is the search's own")
    fresh_seeds: list[int] = Field(description="further train seeds, of the winner and the default; none chooses")
    table: list[Finalist] = Field(description="best mean first, those without a mean last")
    winner: int | None = Field(description="the finalist with the best mean; None until every run that chooses is over")
    gain: Statistic | None = Field(
        description="what the winner is better by than the default, under the fresh seeds; its interval is Student's t "
        "with the variance between seeds pooled over the finalists. None where the default won, or without those runs"
    )
    runs: int = Field(description="that have ended, whatever has become of them")
    missing: int = Field(description="runs that have not ended, at most: if the default wins, none judges it")
    failed: dict[str, str] = Field(description="run -> why it failed")
    images_trained: int = Field(description="by these runs, beside what the trials cost")
    seconds: float = Field(description="wall time of the same")

    @property
    def within_noise(self) -> bool | None:
        """Whether the interval of the gain holds 0; None without an interval."""
        if self.gain is None or self.gain.low is None or self.gain.high is None:
            return None
        return self.gain.low <= 0 <= self.gain.high
