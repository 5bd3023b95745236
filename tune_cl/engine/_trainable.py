"""The Ray Tune Trainable: `step()` is exactly one increment; everything heavy lives in the stage store."""

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import ray
import torch
from ray import tune

from tune_cl.chain import Chain, Increment, Progress
from tune_cl.engine._configure import override
from tune_cl.engine._failures import DISK_SECONDS, describe_failure
from tune_cl.engine._leases import RayLeases
from tune_cl.engine._progress import ProgressPost
from tune_cl.nets import Backbone, Component
from tune_cl.plugins import Plugin, load_again
from tune_cl.records import Failure, IncrementRow, RunConfig
from tune_cl.store import CHECKPOINT_SECONDS, StageStore
from tune_cl.streams import Stream

_POINTER = "chain.json"


class Examiner(Protocol):
    """What an evaluation does to chains: another stream than the search's, and an examination after the last increment.

    Pickled, it travels to the workers; the engine knows nothing of what it reads.
    """

    def stream(self, run: RunConfig, given: Stream) -> Stream:
        """The stream of a run, from the training data that all runs share."""
        ...

    def examine(
        self, run: RunConfig, stream: Stream, states: Sequence[Mapping[str, Component]], rows: Sequence[IncrementRow]
    ) -> str:
        """Examine the states after increments 0 to the last; returns text for the driver."""
        ...


class ChainTrainable(tune.Trainable):
    """Runs one chain. Its configuration is `{"run": RunConfig as JSON text, "trial": number}`, or, with a `base`
    configuration, `{path: value, …}`: what differs from it.

    Ray's own checkpoint of a trial is a pointer (the next increment): what was trained is in the stage store, and a
    restored trial loads it from there.
    """

    def setup(
        self,
        config: dict[str, Any],
        stream: Stream | None = None,
        stages: str = "",
        coordinator: Any = None,
        report_failures: bool = False,
        base: RunConfig | None = None,
        search: str | None = None,
        checkpoint_every: float = CHECKPOINT_SECONDS,
        loader_workers: int | None = None,
        backbone: Backbone | None = None,
        plugins: tuple[Plugin, ...] = (),
        fresh: bool = False,
        examiner: Examiner | None = None,
    ) -> None:
        """Take over what is common to all trials.

        Args:
            config: see the class.
            stream: the training data, shared in memory by all trials of a node.
            stages: folder of the stage store.
            coordinator: the actor that hands out leases and takes progress; None: leases are files.
            base: configuration that a trial's paths change; None where trials name their whole configuration.
            report_failures: report an exception in a row, so that the actor lives on, instead of raising it.
            search: a name that this search alone has, also after it was interrupted: who pays for what is trained.
            checkpoint_every: seconds between two checkpoints inside a phase.
            loader_workers: processes of each trial that decode image files ahead, see `Chain`.
            backbone: pretrained weights, for the trials whose configuration names them.
            plugins: modules with the methods that the driver knows from outside the package.
            fresh: use no stage that `search` has not trained itself.
            examiner: of an evaluation: one more `step()` after the last increment reports what it says.
        """
        assert stream is not None
        self._stream, self._coordinator, self._search = stream, coordinator, search
        self._loader_workers, self._backbone, self._plugins = loader_workers, backbone, plugins
        self._fresh = fresh
        folder = Path(stages)
        cluster = ray.get_runtime_context().get_job_id()
        leases = RayLeases(coordinator, folder / "leases", cluster) if coordinator else None
        self._store = StageStore(folder, leases=leases, checkpoint_every=checkpoint_every, patience=DISK_SECONDS)
        self._report_failures, self._base, self._examiner = report_failures, base, examiner
        context = ray.get_runtime_context()
        self._node = f"{ray.util.get_node_ip_address()}/{context.get_node_id()[:8]}"
        self._chain: Chain | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Make this actor run another trial."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Run one increment and report its row, its metrics and its replayed images."""
        if not self._report_failures:
            return self._report(self._advance())
        try:
            if self._examiner is not None and self._chain is not None and self._chain.done:
                return self._examine(self._examiner)
            return self._report(self._advance())
        except Exception as error:
            failure = Failure(
                reason=describe_failure(error),
                traceback=traceback.format_exc(),
                increment=self._position,
                stages=self._chain.unreported() if self._chain else [],
            )
            self._chain = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # what a trial that ran out of memory held, for the next one
            return {"failure": failure.model_dump_json()}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the pointer."""
        Path(checkpoint_dir, _POINTER).write_text(json.dumps({"next_increment": self._position}))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go to where the pointer says, through stored stages."""
        position = json.loads(Path(checkpoint, _POINTER).read_text())["next_increment"]
        self._begin(self.config)
        while self._position < position:
            self._advance()

    @property
    def _position(self) -> int:
        return self._chain.next_increment if self._chain else 0

    def _begin(self, config: dict[str, Any]) -> None:
        self._given = config
        self._chain = None
        self._rows: list[IncrementRow] = []
        self._states: list[dict[str, Component]] = []  # after each increment, where somebody examines them

    def _advance(self) -> Increment:
        if self._chain is None:
            load_again(self._plugins)
            run, trial = _run_of(self._given, self._base)
            stream = self._stream if self._examiner is None else self._examiner.stream(run, self._stream)
            post = ProgressPost(self._coordinator, trial, self._node) if self._coordinator else _ignore
            who = f"{trial:04d}" if self._base is None else self.trial_id  # somebody's own Tuner counts as it likes
            payer = f"{self._search}/{who}" if self._search else None
            self._chain = Chain(
                run,
                stream,
                self._store,
                post,
                node=self._node,
                trial=trial,
                payer=payer,
                loader_workers=self._loader_workers,
                backbone=self._backbone,
                fresh=self._fresh,
            )
        increment = self._chain.advance()
        if self._examiner is not None:
            self._rows.append(increment.row)
            self._states.append(self._chain.read_out_state())
        return increment

    def _examine(self, examiner: Examiner) -> dict[str, Any]:
        run, _ = _run_of(self._given, self._base)
        stream = examiner.stream(run, self._stream)
        return {"examined": examiner.examine(run, stream, self._states, self._rows)}

    def _report(self, increment: Increment) -> dict[str, Any]:
        assert self._chain is not None
        result = {**result_of(increment.row), "row": increment.row.model_dump_json()}
        if not self._report_failures:  # somebody's own Tuner: its loggers would write images out as text
            return {**result, "done": self._chain.done}
        preview = None if increment.preview is None else np.asarray(increment.preview)
        return {**result, "preview": preview}  # a search decides on the end itself


def _run_of(config: dict[str, Any], base: RunConfig | None) -> tuple[RunConfig, int]:
    """The whole configuration of a trial, and its number."""
    if base is None:
        return RunConfig.model_validate_json(config["run"]), config["trial"]
    return override(base, config), 0


def _ignore(progress: Progress) -> None:
    """Nobody watches."""


def result_of(row: IncrementRow) -> dict[str, Any]:
    """A row as Ray's flat metrics; NaN where one is not defined at this increment."""
    metrics = {name: float("nan") if value is None else value for name, value in row.metrics.items()}
    return {"increment": row.increment, **metrics}
