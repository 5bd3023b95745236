"""A mean with its interval."""

from pydantic import Field

from tune_cl.records._record import Record


class Statistic(Record):
    """A metric over the runs of one configuration, or of a difference of two."""

    mean: float = Field(description="mean over the class orders of the mean over their seeds")
    std: float | None = Field(description="standard deviation of the values (n - 1); None for one value")
    low: float | None = Field(description="lower end of the 95 % interval of the mean; None where there is none")
    high: float | None = Field(description="upper end")
    values: list[float] = Field(description="every value, in the order of the runs")
