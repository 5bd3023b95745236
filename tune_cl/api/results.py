"""What searches and evaluations found, read from their folders."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tune_cl.api.call import in_python
from tune_cl.api.named_search import named_search
from tune_cl.api.pages import save_report, write_page
from tune_cl.errors import TuneCLError
from tune_cl.options import SearchOptions
from tune_cl.records import (
    EvaluatedConfiguration,
    EvaluationSummary,
    Finalists,
    SearchFolder,
    SearchRecord,
    Statistic,
    Summary,
    TrialState,
    given_folder,
    place_of,
    read_record,
)
from tune_cl.reports import TrialData, read_search

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        number: 0 is the default of the space.
        state: 'finished', 'stopped' early, 'failed', or 'running' (interrupted, where no search is running).
        value: the objective at the last increment that the trial reported, on validation images.
        parameters: the searched paths and their values.
        configuration: every path and its value.
        increments: metrics after increments 0, 1, …
        accuracy_matrix: R[t, 0..t]: accuracy on the classes of increment i after increment t.
        seconds: wall time of training, as if the trial had trained all of its stages.
        paid_seconds: of the stages that it trained itself; the others were shared.
        images_trained: images that went through training, as if it had trained all of its stages.
        paid_images_trained: the same, of the stages that it trained itself.
        warnings: signs that nothing was learned, with their increments.
    """

    number: int
    state: TrialState
    value: float | None
    parameters: dict[str, Any]
    configuration: dict[str, Any] = field(repr=False)
    increments: list[dict[str, float | None]] = field(repr=False)
    accuracy_matrix: list[list[float]] = field(repr=False)
    seconds: float
    paid_seconds: float
    images_trained: int
    paid_images_trained: int
    warnings: list[str] = field(repr=False)

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metrics at the last increment that the trial reported; empty before the first."""
        return self.increments[-1] if self.increments else {}


@dataclass(frozen=True, repr=False)
class SearchResult:
    """What a search found. A path itself: give it wherever the folder of a search is taken.

    Attributes:
        folder: of the search, `results/<name>`.
        record: its definition.
        trials: all trials, in order of their numbers.
        summary: how it ended; None while it runs for the first time.
    """

    folder: Path
    record: SearchRecord
    trials: list[TrialResult]
    summary: Summary | None
    _best: int | None

    @property
    def best(self) -> TrialResult:
        """The best of the trials that came to the last increment; of finalists, the one with the best mean over seeds.

        Raises:
            TuneCLError: no trial has finished.
        """
        found = next((trial for trial in self.trials if trial.number == self._best), None)
        if found is None:
            raise TuneCLError(f"{self.folder}: no trial has finished yet, so none is the best; resume the search")
        return found

    @property
    def finalists(self) -> Finalists | None:
        """The race of the best trials over train seeds: its values, means and costs; None without `seeds`."""
        return None if self.summary is None else self.summary.finalists

    @property
    def gain(self) -> Statistic | None:
        """What the winner of that race gains over the default under fresh train seeds: `gain.mean`, `.low`, `.high`.

        None without a race, and where the default has won it.
        """
        return None if self.finalists is None else self.finalists.gain

    @property
    def default(self) -> TrialResult | None:
        """Trial 0, which has the default of the space; None where it has not begun."""
        return next((trial for trial in self.trials if trial.number == 0), None)

    def save_html(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the search as a page for a browser, complete in one file; returns its path.

        Args:
            path: the file; None: `report.html` in the search's folder, which each run of the search leaves there.

        Raises:
            TuneCLError: it cannot be written there.
        """
        with in_python(SearchOptions):
            return save_report(SearchFolder(self.folder), path, "path")

    def save_csv(self, folder: str | os.PathLike[str] | None = None) -> tuple[Path, Path]:
        """Write the tables of `to_dataframe` as `trials.csv` and `increments.csv`; returns their paths.

        Args:
            folder: where to, made if it is not there; None: the search's folder.

        Raises:
            TuneCLError: they cannot be written there.
        """
        place = self.folder if folder is None else given_folder(folder, "--csv")
        with in_python(SearchOptions):
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TuneCLError(f"{place}: cannot be made ({error.strerror}); name another folder") from None
            trials, increments = (
                write_page(self.to_dataframe(rows).to_csv(index=False), place / f"{rows}.csv", "--csv")
                for rows in ("trials", "increments")
            )
        return trials, increments

    def to_dataframe(self, rows: Literal["trials", "increments"] = "trials") -> "pandas.DataFrame":
        """The trials as a pandas table.

        Args:
            rows: 'trials': one row per trial, with state, value, the searched parameters under their paths, metrics at
                the last increment, and cost. 'increments': one row per trial and increment, with all metrics and the
                accuracy matrix: `R/<i>`, accuracy on the classes of increment i.

        Example:
            >>> result.to_dataframe("increments").pivot(index="increment", columns="trial", values="val/accuracy")
        """
        import pandas

        if rows not in ("trials", "increments"):
            raise TuneCLError(f"rows {rows!r}: write 'trials' or 'increments'")
        if rows == "trials":
            return pandas.DataFrame([_row(trial) for trial in self.trials])
        return pandas.DataFrame(
            [
                {
                    "trial": trial.number,
                    "increment": increment,
                    **metrics,
                    **{f"R/{i}": accuracy for i, accuracy in enumerate(trial.accuracy_matrix[increment])},
                }
                for trial in self.trials
                for increment, metrics in enumerate(trial.increments)
            ]
        )

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        told = "none finished"
        if self._best is not None:
            told = f"best {self.record.objective} {self.best.value:.4f} (trial {self._best})"
        return f"<SearchResult {self.folder}: {len(self.trials)} of {self.record.trials} trials, {told}>"


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """Numbers on test data.

    Attributes:
        folder: of the evaluation, `results/<name>/evaluation`.
        summary: everything that `evaluation/summary.json` holds.
    """

    folder: Path
    summary: EvaluationSummary

    @property
    def chosen(self) -> EvaluatedConfiguration:
        """What the search has chosen: `chosen.metrics["test/accuracy"].mean`, `.low`, `.high`, `.values`.

        Raises:
            TuneCLError: no run of it has come to its end.
        """
        found = self._of("chosen")
        if found is None:
            raise TuneCLError(f"{self.folder}: no run has come to its end yet; call evaluate again")
        return found

    @property
    def default(self) -> EvaluatedConfiguration | None:
        """The default of the space; None where it was not evaluated, or is what the search has chosen."""
        return self._of("default")

    @property
    def difference(self) -> dict[str, Statistic] | None:
        """Chosen minus default, paired by class order and seed; None without the default."""
        return self.summary.difference

    def to_dataframe(self) -> "pandas.DataFrame":
        """A pandas table, a row per run: role, trial, class order, seed, and test metrics at the last increment."""
        import pandas

        return pandas.DataFrame(
            [
                {
                    "role": configuration.role,
                    "trial": configuration.trial,
                    "class_order": place_of(run).order,
                    "train_seed": place_of(run).seed,
                    **{name: found.values[i] for name, found in configuration.metrics.items()},
                }
                for configuration in self.summary.configurations
                for i, run in enumerate(configuration.runs)
            ]
        )

    def __repr__(self) -> str:
        runs = sum(len(configuration.runs) for configuration in self.summary.configurations)
        return f"<EvaluationResult {self.folder}: {runs} runs, {len(self.summary.missing)} without a result>"

    def _of(self, role: str) -> EvaluatedConfiguration | None:
        return next((found for found in self.summary.configurations if found.role == role), None)


def open_result(path: str | os.PathLike[str], *, results: str | os.PathLike[str] = "results") -> SearchResult:
    """Read what a search has found so far, from its folder.

    Args:
        path: the folder, or the search's name below `results`.
        results: folder of searches.

    Raises:
        TuneCLError: there is no search, it has no trial yet, or a file of it is damaged.

    Example:
        >>> tune_cl.open_result("results/genifer-fashion-b4-t3-quick").best.parameters
    """
    with in_python(SearchOptions):
        folder = named_search(path, given_folder(results, "--results"))
        data = read_search(folder)
        record = read_record(folder.search, SearchRecord)
        summary = read_record(folder.summary, Summary) if folder.summary.exists() else None
    trials = [_trial(trial, data.searched) for trial in data.trials]
    return SearchResult(folder.path, record, trials, summary, None if data.best is None else data.best.trial)


def open_evaluation(folder: SearchFolder) -> EvaluationResult:
    """Read what evaluations of a search have found."""
    return EvaluationResult(folder.evaluation.path, read_record(folder.evaluation.summary, EvaluationSummary))


def _trial(trial: TrialData, searched: list[str]) -> TrialResult:
    return TrialResult(
        number=trial.trial,
        state=trial.state,
        value=trial.value,
        parameters={path: trial.parameters.get(path) for path in searched},
        configuration=trial.parameters,
        increments=trial.by_increment,
        accuracy_matrix=trial.accuracy_matrix,
        seconds=trial.alone.seconds,
        paid_seconds=trial.paid.seconds,
        images_trained=int(trial.alone.images_trained),
        paid_images_trained=int(trial.paid.images_trained),
        warnings=trial.warnings,
    )


def _row(trial: TrialResult) -> dict[str, Any]:
    costs = ("seconds", "paid_seconds", "images_trained", "paid_images_trained")
    return {
        "trial": trial.number,
        "state": trial.state,
        "value": trial.value,
        "increments": len(trial.increments),
        **trial.parameters,
        **{name: value for name, value in trial.metrics.items() if name.startswith("val/")},
        **{name: getattr(trial, name) for name in costs},
    }
