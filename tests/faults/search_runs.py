"""A search through `launch/search.py`, in processes of its own, which faults may hit."""

import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from fault_tools import await_moment, checksums, published
from installed_wheel import GENIFER, OneMachine
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from search_cli import LAUNCH, comparable, configurations_of, end_group, environment, rows_of, start, states_of
from tripwire import Moment, log_of, stretch

from tune_cl.records import IncrementRow, SearchFolder, read_lines

HERE = Path(__file__).parent
SECONDS = 300.0  # for anything that a search does, on a busy machine
OPTIONS = (*GENIFER, "--trials=2")


def with_wires(wires: Path) -> dict[str, str]:
    """The environment in which Python processes have these wires."""
    return {"PYTHONPATH": f"{HERE / 'worker_path'}:{HERE}", "FAULT_WIRES": str(wires)}


@dataclass(frozen=True)
class Undisturbed:
    """What a search leaves that nothing disturbs, of its first two trials."""

    rows: dict[int, list[dict[str, Any]]]
    checksums: dict[str, str]
    configurations: list[str]
    judges: dict[str, str]  # checksums of the stages beside the chains, of all its trials

    @classmethod
    def of(cls, search: OneMachine) -> "Undisturbed":
        """Of a longer search, whose trials do not depend on how many there are."""
        of_all = rows_of(search.folder)
        rows = {trial: of_all[trial] for trial in (0, 1)}
        keys = {use.key for of_trial in rows.values() for row in of_trial for use in row.stages}
        planned = {use.key for of_trial in of_all.values() for row in of_trial for use in row.stages}
        stored = checksums(search.folder.path.parent / "stages")
        judges = {key: stored[key] for key in stored.keys() - planned}
        return cls(comparable(rows), {key: stored[key] for key in keys}, configurations_of(search.folder)[:2], judges)


class SearchRun:
    """A search on one folder, run as often as it takes.

    Args:
        place: its folder.
        moments: where it shall stay.
        options: more options of the command.
        changes: to the environment.
        watched: another folder of wires whose log tells of this search.
    """

    def __init__(
        self,
        place: Path,
        *moments: Moment,
        options: Sequence[str] = ("--concurrency=1",),
        changes: Mapping[str, str] | None = None,
        watched: Path | None = None,
    ) -> None:
        self.place, self.wires = place, place / "wires"
        self.folder, self.stages = SearchFolder(place / "results" / "s"), place / "results" / "stages"
        self._name = uuid.uuid4().hex  # all its processes carry it in their environment
        self._env = {**environment(), **with_wires(self.wires), "FAULT_RUN": self._name, **(changes or {})}
        self._logs = [self.wires, watched] if watched else [self.wires]
        self._command = [str(LAUNCH / "search.py"), *OPTIONS, *options]
        self._command.append(f"--results={place / 'results'}")
        self.process: subprocess.Popen[bytes] | None = None
        stretch(self.wires, *moments)

    def start(self) -> int:
        """Start the driver; return its process id."""
        self.process = start(self._command, self.place / "log", env=self._env)
        return self.process.pid

    def await_moment(self) -> dict[str, Any]:
        """Wait until somebody is in the moment; return the log's line."""
        process = self.process
        assert process is not None
        return await_moment(self.wires, SECONDS, alive=lambda: process.poll() is None)

    def end(self) -> None:
        """Wait for the search's orderly end."""
        assert self.process is not None
        try:
            code = self.process.wait(timeout=SECONDS)
        finally:
            end_group(self.process)
        assert code == 0, (self.place / "log").read_text()

    def survivors(self) -> dict[int, str]:
        """Its processes that are there, with their commands."""
        mark = f"FAULT_RUN={self._name}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if mark in (entry / "environ").read_bytes():
                        found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ").strip()
                except OSError:  # gone meanwhile, or another user's
                    continue
        return found

    def trained_after(self, when: float) -> list[str]:
        """The keys of the stages whose training began after a time."""
        return [line["key"] for wires in self._logs for line in log_of(wires, "began") if line["time"] > when]

    def published(self) -> set[str]:
        """The keys in its store."""
        return published(self.stages)

    def assert_equal(self, undisturbed: Undisturbed) -> None:
        """All that is left on disk is what an undisturbed search leaves."""
        assert comparable(rows_of(self.folder)) == undisturbed.rows
        stored = checksums(self.stages)
        judges = {key: undisturbed.judges[key] for key in stored.keys() - undisturbed.checksums.keys()}
        assert stored == undisturbed.checksums | judges
        assert configurations_of(self.folder) == undisturbed.configurations
        assert states_of(self.folder) == ["finished"] * 2
        assert set(self._study_states()) == {TrialState.COMPLETE}
        for trial in self.folder.trials().values():
            increments = [row.increment for row in read_lines(trial.increments, IncrementRow)]
            assert increments == [0, 1, 2], "no row is doubled"

    def _study_states(self) -> list[TrialState]:
        storage = JournalStorage(JournalFileBackend(str(self.folder.study)))
        (study,) = optuna.get_all_study_names(storage)
        return [trial.state for trial in optuna.load_study(study_name=study, storage=storage).trials]
