"""Thin adapters from Ray Tune's Searcher, Scheduler and Callback to the conductor."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.sample import Domain

from tune_cl.engine._driver import Driver
from tune_cl.engine._failures import describe_failure
from tune_cl.errors import TuneCLError
from tune_cl.records import Failure, IncrementRow
from tune_cl.study import Deferred

_STOP: str = TrialScheduler.STOP
_CONTINUE: str = TrialScheduler.CONTINUE
_FINISHED: str = Searcher.FINISHED


@contextmanager
def _remembered(conductor: Driver) -> Iterator[None]:
    """Keep an exception for who started the search: Ray turns it into text."""
    try:
        yield
    except Exception as error:
        conductor.trouble = conductor.trouble or error
        raise


class _NeverRestored:
    """Ray pickles its searcher, scheduler and callbacks into snapshots; the study is the memory, so they are empty."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudySearcher(_NeverRestored, Searcher):
    """Hands the study's proposals to Ray; results reach the study through the scheduler, which sees every row."""

    def __init__(self, conductor: Driver) -> None:
        super().__init__(metric="increment", mode="max")
        self._conductor = conductor

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's configuration, or FINISHED; None while it has to wait for a base: Ray asks again soon."""
        with _remembered(self._conductor):
            trial = self._conductor.next_trial()
        if isinstance(trial, Deferred):
            return None
        if trial is None:
            return _FINISHED
        number, run = trial
        return {"trial": number, "run": run.model_dump_json()}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing is left to do here: the study was told with the trial's last row, or by the callback."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is the memory."""


class StudyScheduler(_NeverRestored, FIFOScheduler):
    """Stops a trial where the study says so; the end is decided here, because Ray hides a last row elsewhere."""

    def __init__(self, conductor: Driver, horizon: int, on_examined: Callable[[int, str], None] | None = None) -> None:
        """Take over a search, or an evaluation: there a trial ends with its examination, a step after the horizon."""
        super().__init__()
        self._conductor, self._horizon, self._on_examined = conductor, horizon, on_examined

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass a row on and turn the study's decision into Ray's."""
        with _remembered(self._conductor):
            return self._take(trial, result)

    def _take(self, trial: Any, result: dict[str, Any]) -> str:
        number = trial.config["trial"]
        if self._on_examined and "examined" in result:
            self._on_examined(number, result["examined"])
            return _STOP
        if "failure" in result:
            self._conductor.on_failure(number, Failure.model_validate_json(result["failure"]))
            return _STOP
        row = IncrementRow.model_validate_json(result["row"])
        decision = self._conductor.on_increment(row, result.get("preview"))
        at_the_end = row.increment == self._horizon and self._on_examined is None
        ended = decision != "continue" or at_the_end
        return _STOP if ended else _CONTINUE


class TrialRecording(_NeverRestored, Callback):
    """Hands on what the trials of somebody's own Tuner report, and how they end, by their configurations."""

    def __init__(self, report: Callable[[Any, str], object], end: Callable[[Any, str | None], object]) -> None:
        """Have `report` called with each row, `end` with the reason of a failure or None."""
        self._report, self._end = report, end

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """A row."""
        if "row" not in result:
            raise TuneCLError(f"trial {trial.trial_id}: reports no row; trials of `tune_cl.trainable` can be recorded")
        self._report(trial.config, result["row"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """At the horizon, or stopped before."""
        self._end(trial.config, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """For the last time."""
        error = trial.get_error()
        self._end(trial.config, describe_failure(error) if error else "its worker died")


def distribution_of(domain: Any) -> Any:
    """A domain of Ray Tune's, such as `tune.loguniform(1e-4, 1e-2)`, as Optuna has it; anything else as it is."""
    return OptunaSearch.convert_search_space({"": domain})[""] if isinstance(domain, Domain) else domain


class LossOfWorkers(_NeverRestored, Callback):
    """Tells the conductor of trials whose worker died more often than Ray may start it again."""

    def __init__(self, conductor: Driver) -> None:
        self._conductor = conductor

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the failure, unless the trial has ended already."""
        number = trial.config["trial"]
        if number in self._conductor.in_flight:
            error = trial.get_error()
            reason = describe_failure(error) if error else "its worker died"
            increment = self._conductor.next_increment(number)
            self._conductor.on_failure(number, Failure(reason=reason, traceback=str(error or ""), increment=increment))
