"""Where things lie: the only code that knows the paths of docs/file-formats.md."""

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.records._files import append_line, read_lines, read_record, write_atomically, write_json
from tune_cl.records._models import Failure, IncrementRow, SearchRecord, StageUse

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOG_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (.*)")


@dataclass(frozen=True)
class TrialFolder:
    """`trials/0000/` of a search.

    Attributes:
        path: the folder.
        trial: the number of the trial whose rows it has, where that is known.
    """

    path: Path
    trial: int | None = None

    @property
    def config(self) -> Path:
        """The trial's configuration, re-runnable."""
        return self.path / "config.yaml"

    @property
    def increments(self) -> Path:
        """One JSON object per increment."""
        return self.path / "increments.jsonl"

    @property
    def log(self) -> Path:
        """What happened to the trial, a line each."""
        return self.path / "log.txt"

    @property
    def error(self) -> Path:
        """The traceback of a failed trial."""
        return self.path / "error.txt"

    @property
    def failure(self) -> Path:
        """Why and where a failed trial failed."""
        return self.path / "failure.json"

    def files(self) -> list[Path]:
        """The files that may be written there."""
        return [self.config, self.increments, self.log, self.error, self.failure]

    def attempts(self) -> int:
        """How many failed attempts were put aside."""
        return len(list(self.path.glob("attempt-[0-9]*")))

    def put_aside(self) -> None:
        """Move what a failed attempt has left into a folder of its own, `attempt-1` and so on; may be repeated.

        The folder has its name when all is in it, so that a crash in between leaves what the next call finishes.
        """
        unfinished = self.path / ".attempt"
        unfinished.mkdir(parents=True, exist_ok=True)
        for file in [self.increments, self.error, self.failure, *self.path.glob("replay-*.png")]:
            if file.exists():
                file.replace(unfinished / file.name)
        unfinished.replace(self.path / f"attempt-{self.attempts() + 1}")

    def failed_stages(self) -> list[StageUse]:
        """What the increment that failed had used; nothing where none failed."""
        return list(read_record(self.failure, Failure).stages) if self.failure.exists() else []

    def replay_grid(self, increment: int) -> Path:
        """PNG of images that the generator replays after this increment."""
        return self.path / f"replay-{increment:02d}.png"

    def rows(self) -> list[IncrementRow]:
        """The rows on disk, of increments 0, 1, …

        Raises:
            TuneCLError: a line is no row, a row is missing, there twice, or of another trial.
        """
        rows = sorted(read_lines(self.increments, IncrementRow), key=lambda row: row.increment)
        for expected, row in enumerate(rows):
            if row.increment != expected:
                wrong = f"{expected} is missing" if row.increment > expected else f"{row.increment} is there twice"
                raise TuneCLError(f"{self.increments}: the row of increment {wrong}; restore the file")
            if self.trial is not None and row.trial != self.trial:
                raise TuneCLError(f"{self.increments}: holds a row of trial {row.trial}; restore the file")
        return rows

    def add_row(self, row: IncrementRow) -> bool:
        """Append a row unless its increment is there already; say whether it was new."""
        if any(old.increment == row.increment for old in self.rows()):
            return False
        append_line(self.increments, row)
        return True

    def log_lines(self) -> list[tuple[str, str]]:
        """(time, what happened) of each line of the trial's log; a torn last line is left out."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        lines = text.split("\n")[:-1]
        return [(match[1], match[2]) for line in lines if (match := _LOG_LINE.fullmatch(line))]

    def add_log(self, line: str) -> None:
        """Append a line to the trial's log, with the time."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}".rstrip("\n") + "\n")

    def add_failure(self, failure: Failure) -> None:
        """Write why the trial failed."""
        if failure.traceback:
            write_atomically(self.error, failure.traceback)
        write_json(self.failure, failure)


@dataclass(frozen=True)
class EvaluationFolder:
    """`evaluation/` of a search: nothing in it is read by a search."""

    path: Path

    @property
    def summary(self) -> Path:
        """Means, intervals and every value."""
        return self.path / "summary.json"

    @property
    def readings(self) -> Path:
        """Each reading of test data, in order."""
        return self.path / "readings.jsonl"

    @property
    def stages(self) -> Path:
        """The evaluation's own stage store."""
        return self.path / "stages"

    @property
    def wandb(self) -> Path:
        """Folder of W&B's local files."""
        return self.path / "wandb"

    @property
    def lock(self) -> Path:
        """Held by the process that evaluates."""
        return self.path / ".lock"

    def run(self, name: str) -> TrialFolder:
        """The folder of one run; its `increments.jsonl` is there when its test data have been scored."""
        return TrialFolder(self.path / "runs" / name)

    def check_places(self) -> None:
        """Check that nothing is in the way of what will be written.

        Raises:
            TuneCLError: a folder is where a file belongs, or the other way round.
        """
        runs = [self.run(path.name) for path in sorted((self.path / "runs").glob("*"))]
        check_files(self.summary, self.readings, self.lock, *(file for run in runs for file in run.files()))
        _check_folders(self.path / "runs", self.stages, self.wandb, *(run.path for run in runs))


@dataclass(frozen=True)
class SearchFolder:
    """`<results>/<search>/`."""

    path: Path

    @property
    def search(self) -> Path:
        """The search's definition."""
        return self.path / "search.json"

    @property
    def study(self) -> Path:
        """Optuna's journal."""
        return self.path / "study.journal"

    @property
    def best_config(self) -> Path:
        """The chosen configuration, re-runnable."""
        return self.path / "best.yaml"

    @property
    def best(self) -> Path:
        """Folder of the winner's weights."""
        return self.path / "best"

    @property
    def best_weights(self) -> Path:
        """The winner's classifier as a plain, weights-only file."""
        return self.best / "classifier.pt"

    @property
    def summary(self) -> Path:
        """How the search ended."""
        return self.path / "summary.json"

    @property
    def classes(self) -> Path:
        """The names of the stream's classes, in order of arrival."""
        return self.path / "classes.json"

    @property
    def real_images(self) -> Path:
        """PNG of real training images, a line per class."""
        return self.path / "real.png"

    @property
    def page(self) -> Path:
        """The search as a page for a browser."""
        return self.path / "report.html"

    @property
    def wandb(self) -> Path:
        """Folder of W&B's local files."""
        return self.path / "wandb"

    @property
    def evaluation(self) -> EvaluationFolder:
        """What evaluations of the chosen configuration wrote."""
        return EvaluationFolder(self.path / "evaluation")

    @property
    def lock(self) -> Path:
        """Held by the process that runs the search."""
        return self.path / ".lock"

    def check_places(self) -> None:
        """Check that nothing is in the way of what will be written.

        Raises:
            TuneCLError: a folder is where a file belongs, or the other way round.
        """
        runs = [*self.trials().values(), *self.finalists()]
        ours = [self.search, self.study, self.best_config, self.best_weights, self.summary, self.lock]
        ours += [self.classes, self.real_images, self.page]
        check_files(*ours, *(file for run in runs for file in run.files()))
        places = [self.path / "trials", self.path / "finalists", self.best, self.wandb]
        _check_folders(*places, *(run.path for run in runs))

    def trial(self, number: int) -> TrialFolder:
        """The folder of one trial."""
        return TrialFolder(self.path / "trials" / f"{number:04d}", number)

    def finalist(self, trial: int, seed: int) -> TrialFolder:
        """The folder of a trial's run under a further train seed."""
        return TrialFolder(self.path / "finalists" / f"{trial:04d}-seed{seed}", trial)

    def finalists(self) -> list[TrialFolder]:
        """The folders of such runs that exist."""
        found = (re.fullmatch("([0-9]{4,9})-seed[0-9]+", p.name) for p in sorted(self.path.glob("finalists/*")))
        return [TrialFolder(self.path / "finalists" / match[0], int(match[1])) for match in found if match]

    def trials(self) -> dict[int, TrialFolder]:
        """The trial folders that exist, by number."""
        folders = (p for p in sorted(self.path.glob("trials/[0-9]*")) if re.fullmatch("[0-9]{4,9}", p.name))
        return {int(p.name): TrialFolder(p, int(p.name)) for p in folders}


def check_files(*paths: Path) -> None:
    """Check that no folder is where these files are to be written.

    Raises:
        TuneCLError: one is.
    """
    for path in paths:
        if path.is_dir():
            raise TuneCLError(f"{path}: a folder, where a file is to be written; move it away")


def _check_folders(*paths: Path) -> None:
    for path in paths:
        if path.exists() and not path.is_dir():
            raise TuneCLError(f"{path}: a file, where a folder is to be made; move it away")


def search_id(record: SearchRecord, folder: SearchFolder, *part: str) -> str:
    """A name that is the same whenever a search is continued, and no other search's or part's: 16 hex digits."""
    identity = [record.name, str(folder.path.resolve()), record.created, *part]
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]


def search_folder(results: Path, name: str) -> SearchFolder:
    """The folder of a search by its name.

    Raises:
        TuneCLError: the name is not a plain folder name (it would escape the results folder).
    """
    if not _NAME.fullmatch(name) or len(name) > 120:
        raise TuneCLError(
            f"--name {name!r}: not a plain folder name; use letters, digits, '.', '_' and '-' (at most 120, no slash)"
        )
    return SearchFolder(results / name)
