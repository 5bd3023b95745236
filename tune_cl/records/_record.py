"""The base of everything that is written."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of everything that is written: unknown keys are refused, instances are immutable.

    Attributes:
        later: fields that came after files had been written without them, which are read with their default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    later: ClassVar[frozenset[str]] = frozenset()
