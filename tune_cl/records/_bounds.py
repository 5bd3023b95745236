"""Whole numbers of the records, within the bounds that options have."""

from typing import Annotated

from pydantic import Field

from tune_cl.options import BASE_CONFIGURATIONS, HORIZON, SEED, THREADS, TRIALS

Seed = Annotated[int, Field(ge=SEED.low, le=SEED.high)]
Threads = Annotated[int, Field(ge=THREADS.low, le=THREADS.high)]
Horizon = Annotated[int, Field(ge=HORIZON.low, le=HORIZON.high)]
Trials = Annotated[int, Field(ge=TRIALS.low, le=TRIALS.high)]
BaseConfigurations = Annotated[int, Field(ge=BASE_CONFIGURATIONS.low, le=BASE_CONFIGURATIONS.high)]
