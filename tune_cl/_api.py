"""For people who write their own scripts: run a chain, use the Trainable in one's own Tuner, load the winner."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_cl.records import IncrementRow, RunConfig, SearchFolder, StreamRecord, read_record

if TYPE_CHECKING:
    from tune_cl.nets import Classifier


def configure(space: str, **choices: Any) -> RunConfig:
    """The default configuration of a space; see `tune_cl.engine.configure` for the choices.

    Example:
        >>> run = tune_cl.configure("genifer.yaml", stream="fashion-b4-t3", budget="quick", train_seed=1)
    """
    from tune_cl.engine import configure

    return configure(space, **choices)


def run_chain(
    run: RunConfig | str | Path,
    *,
    stages: str | Path = "results/stages",
    data_root: str | Path | None = None,
    accept_modified_data: bool = False,
    on_increment: Callable[[IncrementRow], None] | None = None,
) -> list[IncrementRow]:
    """Run one configuration along its stream in this process, without Ray.

    Args:
        run: a configuration, or the path of a `best.yaml` or `config.yaml`.
        stages: folder of the stage store; what is there already is not trained again.
        data_root: folder of data sets that are not embedded.
        accept_modified_data: take data files that differ from the published ones.
        on_increment: called with each row as it comes.

    Returns:
        The rows of increments 0 to the horizon.

    Raises:
        TuneCLError: the configuration, the stream or its data are not in order.

    Example:
        >>> rows = tune_cl.run_chain("results/genifer-fashion-b4-t3-quick/best.yaml")
        >>> rows[-1].metrics["val/accuracy"]
    """
    from tune_cl.chain import Chain, Pins, StageStore
    from tune_cl.streams import open_stream

    config = run if isinstance(run, RunConfig) else read_record(Path(run), RunConfig)
    stream = open_stream(config.stream, Path(data_root) if data_root else None, accept_modified_data)
    chain, rows = Chain(config, stream, StageStore(Path(stages))), []
    with Pins(Path(stages)).hold(key for _, _, key in chain.planned_keys()):
        while not chain.done:
            rows.append(chain.advance().row)
            if on_increment:
                on_increment(rows[-1])
    return rows


def trainable(
    space: str = "genifer.yaml",
    *,
    stream: str | StreamRecord | None = None,
    budget: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    train_seed: int = 0,
    stages: str | Path = "results/stages",
    data_root: str | Path | None = None,
    accept_modified_data: bool = False,
    cpus: int = 1,
    gpus: float = 0,
) -> Any:
    """A Ray Tune Trainable for one's own `tune.Tuner`: `step()` is one increment, its metrics are those of the docs.

    A trial's configuration is `{path: value}`: what differs from the space's default. Stages are shared by all trials.

    Raises:
        TuneCLError: the space, the stream or its data are not in order.

    Example:
        >>> tuner = tune.Tuner(
        ...     tune_cl.trainable("genifer.yaml", stream="fashion-b4-t3", budget="quick"),
        ...     param_space={"increment.classifier.weight_ce": tune.loguniform(0.05, 0.9)},
        ...     tune_config=tune.TuneConfig(metric="val/average_incremental_accuracy", mode="max", num_samples=8),
        ... )
    """
    from ray import tune

    from tune_cl.engine import ChainTrainable, configure
    from tune_cl.streams import open_stream

    device = "cuda" if gpus else "cpu"
    run = configure(
        space, stream=stream, budget=budget, overrides=overrides, train_seed=train_seed, threads=cpus, device=device
    )
    data = open_stream(run.stream, Path(data_root) if data_root else None, accept_modified_data)
    given = tune.with_parameters(ChainTrainable, stream=data, stages=str(Path(stages).absolute()), base=run)
    return tune.with_resources(given, {"cpu": cpus, "gpu": gpus})


def load(search: str | Path) -> "Classifier":
    """The winner of a search, ready to classify: normalised images (B, C, H, W) -> logits (B, classes), in eval mode.

    Args:
        search: the folder of a search, or a weights file such as `best/classifier.pt`.

    Returns:
        The classifier; `class_names`, `mean` and `std` are in its `about` attribute.

    Raises:
        TuneCLError: there are no weights, or they are none of ours.
    """
    from tune_cl.engine import load_weights

    path = Path(search)
    classifier, about = load_weights(SearchFolder(path).best_weights if path.is_dir() else path)
    classifier.about = about  # type: ignore[assignment]
    return classifier
