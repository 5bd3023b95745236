"""A chain: a trial's stages in order, each loaded from the store or trained and published."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from pydantic import ValidationError
from torch import Tensor

from tune_cl.chain._keys import Numerics, stage_ingredients, stage_key
from tune_cl.chain._lease import Lease
from tune_cl.chain._scoring import accuracy_row, correct_per_image, metrics
from tune_cl.chain._store import Stage, StageRecord, StageStore
from tune_cl.errors import TuneCLError
from tune_cl.methods import CLASSIFIER, Phase, PhaseContext, PhaseData, PhaseResult, get_method
from tune_cl.nets import Classifier, Component, build_classifier
from tune_cl.records import IncrementRow, RunConfig, StageUse, describe_validation
from tune_cl.streams import LabelledImages, Pixels, Place, Stream


@dataclass(frozen=True)
class Progress:
    """A sign of life from inside a running phase, or from one who waits while another process trains it."""

    increment: int
    phase: str
    step: int
    steps: int
    waiting: bool = False


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
        on_progress: called after every step of a phase, and at every look while another process trains it.
        node: name of the machine, for the rows.
    """

    def __init__(
        self,
        run: RunConfig,
        stream: Stream,
        store: StageStore,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        node: str | None = None,
        trial: int = 0,
    ) -> None:
        self._run, self._stream, self._store, self._on_progress = run, stream, store, on_progress
        self._node, self._trial = node or socket.gethostname(), trial
        self._method = get_method(run.method)
        try:
            self._config = self._method.config.model_validate(run.parameters)
        except ValidationError as error:
            raise TuneCLError(f"parameters of {run.method}: {describe_validation(error)}") from None
        if run.horizon > stream.horizon:
            raise TuneCLError(
                f"horizon {run.horizon}: {stream.name} has {stream.horizon} increments after its base task"
            )
        self._method.check_fit(self._config, stream.image_shape)
        self._device = device_of(run.device)
        self._numerics = Numerics.of(run.device, run.threads)
        self._state: dict[str, Component] = {}
        self._key: str | None = None
        self._rows: list[IncrementRow] = []

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

        An exception on the way (an interrupt, divergence) leaves the chain where it was: `advance` can be called again.
        """
        if self.done:
            raise RuntimeError(f"the chain has run its {self._run.horizon} increments")
        t = self.next_increment
        state, key = dict(self._state), self._key
        stages: list[tuple[Phase, Stage, bool]] = []
        with _threads(self._run.threads):
            for phase in self._method.phases(t, self._run.horizon):
                stage, trained = self._stage(phase, t, state, key)
                state.update(stage.changed)
                key = stage.record.key
                stages.append((phase, stage, trained))
            row = self._row(t, stages, build_classifier(state[CLASSIFIER]).to(self._device))
        self._state, self._key = state, key
        self._rows.append(row)
        previews = [stage.preview for _, stage, _ in stages if stage.preview is not None]
        return Increment(row, previews[-1] if previews else None)

    def classifier(self) -> Classifier:
        """The classifier as it stands after the increments run so far."""
        return build_classifier(self._state[CLASSIFIER])

    def state(self) -> dict[str, Component]:
        """All components as they stand after the increments run so far."""
        return dict(self._state)

    def planned_keys(self) -> list[tuple[int, str, str]]:
        """(increment, phase, key) of every stage up to the horizon; a key needs no training to be known."""
        keys: list[tuple[int, str, str]] = []
        parent: str | None = None
        for t in range(self._run.horizon + 1):
            for phase in self._method.phases(t, self._run.horizon):
                parent = stage_key(self._ingredients(phase, t, parent))
                keys.append((t, phase.name, parent))
        return keys

    def _stage(self, phase: Phase, t: int, state: Mapping[str, Component], parent: str | None) -> tuple[Stage, bool]:
        """Load a stage, or train and publish it; say whether it was trained."""
        ingredients = self._ingredients(phase, t, parent)
        key = stage_key(ingredients)
        while True:
            stored = self._store.load(key)
            if stored is not None:
                return stored, False
            lease = self._store.lease(key)
            if lease is not None:
                break
            self._on_progress(Progress(t, phase.name, 0, 1, waiting=True))
            time.sleep(self._store.times.poll)
        with lease:
            stored = self._store.load(key)  # published between the two looks?
            if stored is not None:
                return stored, False
            started, cpu_started = time.perf_counter(), time.process_time()
            result = self._train(phase, t, state, lease)
            record = StageRecord(
                key=key,
                parent=parent,
                ingredients=ingredients,
                seconds=time.perf_counter() - started,
                cpu_seconds=time.process_time() - cpu_started,
                images_trained=result.images_trained,
                losses=dict(result.losses),
                metrics=dict(result.metrics),
                checksum="",
            )
            return self._store.publish(Stage(record, result.changed, result.preview)), True

    def _train(self, phase: Phase, t: int, state: Mapping[str, Component], lease: Lease) -> PhaseResult:
        """Call a phase with its subtree, its increment's tensors and its parent's state, and nothing else."""

        def progress(step: int, steps: int) -> None:
            lease.beat()
            self._on_progress(Progress(t, phase.name, step, steps))

        context = PhaseContext(Place(self._run.train_seed, t, phase.name), self._device, progress)
        return phase.run(self._method.subtree(self._config, t, phase), self._data(phase, t), state, context)

    def _ingredients(self, phase: Phase, t: int, parent: str | None) -> dict[str, object]:
        subtree = self._method.subtree(self._config, t, phase)
        return stage_ingredients(parent, self._stream.identity(t), self._run.train_seed, phase, subtree, self._numerics)

    def _data(self, phase: Phase, t: int) -> PhaseData:
        """The tensors of increment t; of the past only for a phase that declares it."""
        stream = self._stream
        n_old = stream.n_seen(t - 1) if t else 0
        past = None
        if phase.sees_past and t:
            parts = [stream.training(i) for i in range(t)]
            past = LabelledImages(torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]))
        return PhaseData(
            increment=t,
            new=stream.training(t),
            n_old=n_old,
            n_new=stream.n_seen(t) - n_old,
            n_stream=stream.n_classes,
            preprocessing=stream.preprocessing,
            past=past,
        )

    def _row(self, t: int, stages: list[tuple[Phase, Stage, bool]], classifier: Classifier) -> IncrementRow:
        pixels = Pixels(self._stream.preprocessing, self._device)
        validation = [self._stream.validation(i) for i in range(t + 1)]
        correct = [correct_per_image(classifier, part.images, part.labels, pixels) for part in validation]
        rows = [row.accuracy_row for row in self._rows] + [accuracy_row(correct)]
        scores = metrics(rows, [len(part.labels) for part in validation])
        measured = {f"val/{name}": value for name, value in scores.items()}
        measured["replay_accuracy"] = next(
            (s.record.metrics["replay_accuracy"] for _, s, _ in stages if "replay_accuracy" in s.record.metrics), None
        )
        return IncrementRow(
            trial=self._trial,
            increment=t,
            metrics={**measured, **self._costs(stages)},
            accuracy_row=rows[-1],
            losses={f"{phase.name}/{term}": v for phase, s, _ in stages for term, v in s.record.losses.items()},
            stages=[
                StageUse(
                    phase=phase.name,
                    key=stage.record.key,
                    origin="trained" if trained else "reused",
                    seconds=stage.record.seconds,
                    cpu_seconds=stage.record.cpu_seconds,
                    images_trained=stage.record.images_trained,
                )
                for phase, stage, trained in stages
            ],
            node=self._node,
        )

    def _costs(self, stages: list[tuple[Phase, Stage, bool]]) -> dict[str, float | None]:
        """Cost of the chain so far as if trained alone, and what was paid for it here."""
        before = self._rows[-1].metrics if self._rows else {}
        uses = [(stage.record, trained) for _, stage, trained in stages]
        added = {
            "images_trained": float(sum(record.images_trained for record, _ in uses)),
            "seconds": sum(record.seconds for record, _ in uses),
            "paid/images_trained": float(sum(record.images_trained for record, trained in uses if trained)),
            "paid/seconds": sum(record.seconds for record, trained in uses if trained),
        }
        return {name: (before.get(name) or 0.0) + value for name, value in added.items()}


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Compute with the threads that the stage key names, whatever this process was set to."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_of(kind: str) -> torch.device:
    """The torch device of a run.

    Raises:
        TuneCLError: CUDA is asked for and there is none.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        raise TuneCLError(
            "device cuda: this machine has no CUDA GPU that torch can use; leave GPUs out to run on the CPU"
        )
    return torch.device(kind)
