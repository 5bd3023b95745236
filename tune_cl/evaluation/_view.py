"""What a person sees while an evaluation runs: a bar for each run on a terminal, else a line for each event."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tune_cl.evaluation._plan import EvaluationRun
from tune_cl.records import IncrementRow
from tune_cl.streams import shape_of
from tune_cl.tracking import PhaseProgress


class EvaluationView:
    """Shows runs as they come; a context manager, since it draws on the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "EvaluationView":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def started(self, run: EvaluationRun) -> None:
        """Show a run."""
        increments = shape_of(run.config.stream).increments + 1
        self._tasks[run.name] = self._bars.add_task(run.name, total=increments)
        if not self._console.is_terminal:
            self._console.print(f"{run.name}: start")

    def progress(self, run: EvaluationRun, progress: PhaseProgress) -> None:
        """Move a run's bar."""
        done = progress.increment + progress.step / max(1, progress.steps)
        what = f"{run.name}: increment {progress.increment}, {progress.phase}"
        self._bars.update(self._tasks[run.name], description=what, completed=done)

    def trained(self, run: EvaluationRun, increment: int) -> None:
        """Move a run's bar; where there is none, say so."""
        self._bars.update(self._tasks[run.name], completed=increment + 1)
        if not self._console.is_terminal:
            self._console.print(f"{run.name}: increment {increment} trained")

    def finished(self, run: EvaluationRun, rows: list[IncrementRow]) -> None:
        """Say what a run achieved on test data."""
        self._bars.remove_task(self._tasks.pop(run.name))
        last = rows[-1].metrics
        accuracy, average = last["test/accuracy"], last["test/average_incremental_accuracy"]
        self._console.print(f"{run.name}: test/accuracy {accuracy:.4f}, average incremental {average:.4f}")
        for warning in (warning for row in rows for warning in row.told_warnings()):
            self._console.print(f"{run.name}: warning: {warning}", style="yellow")

    def failed(self, run: EvaluationRun, reason: str) -> None:
        """Say why a run failed."""
        self._bars.remove_task(self._tasks.pop(run.name))
        self._console.print(f"{run.name}: failed: {reason}", style="red")
