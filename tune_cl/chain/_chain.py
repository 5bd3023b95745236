"""A chain: a trial's stages in order, each loaded from the store or trained and published."""

import errno
import math
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tune_cl.chain._backbone import backbone_of
from tune_cl.chain._computing import computing, device_of
from tune_cl.chain._configuration import settings_of
from tune_cl.chain._keys import stage_ingredients
from tune_cl.chain._phase_data import extent, phase_data
from tune_cl.chain._planned import planned_keys
from tune_cl.chain._result import checked
from tune_cl.chain._scoring import ReadOut, Scores, correct_per_image, features_of, scorer, scores
from tune_cl.chain._warnings import phase_warnings, score_warnings
from tune_cl.errors import TuneCLError
from tune_cl.methods import CLASS_MEANS, CLASSIFIER, Diverged, Phase, PhaseContext, get_method
from tune_cl.nets import Backbone, Classifier, Component, build_classifier
from tune_cl.options import LOADER_WORKERS
from tune_cl.records import IncrementRow, RunConfig, StageUse
from tune_cl.store import Lease, Stage, StageRecord, StageStore, stage_key
from tune_cl.streams import ImageSource, Pixels, RandomKey, Stream, default_workers, join
from tune_cl.training import SPREAD, STUDENT, within_class_spread

REPLAY = "replay_accuracy"  # a metric of phases that rows have under its own name
# Of methods whose replay is judged beside the chain (`Method.judge`).
REPLAY_STUDENT = "val/replay_student"  # accuracy on real images of old classes of a student trained on replay alone
REPLAY_SPREAD = "replay_spread"  # within-class spread of the old classifier's features: of replay, over real images'
STUDENT_SECONDS = "replay_student_seconds"  # what the student took, in no other cost


@dataclass(frozen=True)
class Progress:
    """A sign of life from inside a running phase, or from one who waits while another process trains it."""

    increment: int
    phase: str
    step: int
    steps: int
    waiting: bool = False  # another process trains the phase
    disk_full: bool = False  # the phase is done and waits for space to be stored in


@dataclass(frozen=True)
class Increment:
    """What one increment hands back: the row, and replayed images for people to look at."""

    row: IncrementRow
    preview: Tensor | None  # (classes, k, C, H, W) uint8


class Chain:
    """Trains a configuration along a stream, one increment at a time. Knows neither Ray nor Optuna.

    Args:
        run: the configuration.
        stream: the stream that it names; training data only.
        store: where stages are found and published.
        on_progress: called after every step of a phase, and at every look while another process trains it; True from it
            has the phase's state saved now.
        node: name of the machine, for the rows.
        trial: number in a search, for the rows.
        payer: who trains here; a stage that it trained in an earlier life (before an interrupt, say) is told as trained
            by this chain, not as reused. None: this object alone.
        loader_workers: processes that decode image files ahead, for streams whose images are not in memory; None: up to
            four. What is computed does not depend on it.
        backbone: the weights that the configuration names as `base.classifier.pretrained`, where it names any.
        fresh: use no stage and no checkpoint but those of the same payer; a payer `search/trial` shares with all trials
            of its search. What is in their place is replaced.
    """

    def __init__(
        self,
        run: RunConfig,
        stream: Stream,
        store: StageStore,
        on_progress: Callable[[Progress], bool | None] = lambda progress: None,
        node: str | None = None,
        trial: int = 0,
        payer: str | None = None,
        loader_workers: int | None = None,
        backbone: Backbone | None = None,
        fresh: bool = False,
    ) -> None:
        self._fresh = fresh
        self._run, self._stream, self._store, self._on_progress = run, stream, store, on_progress
        self._node, self._trial = node or socket.gethostname(), trial
        self._payer = payer or uuid.uuid4().hex
        workers = (
            default_workers() if loader_workers is None else LOADER_WORKERS.check(loader_workers, "loader_workers")
        )
        self._loader_workers = 0 if stream.resident else workers
        self._method = get_method(run.method)
        self._config = settings_of(run)
        if run.horizon > stream.horizon:
            raise TuneCLError(
                f"horizon {run.horizon}: {stream.name} has {stream.horizon} increments after its base task"
            )
        self._method.check_fit(self._config, extent(stream, run.horizon))
        self._backbone = backbone_of(self._config, backbone, stream.image_shape[0])
        self._device = device_of(run.device)
        self._numerics = run.numerics
        self._state: dict[str, Component] = {}
        self._key: str | None = None
        self._rows: list[IncrementRow] = []
        self._used: list[StageUse] = []

    @property
    def next_increment(self) -> int:
        """The increment that `advance` will run."""
        return len(self._rows)

    @property
    def done(self) -> bool:
        """Whether the horizon is reached."""
        return len(self._rows) > self._run.horizon

    def advance(self) -> Increment:
        """Run the next increment: each of its phases, then the score on validation data of all classes seen.

        On a merged stream there are no validation data, and a row has no accuracies.

        An exception on the way (an interrupt, divergence) leaves the chain where it was: `advance` can be called again.
        """
        if self.done:
            raise RuntimeError(f"the chain has run its {self._run.horizon} increments")
        t = self.next_increment
        state, key = dict(self._state), self._key
        stages: list[tuple[Phase, Stage]] = []
        self._used = []
        with computing(self._numerics):
            student = self._student(t)
            for phase in self._method.phases(self._config, t, self._run.horizon):
                stage, use = self._stage(phase, t, state, key)
                state.update(stage.changed)
                key = stage.record.key
                stages.append((phase, stage))
                self._used.append(use)
            row = self._row(t, stages, state, student)
        self._state, self._key = state, key
        self._rows.append(row)
        previews = [stage.preview for _, stage in stages if stage.preview is not None]
        return Increment(row, previews[-1] if previews else None)

    def unreported(self) -> list[StageUse]:
        """What the increment that failed had already used: its stages are in the store, but in no row."""
        return [] if self._rows and self._used == self._rows[-1].stages else list(self._used)

    def classifier(self) -> Classifier:
        """The classifier as it stands after the increments run so far."""
        return build_classifier(self._state[CLASSIFIER])

    def read_out_state(self) -> dict[str, Component]:
        """The part of `state` that classifies images: the classifier, and class means where the method has them."""
        return {name: part for name, part in self._state.items() if name in (CLASSIFIER, CLASS_MEANS)}

    def state(self) -> dict[str, Component]:
        """All components as they stand after the increments run so far."""
        return dict(self._state)

    def planned_keys(self) -> list[tuple[int, str, str]]:
        """(increment, phase, key) of every stage up to the horizon; a key needs no training to be known."""
        return planned_keys(self._run, self._stream)

    def _student(self, t: int) -> Stage | None:
        """The stage beside the chain that judges what is replayed at an increment, where the method has one."""
        judge = self._judge
        if judge is None or t == 0 or self._stream.merged:
            return None
        try:
            return self._stage(judge, t, self._state, self._key)[0]
        except Diverged:  # no reason to fail what the chain trains
            return None

    @property
    def _judge(self) -> Phase | None:
        judge = self._method.judge
        return judge if judge is not None and judge.needed(self._config) else None

    def _stage(
        self, phase: Phase, t: int, state: Mapping[str, Component], parent: str | None
    ) -> tuple[Stage, StageUse]:
        """Load a stage, or train and publish it; say how it was had."""
        ingredients = self._ingredients(phase, t, parent)
        key = stage_key(ingredients)
        began = time.monotonic()
        waited = 0.0
        while True:
            stored = self._stored(key)
            if stored is not None:
                return stored, self._use(phase, stored.record, waited)
            lease = self._store.lease(key)
            if lease is not None:
                break
            self._on_progress(Progress(t, phase.name, 0, 1, waiting=True))
            time.sleep(self._store.times.poll)
            waited = time.monotonic() - began
        with lease:
            stored = self._stored(key)  # published between the two looks?
            if stored is None:
                stored = self._train(phase, t, state, lease, ingredients)
            return stored, self._use(phase, stored.record, waited)

    def _stored(self, key: str) -> Stage | None:
        """A stage that may be used."""
        stage = self._store.load(key)
        strange = stage is not None and _owner(stage.record.trained_by) != _owner(self._payer)
        return None if self._fresh and strange else stage

    def _train(
        self, phase: Phase, t: int, state: Mapping[str, Component], lease: Lease, ingredients: Mapping[str, Any]
    ) -> Stage:
        """Call a phase with its subtree, its increment's tensors and its parent's state, and nothing else; publish."""
        key = stage_key(ingredients)
        checkpoint = self._store.checkpoint(key, _owner(self._payer), only_own=self._fresh)

        def progress(step: int, steps: int) -> None:
            lease.beat()
            if self._on_progress(Progress(t, phase.name, step, steps)):
                checkpoint.urge()

        random_key = RandomKey(self._run.seed_at(t), t, phase.name)
        from_file = self._backbone if (t, phase.name) == (0, CLASSIFIER) else None
        weights = from_file.tensors if from_file else None
        context = PhaseContext(
            random_key,
            self._device,
            progress,
            checkpoint,
            weights,
            self._loader_workers,
            before=self._state,
            numerics=self._numerics,
        )
        subtree = self._method.subtree(self._config, t, phase)
        try:
            with context.closing:
                result = phase.run(subtree, phase_data(self._stream, phase, t, state), state, context)
            losses, metrics = checked(phase, result)
        except Diverged:
            checkpoint.remove()  # it would diverge again
            raise
        record = StageRecord(
            key=key,
            parent=ingredients["parent"],
            ingredients=dict(ingredients),
            seconds=checkpoint.seconds,
            cpu_seconds=checkpoint.cpu_seconds,
            images_trained=result.images_trained,
            losses=losses,
            metrics=metrics,
            trained_by=self._payer,
            checksum="",
        )
        published = self._publish(Stage(record, result.changed, result.preview), t, phase, lease)
        checkpoint.remove()
        return published

    def _publish(self, stage: Stage, t: int, phase: Phase, lease: Lease) -> Stage:
        """Publish; wait a while for space where the disk is full, so that a trained stage is not lost for want of it.

        Raises:
            OSError: the store cannot be written, or there was no space in all that time.
        """
        give_up = time.monotonic() + self._store.patience
        while True:
            try:
                return self._store.publish(stage, replace=self._fresh)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() >= give_up:
                    raise
            lease.beat()
            self._on_progress(Progress(t, phase.name, 1, 1, disk_full=True))
            time.sleep(self._store.times.poll)

    def _use(self, phase: Phase, record: StageRecord, waited: float) -> StageUse:
        return StageUse(
            phase=phase.name,
            key=record.key,
            origin="trained" if record.trained_by == self._payer else "reused",
            seconds=record.seconds,
            cpu_seconds=record.cpu_seconds,
            images_trained=record.images_trained,
            idle_seconds=waited,
        )

    def _ingredients(self, phase: Phase, t: int, parent: str | None) -> dict[str, object]:
        subtree = self._method.subtree(self._config, t, phase)
        return stage_ingredients(parent, self._stream.identity(t), self._run.seed_at(t), phase, subtree, self._numerics)

    def _row(
        self, t: int, stages: list[tuple[Phase, Stage]], state: Mapping[str, Component], student: Stage | None
    ) -> IncrementRow:
        told = {f"{phase.name}/{name}": v for phase, s in stages for name, v in s.record.metrics.items()}
        replayed = [told.pop(name) for phase, _ in stages if (name := f"{phase.name}/{REPLAY}") in told]
        parts = [] if self._stream.merged else [self._stream.validation(i) for i in range(t + 1)]
        measured, doubts = (Scores({}, [], None), []) if self._stream.merged else self._validate(parts, state)
        judged = {} if self._judge is None else self._judged(parts, student)
        of_phases = [line for phase, stage in stages for line in phase_warnings(phase, stage, self._stream.n_seen(t))]
        return IncrementRow(
            trial=self._trial,
            increment=t,
            metrics={**measured.metrics, REPLAY: next(iter(replayed), None), **judged, **self._costs(), **told},
            accuracy_row=measured.accuracy_row,
            nearest_mean_row=measured.nearest_mean_row,
            images_scored=measured.images,
            class_accuracy=measured.by_class,
            nearest_mean_class_accuracy=measured.nearest_mean_by_class,
            losses={f"{phase.name}/{term}": v for phase, s in stages for term, v in s.record.losses.items()},
            stages=list(self._used),
            warnings=[*of_phases, *doubts],
            node=self._node,
        )

    def _validate(self, parts: Sequence[ImageSource], state: Mapping[str, Component]) -> tuple[Scores, list[str]]:
        """Score the state after an increment on validation images of all classes seen; and what is wrong with that."""
        read_out = ReadOut.of(state, self._method.nearest_mean(self._config), self._numerics)
        pixels = Pixels(self._stream.preprocessing, self._device)
        correct = [correct_per_image([read_out], part, pixels, self._loader_workers)[0] for part in parts]
        before = [Scores(row.metrics, row.accuracy_row, row.nearest_mean_row) for row in self._rows]
        return scores(correct, before, "val/"), list(score_warnings(correct, [part.labels for part in parts]))

    def _judged(self, parts: Sequence[ImageSource], student: Stage | None) -> dict[str, float | None]:
        """What a student of the replay alone, and the spread of its features, say of the replay at an increment."""
        if student is None:
            return dict.fromkeys((REPLAY_STUDENT, REPLAY_SPREAD, STUDENT_SECONDS))
        pixels = Pixels(self._stream.preprocessing, self._device)
        old = join(parts[:-1])
        read_out = ReadOut(scorer(student.changed[STUDENT], self._numerics))
        correct = correct_per_image([read_out], old, pixels, self._loader_workers)[0].linear
        before = scorer(self._state[CLASSIFIER], self._numerics)
        real = within_class_spread(*features_of(before, old, pixels, self._loader_workers))
        ratio = student.record.metrics[SPREAD] / real if real > 0 else math.nan
        return {
            REPLAY_STUDENT: float(correct.float().mean()),
            REPLAY_SPREAD: ratio if math.isfinite(ratio) else None,
            STUDENT_SECONDS: student.record.seconds,
        }

    def _costs(self) -> dict[str, float | None]:
        """Cost of the chain so far as if trained alone, and what was paid for it here."""
        before = self._rows[-1].metrics if self._rows else {}
        paid = [use for use in self._used if use.origin == "trained"]
        added = {
            "images_trained": float(sum(use.images_trained for use in self._used)),
            "seconds": sum(use.seconds for use in self._used),
            "paid/images_trained": float(sum(use.images_trained for use in paid)),
            "paid/seconds": sum(use.seconds for use in paid),
        }
        return {name: (before.get(name) or 0.0) + value for name, value in added.items()}


def _owner(payer: str | None) -> str | None:
    """The search, or whatever else a payer belongs to."""
    return None if payer is None else payer.partition("/")[0]
