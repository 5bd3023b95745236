"""Single chains and what they run on, for people who write their own scripts. Knows neither Ray nor Optuna."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tune_cl.api.data import open_named
from tune_cl.api.places import weights_file
from tune_cl.chain import Chain, Increment, check_run, read_named_backbone, read_run
from tune_cl.nets import Backbone
from tune_cl.options import ChainRuntime
from tune_cl.plugins import Plugin, load_plugins
from tune_cl.records import IncrementRow, RunConfig, given_file, given_folder
from tune_cl.store import Pins, StageStore, checkpoint_pace
from tune_cl.streams import Stream


@dataclass(frozen=True)
class Chains:
    """What chains on one stream need besides their configurations."""

    stream: Stream
    stages: Path
    plugins: tuple[Plugin, ...]
    loader_workers: int | None
    checkpoint_every: float
    backbone: Backbone | None
    fresh: bool

    @classmethod
    def of(cls, run: RunConfig | str | Path, options: ChainRuntime) -> tuple[RunConfig, "Chains"]:
        """A configuration that is checked, and what chains of its stream need.

        Raises:
            TuneCLError: the configuration, the stream or its data are not in order.
        """
        plugins = load_plugins(options.plugins)
        config = check_run(run, "run: ") if isinstance(run, RunConfig) else read_run(given_file(run, "run"))
        chains = cls(
            open_named(config.stream, options),
            given_folder(options.stages, "stages"),
            plugins,
            options.loader_workers,
            checkpoint_pace(options.checkpoint_every),
            read_named_backbone(config, weights_file(options)),
            options.fresh,
        )
        return config, chains

    def run(self, config: RunConfig, *take: Callable[[Increment], object]) -> list[IncrementRow]:
        """Run a chain to its end; each increment is passed on."""
        store = StageStore(self.stages, checkpoint_every=self.checkpoint_every)
        workers = self.loader_workers
        chain = Chain(config, self.stream, store, loader_workers=workers, backbone=self.backbone, fresh=self.fresh)
        rows = []
        with Pins(self.stages).hold(key for _, _, key in chain.planned_keys()):
            while not chain.done:
                increment = chain.advance()
                rows.append(increment.row)
                for function in take:
                    function(increment)
        return rows
