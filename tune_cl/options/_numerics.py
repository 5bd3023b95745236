"""How numbers are computed: part of every stage key, as resolved, and the same throughout a search."""

from dataclasses import dataclass, replace
from typing import Annotated

from tune_cl.options._bounds import THREADS
from tune_cl.options._kinds import SWITCH, one_of, whole
from tune_cl.options._option import Option, Options

_HOW = "how to compute"


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Options):
    """Precision, memory layout and determinism; see `Numerics`."""

    precision: Annotated[
        str,
        Option(
            "float32, or bfloat16: convolutions in it, but weights, losses, statistics and optimizers in float32 "
            "(default: auto, which is float32)",
            one_of("auto", "float32", "bfloat16"),
            _HOW,
        ),
    ] = "auto"
    memory_format: Annotated[
        str,
        Option(
            "channels_last or contiguous, how maps lie in memory (default: auto, which is channels_last)",
            one_of("auto", "channels_last", "contiguous"),
            _HOW,
        ),
    ] = "auto"
    deterministic: Annotated[
        bool,
        Option("bit-equal repetitions on a GPU, too, with slower kernels; on CPUs they always are", SWITCH, _HOW),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Numerics(Arithmetic):
    """Everything besides configuration, data and seed that decides a result's last digits.

    Attributes:
        threads: None for 1, or for what a configuration has recorded.
        device: the same, for the CPU.

    Example:
        >>> tune_cl.configure("lwf", numerics=Numerics(threads=2, memory_format="contiguous"))
    """

    threads: Annotated[int | None, Option("CPU threads (default: 1)", whole(THREADS), _HOW)] = None
    device: Annotated[str | None, Option("cpu or cuda (default: cpu)", one_of("cpu", "cuda"), _HOW)] = None

    @classmethod
    def of(cls, arithmetic: Arithmetic, threads: int, device: str) -> "Numerics":
        """Precision and layout as an option record has them, on so many threads of a device; resolved."""
        return cls(
            precision=arithmetic.precision,
            memory_format=arithmetic.memory_format,
            deterministic=arithmetic.deterministic,
            threads=threads,
            device=device,
        ).resolved()

    def resolved(self) -> "Numerics":
        """What `auto` and None stand for. Precision is lowered on request alone; on a CPU all is deterministic."""
        device = self.device or "cpu"
        return replace(
            self,
            precision="float32" if self.precision == "auto" else self.precision,
            memory_format="channels_last" if self.memory_format == "auto" else self.memory_format,
            deterministic=self.deterministic and device == "cuda",
            threads=self.threads or 1,
            device=device,
        )

    def over(self, recorded: "Numerics") -> "Numerics":
        """These where they are given, else those that are recorded; resolved."""
        return replace(
            recorded,
            precision=recorded.precision if self.precision == "auto" else self.precision,
            memory_format=recorded.memory_format if self.memory_format == "auto" else self.memory_format,
            deterministic=self.deterministic or recorded.deterministic,
            threads=self.threads or recorded.threads,
            device=self.device or recorded.device,
        ).resolved()
