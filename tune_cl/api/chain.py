"""For people who write their own scripts: run a chain, use the Trainable in one's own Tuner, load the winner."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_cl.api.call import takes
from tune_cl.options import ChainOptions, ConfigureOptions, Numerics, TrainableOptions
from tune_cl.records import IncrementRow, RunConfig, SearchFolder, given_path

if TYPE_CHECKING:
    from tune_cl.api.classifier import LoadedClassifier


@takes(ConfigureOptions)
def configure(options: ConfigureOptions) -> RunConfig:
    """The default configuration of a space for a stream and a budget, with changes.

    Raises:
        TuneCLError: something is unknown or out of bounds.

    Example:
        >>> run = tune_cl.configure("genifer.yaml", stream="fashion-b4-t3", budget="quick", train_seed=1)
    """
    from tune_cl.api.configured import configured

    return configured(options.space, options, options.numerics or Numerics())


@takes(ChainOptions)
def run_chain(options: ChainOptions) -> list[IncrementRow]:
    """Run one configuration along its stream in this process, without Ray.

    Returns:
        The rows of increments 0 to the horizon.

    Raises:
        TuneCLError: the configuration, the stream or its data are not in order.

    Example:
        >>> rows = tune_cl.run_chain("results/genifer-fashion-b4-t3-quick/best.yaml")
        >>> rows[-1].metrics["val/accuracy"]
    """
    from tune_cl.api.chains import Chains

    config, chains = Chains.of(options.run, options)
    call = options.on_increment
    if options.output is not None:
        from tune_cl.api.recorder import recording

        with recording(options.output, config, chains, {}) as recorder:
            return recorder.run({}, call)
    return chains.run(config, *([lambda increment: call(increment.row)] if call else []))


@takes(TrainableOptions)
def trainable(options: TrainableOptions) -> Any:
    """A Ray Tune Trainable for one's own `tune.Tuner`: `step()` is one increment, its metrics are those of the docs.

    A trial's configuration is `{path: value}`: what differs from the space's default, or from the configuration that is
    given in place of a space and of all that makes one of it. Stages are shared by all trials. With `fresh`, no stage
    is used that this Trainable's own trials have not trained. `cpus` and `gpus` are what Ray reserves for a trial; they
    decide on threads and device, `numerics` on the precision and the memory layout.

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

    from tune_cl.api.chains import Chains
    from tune_cl.api.configured import configured
    from tune_cl.engine import ChainTrainable
    from tune_cl.nets import check_backbone

    run, cpus, gpus = options.space, options.cpus, options.gpus
    if isinstance(run, RunConfig):
        cpus, gpus = run.threads, gpus or float(run.device == "cuda")
    else:
        device = "cuda" if gpus else "cpu"
        run = configured(run, options, Numerics.of(options.numerics or Numerics(), cpus, device))
    run, chains = Chains.of(run, options)
    if chains.backbone is not None:
        check_backbone(chains.backbone, chains.stream.image_shape[0])
    given = tune.with_parameters(
        ChainTrainable,
        stream=chains.stream,
        stages=str(chains.stages.absolute()),
        base=run,
        checkpoint_every=chains.checkpoint_every,
        loader_workers=chains.loader_workers,
        backbone=chains.backbone,
        plugins=chains.plugins,
        search=uuid.uuid4().hex if chains.fresh else None,
        fresh=chains.fresh,
    )
    return tune.with_resources(given, {"cpu": cpus, "gpu": gpus})


def load(search: str | Path) -> "LoadedClassifier":
    """The winner of a search, ready to classify.

    Args:
        search: a `SearchResult`, the folder of a search, or a weights file such as `best/classifier.pt`.

    Returns:
        The classifier, in eval mode. It takes float32 images (B, C, H, W) that are normalised, uint8 ones, and lists of
        PIL images: see `LoadedClassifier`.

    Raises:
        TuneCLError: there are no weights, or they are none of ours.

    Example:
        >>> classifier = tune_cl.load("results/genifer-fashion-b4-t3-quick")
        >>> classifier.names([Image.open("shirt.png")])
    """
    from tune_cl.api.classifier import LoadedClassifier
    from tune_cl.engine import load_weights

    path = given_path(search, "search")
    return LoadedClassifier(*load_weights(SearchFolder(path).best_weights if path.is_dir() else path))
