"""Searches replayed from recorded curves and costs, through the real study and adapters, in seconds.

Also the records that it reads: what the trials of a real search measured and cost.
"""

from simulator._recording import NearestTrial, record_search, recorded_space
from simulator._records import RecordedIncrement, RecordedStage, RecordedTrial, Recording
from simulator._simulated import SimulatedSearch, SimulatedTrial
from simulator._simulator import Cost, Simulation, simulate

__all__ = [
    "Cost",
    "NearestTrial",
    "RecordedIncrement",
    "RecordedStage",
    "RecordedTrial",
    "Recording",
    "SimulatedSearch",
    "SimulatedTrial",
    "Simulation",
    "record_search",
    "recorded_space",
    "simulate",
]
