"""Trials that no search ran, in the folder of a search: `evaluate`, `compare`, `open_result` and `load` read it."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from typing import Any

import optuna

from tune_cl.api.call import in_python, takes
from tune_cl.api.chains import Chains
from tune_cl.api.continued import continued
from tune_cl.api.provenance import provenance
from tune_cl.chain import Increment, planned_keys
from tune_cl.engine import (
    Conductor,
    TrialRecording,
    describe_failure,
    distribution_of,
    ran_out_of_memory,
    run_config,
    save_winner,
)
from tune_cl.errors import TuneCLError, shown
from tune_cl.methods import Diverged, flatten, get_method, leaves
from tune_cl.metrics import default_direction
from tune_cl.options import RecordOptions, SearchOptions
from tune_cl.records import (
    Failure,
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    exclusive_lock,
    given_folder,
    nothing_left,
    record_of,
    write_json,
)
from tune_cl.streams import shape_of
from tune_cl.study import (
    SearchSpace,
    Study,
    StudySettings,
    check_objective,
    check_option,
    check_value,
    find_leaf,
    space_around,
    written_range,
)

_OWN = "recorded"  # in place of a sampler and a stopping rule
_NOT_RUN = "it was not run; `recorder.run({})` runs the default"


class Recorder:
    """Writes the trials of a loop of one's own; made by `record`.

    Trials are named by their parameters: path -> value, what differs from the default. The same parameters are the same
    trial, so that a loop that was interrupted may run again; `{}` is the default, trial 0. May be used from several
    threads, such as those of Optuna's `n_jobs`.
    """

    def __init__(self, chains: Chains, space: SearchSpace, record: SearchRecord, study: Study, folder: SearchFolder):
        """Use `record`."""
        self._chains, self._space, self._record, self._study, self._folder = chains, space, record, study, folder
        self._conductor = Conductor(study, space, record, folder)
        self._conductor.begin()

    def run(
        self, parameters: Mapping[str, Any], on_increment: Callable[[IncrementRow], object] | None = None
    ) -> list[IncrementRow]:
        """Train a configuration in this process, as `run_chain` does, and record its rows as they come.

        Args:
            parameters: path -> value.
            on_increment: called with each row. If it raises `optuna.TrialPruned`, the trial is recorded as stopped.

        Returns:
            The rows of increments 0 to the horizon.

        Raises:
            TuneCLError: a parameter is unknown, out of bounds or not among the ranges.
        """
        number = self._number(parameters)
        config = run_config(self._record, self._space.configuration(self._sample(parameters)))

        def take(increment: Increment) -> None:
            self._take(number, increment.row, increment)
            if on_increment is not None:
                on_increment(increment.row)

        try:
            return self._chains.run(config, take)
        except optuna.TrialPruned:
            self.end(parameters)
            raise
        except Exception as error:
            if isinstance(error, Diverged) or ran_out_of_memory(error):  # else the same call resumes it
                self.end(parameters, describe_failure(error, alone=True))
            raise

    def add(
        self, parameters: Mapping[str, Any], rows: Iterable[IncrementRow | str], *, failure: str | None = None
    ) -> int:
        """Record a trial that was run elsewhere: `report` each row, then `end`; returns its number in the folder."""
        for row in rows:
            self.report(parameters, row)
        return self.end(parameters, failure)

    def report(self, parameters: Mapping[str, Any], row: IncrementRow | str) -> int:
        """Record a row; that of the last increment ends its trial.

        Args:
            parameters: path -> value.
            row: from `run_chain`, or as JSON text: `result["row"]` of a Ray trial of `trainable`.

        Returns:
            The trial's number in the folder.

        Raises:
            TuneCLError: a parameter is not in order; or the row was measured by another configuration, on other data
                (test data among them) or by another version of PyTorch, or one before it is missing.
        """
        row = _row(row)
        config = run_config(self._record, self._space.configuration(self._sample(parameters)))
        known = set(planned_keys(config, self._chains.stream))
        if not {(row.increment, use.phase, use.key) for use in row.stages} <= known:
            raise TuneCLError(
                f"row of increment {row.increment}: its stages are not those of {dict(parameters) or 'the default'}; "
                "it is of another configuration, of other data, or from another version of PyTorch"
            )
        number = self._number(parameters)
        expected = self._conductor.next_increment(number)
        if row.increment > expected:
            raise TuneCLError(f"row of increment {row.increment}: report that of increment {expected} first")
        self._take(number, row)
        return number

    def end(self, parameters: Mapping[str, Any], failure: str | None = None) -> int:
        """Record that a trial has ended before the last increment: stopped, or failed where there is a reason.

        Returns:
            The trial's number in the folder.
        """
        number = self._number(parameters)
        if number in self._conductor.in_flight:
            reported = self._conductor.next_increment(number)
            if failure is None and reported:
                self._conductor.stop(number, "stopped by the loop that ran it")
            else:
                reason = failure or "it ended before it reported anything"
                self._conductor.on_failure(number, Failure(reason=reason, increment=reported))
        return number

    def ray_callback(self) -> Any:
        """What records the trials of a `tune.Tuner` over `trainable`: `tune.RunConfig(callbacks=[...])`."""
        return TrialRecording(self.report, self.end)

    def close(self) -> None:
        """Write summary, best configuration and the winner's weights; the end of the `with` block does."""
        if not self._study.n_started():
            return
        if not self._folder.trial(0).config.exists():  # another was the first
            self.end({}, _NOT_RUN)
        write_json(self._folder.search, self._record.model_copy(update={"trials": self._study.n_started()}))
        best = self._conductor.conclude().best
        if best is not None:
            save_winner(self._folder, best.trial, self._chains.stream, self._chains.stages)

    def _take(self, number: int, row: IncrementRow, increment: Increment | None = None) -> None:
        if row.increment >= self._conductor.next_increment(number):
            preview = increment.preview if increment is not None else None
            row = row.model_copy(update={"trial": number})
            self._conductor.on_increment(row, None if preview is None else preview.numpy())

    def _number(self, parameters: Mapping[str, Any]) -> int:
        """The trial of some parameters that runs here or has finished, else one that begins."""
        sample = self._sample(parameters)
        with self._conductor.lock:
            for view in self._study.trials():
                if view.parameters == sample and (view.state == "finished" or view.number in self._conductor.in_flight):
                    return view.number
            return self._conductor.begin_trial(sample)

    def _sample(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        known, space, values = leaves(self._space.config), self._space, {}
        for path, given in parameters.items():
            values[path] = value = check_value(find_leaf(known, path, path), given, path)
            range_ = space.ranges.get(path)
            if range_ is None and value != space.default[path]:
                raise TuneCLError(
                    f"{path}: is {space.default[path]} in all trials, not {value}; give it one of `ranges`"
                )
            if range_ is not None and not range_.contains(value):
                raise TuneCLError(f"{path}: {value} lies outside of its range ({range_}); widen that of `ranges`")
        sample = space.sample_of(values)
        complaint = space.complaint(sample)
        if complaint is not None:
            raise TuneCLError(f"parameters: {complaint}")
        return sample


@takes(RecordOptions)
def record(options: RecordOptions) -> AbstractContextManager[Recorder]:
    """Record the trials of one's own Tuner or Optuna study as a search writes its own.

    `evaluate`, `compare`, `open_result` and `load` take the folder. The best trial is that of the best objective at the
    last increment, on validation data; rows of test data are refused. The same call again adds trials to those there.

    Raises:
        TuneCLError: something is not in order, or the folder holds another search.

    Example:
        >>> ranges = {"increment.classifier.learning_rate": tune.loguniform(2e-4, 1e-2)}
        >>> with tune_cl.record("results/mine", run, ranges) as recorder:
        ...     tuner = tune.Tuner(
        ...         tune_cl.trainable(run),
        ...         param_space=ranges,
        ...         run_config=tune.RunConfig(callbacks=[recorder.ray_callback()]),
        ...     )
        ...     tuner.fit()
        >>> tune_cl.evaluate("results/mine")
    """
    config, chains = Chains.of(options.run, options)
    return recording(options.folder, config, chains, options.ranges or {}, options.objective)


@contextmanager
def recording(
    folder: str | os.PathLike[str],
    run: RunConfig,
    chains: Chains,
    ranges: Mapping[str, Any],
    objective: str = RecordOptions.objective,
) -> Iterator[Recorder]:
    """The same, with the configuration and its data read already."""
    place = SearchFolder(given_folder(folder, "folder"))
    if place.path.absolute() == chains.stages.absolute():
        raise TuneCLError(f"folder {place.path}: the folder of stages; name another")
    method, values = get_method(run.method), flatten(run.parameters)
    space = space_around(method.config, values, {p: _written(raw, p) for p, raw in ranges.items()}, "ranges")
    objective = check_option("objective", objective, "objective")
    check_objective(objective, method, method.nearest_mean(method.config.model_validate(run.parameters)), "objective")
    whole = run.horizon == shape_of(run.stream).increments
    with in_python(SearchOptions), nothing_left(place.path), exclusive_lock(place):
        record = continued(
            place,
            SearchRecord(
                name=place.path.name,
                stream=run.stream,
                scale="as configured",
                budget=run.budget,
                protocol="stream" if whole else f"first_{run.horizon}",
                horizon=run.horizon,
                objective=objective,
                direction=default_direction(objective),
                seeds=SearchSeeds(order=run.stream.order_seed, split=run.stream.split_seed, train=run.train_seed),
                sampler=_OWN,
                scheduler=_OWN,
                **asdict(run.numerics),
                trials=1,
                **provenance(method, space, chains.stream, chains.plugins),
            ),
        )
        settings = replace(StudySettings.of(record), sampler="random", stopping="none")  # neither is asked
        study = Study.open(place.study, record.name, space, settings, place)
        write_json(place.search, record)
        study.bind(place, record.study or "")
        recorder = Recorder(chains, space, record, study, place)
        try:
            yield recorder
        finally:
            recorder.close()


def _row(given: IncrementRow | str) -> IncrementRow:
    if isinstance(given, IncrementRow):
        return given
    try:
        content = json.loads(given)
    except (TypeError, ValueError):
        raise TuneCLError(f"row {shown(given)}: neither a row of `run_chain` nor the JSON text of one") from None
    return record_of(content, "row", IncrementRow)


def _written(raw: Any, path: str) -> Any:
    """A range as a space file has it."""
    try:
        found = distribution_of(raw)
    except ValueError as error:
        raise TuneCLError(f"ranges: {path}: {error}") from None
    return written_range(found) if isinstance(found, optuna.distributions.BaseDistribution) else raw
