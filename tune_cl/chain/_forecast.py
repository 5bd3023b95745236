"""What a configuration's stages will cost, from what the store knows and from what the phases say beforehand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tune_cl.chain._planned import planned_keys
from tune_cl.methods import get_method
from tune_cl.records import RunConfig
from tune_cl.store import StageRecord
from tune_cl.streams import Stream


@dataclass(frozen=True)
class Forecast:
    """The expected cost of a chain.

    Attributes:
        costs: of increments 0, 1, …
    """

    costs: tuple[float, ...]
    unit: Literal["seconds", "images"]
    source: Literal["stored", "like", "images"]  # these very stages; stages of their kinds; only images are known

    @property
    def base(self) -> float:
        """The cost of the base task."""
        return self.costs[0]

    @property
    def increments(self) -> float:
        """The cost of what comes after it."""
        return sum(self.costs[1:])

    @property
    def base_share(self) -> float:
        """b: the base task's share of the cost."""
        return self.base / (self.base + self.increments)

    def bound(self, base_configurations: int, trials: int) -> float:
        """The factor that sharing k bases among N full trials saves at most: 1 / (1 - b (1 - k / N))."""
        return 1 / (1 - self.base_share * (1 - min(base_configurations, trials) / trials))


def forecast(run: RunConfig, stream: Stream, stored: Mapping[str, StageRecord]) -> Forecast:
    """Expect the cost of a configuration as if trained alone.

    In seconds, if each of its stages is stored, or stages of each of their kinds are, trained on such images on such a
    device: those give seconds per image. Else in images, as if each cost the same in every phase.

    Args:
        run: the configuration.
        stream: the stream that it names.
        stored: what the store has, by key.
    """
    method = get_method(run.method)
    config = method.config.model_validate(run.parameters)
    keys = {(t, name): key for t, name, key in planned_keys(run, stream)}
    images: dict[int, list[float]] = {}
    seconds: dict[int, list[float | None]] = {}
    known = True
    seen: list[int] = []
    for t in range(run.horizon + 1):
        new = stream.class_sizes(t)
        sizes = method.sizes(config, seen, new)
        seen += new
        for phase in method.phases(config, t, run.horizon):
            n = phase.images(method.subtree(config, t, phase), sizes)
            exact = stored.get(keys[t, phase.name])
            known = known and exact is not None
            rate = None if exact else _seconds_per_image(phase.kind, run, stream, stored.values())
            images.setdefault(t, []).append(n)
            seconds.setdefault(t, []).append(exact.seconds if exact else rate and rate * n)
    in_seconds = {t: [value for value in of_t if value is not None] for t, of_t in seconds.items()}
    if all(len(in_seconds[t]) == len(images[t]) for t in images):
        return Forecast(_totals(in_seconds), "seconds", "stored" if known else "like")
    return Forecast(_totals(images), "images", "images")


def _totals(costs: Mapping[int, list[float]]) -> tuple[float, ...]:
    return tuple(sum(costs[t]) for t in sorted(costs))


def _seconds_per_image(kind: str, run: RunConfig, stream: Stream, stored: Iterable[StageRecord]) -> float | None:
    like = [
        record
        for record in stored
        if record.ingredients["phase"]["kind"] == kind
        and record.ingredients["stream"]["image_shape"] == list(stream.image_shape)
        and record.ingredients["numerics"]["device"] == run.device
        and record.ingredients["numerics"]["threads"] == run.threads
    ]
    images = sum(record.images_trained for record in like)
    return sum(record.seconds for record in like) / images if images else None
