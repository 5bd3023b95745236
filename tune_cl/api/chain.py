"""For people who write their own scripts: run a chain, use the Trainable in one's own Tuner, load the winner."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_cl.errors import TuneCLError, shown
from tune_cl.options import (
    SEED,
    THREADS,
    Numerics,
    check_changes,
    check_folders,
    check_names,
    check_text,
)
from tune_cl.records import (
    IncrementRow,
    RunConfig,
    SearchFolder,
    StreamRecord,
    given_file,
    given_path,
)

if TYPE_CHECKING:
    from tune_cl.api.classifier import LoadedClassifier


def configure(
    space: str | Path,
    *,
    stream: str | StreamRecord | None = None,
    budget: str | None = None,
    preset: str | None = None,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    train_seed: int = 0,
    numerics: Numerics | None = None,
    backbone_weights: str | Path | None = None,
    plugins: Sequence[str] = (),
    data_sets: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The default configuration of a space for a stream and a budget, with changes.

    Args:
        space: a space file, or the name of a shipped one.
        stream: the stream's name, or a record with class order and seeds; None for the space's own.
        budget: None for the space's own.
        preset: one of the sets of values that the space names, such as 'published'; None for the space's own choice.
        scale: one of the space's scales, such as 'cifar'; None for what fits the data set and this machine: 32x32
            colour images are learnt at 'small32' where there is no GPU.
        overrides: path -> fixed value.
        train_seed: seed of everything random inside the chain.
        numerics: device, threads, precision and memory layout; None for one thread of the CPU in float32.
        backbone_weights: file of pretrained weights that the base task starts from.
        plugins: modules from outside the package whose methods are to be known.
        data_sets: folders of your own images: name of the data set -> folder of images per class, YAML file of
            settings, or the settings themselves, such as `{"glyphs": {"folder": "glyphs", "size": 32}}`.

    Raises:
        TuneCLError: something is unknown or out of bounds.

    Example:
        >>> run = tune_cl.configure("genifer.yaml", stream="fashion-b4-t3", budget="quick", train_seed=1)
    """
    from tune_cl.api.asked import changes_of
    from tune_cl.api.data import own_folders
    from tune_cl.engine import configure

    return configure(
        str(given_path(space, "space")),
        stream=stream if isinstance(stream, StreamRecord) else _given(check_text, stream, "stream"),
        budget=_given(check_text, budget, "budget"),
        preset=_given(check_text, preset, "preset"),
        scale=_given(check_text, scale, "scale"),
        overrides=changes_of(_given(check_changes, overrides, "overrides") or ()),
        train_seed=SEED.check(train_seed, "train_seed"),
        numerics=_numerics(numerics),
        backbone_weights=_given(given_file, backbone_weights, "backbone_weights"),
        plugins=check_names(plugins, "plugins"),
        data_sets=own_folders(_given(check_folders, data_sets, "data_sets") or ()),
    )


def run_chain(
    run: RunConfig | str | Path,
    *,
    stages: str | Path = "results/stages",
    data_root: str | Path | None = None,
    accept_modified_data: bool = False,
    loader_workers: int | None = None,
    backbone_weights: str | Path | None = None,
    plugins: Sequence[str] = (),
    data_sets: Mapping[str, Any] | None = None,
    fresh: bool = False,
    output: str | Path | None = None,
    on_increment: Callable[[IncrementRow], None] | None = None,
) -> list[IncrementRow]:
    """Run one configuration along its stream in this process, without Ray.

    Args:
        run: a configuration, or the path of a `best.yaml` or `config.yaml`.
        stages: folder of the stage store; what is there already is not trained again.
        data_root: folder of data sets that are not embedded.
        accept_modified_data: take data files that differ from the published ones.
        loader_workers: processes that decode image files ahead, where images are not in memory; None: up to four.
        backbone_weights: file of pretrained weights, where the configuration names one (by its SHA-256).
        plugins: modules from outside the package whose methods are to be known.
        data_sets: where the images of the configuration's data set lie now, if they have moved.
        fresh: train all stages anew, and replace those in the store.
        output: folder to write rows, configuration and weights to, as a search of one trial does: `evaluate`,
            `compare`, `open_result` and `load` take it. A chain that was interrupted is resumed there.
        on_increment: called with each row as it comes.

    Returns:
        The rows of increments 0 to the horizon.

    Raises:
        TuneCLError: the configuration, the stream or its data are not in order.

    Example:
        >>> rows = tune_cl.run_chain("results/genifer-fashion-b4-t3-quick/best.yaml")
        >>> rows[-1].metrics["val/accuracy"]
    """
    from tune_cl.api.chains import Chains

    if on_increment is not None and not callable(on_increment):
        raise TuneCLError(f"on_increment {on_increment!r}: cannot be called; give a function of one row")
    config, chains = Chains.of(
        run,
        stages,
        data_root=data_root,
        accept_modified_data=accept_modified_data,
        loader_workers=loader_workers,
        backbone_weights=backbone_weights,
        plugins=plugins,
        data_sets=data_sets or (),
        fresh=fresh,
    )
    if output is not None:
        from tune_cl.api.recorder import recording

        with recording(output, config, chains, {}) as recorder:
            return recorder.run({}, on_increment)
    return chains.run(config, *([lambda increment: on_increment(increment.row)] if on_increment else []))


def trainable(
    space: str | Path | RunConfig = "genifer.yaml",
    *,
    stream: str | StreamRecord | None = None,
    budget: str | None = None,
    preset: str | None = None,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    train_seed: int = 0,
    stages: str | Path = "results/stages",
    data_root: str | Path | None = None,
    accept_modified_data: bool = False,
    loader_workers: int | None = None,
    backbone_weights: str | Path | None = None,
    plugins: Sequence[str] = (),
    data_sets: Mapping[str, Any] | None = None,
    fresh: bool = False,
    numerics: Numerics | None = None,
    cpus: int = 1,
    gpus: float = 0,
) -> Any:
    """A Ray Tune Trainable for one's own `tune.Tuner`: `step()` is one increment, its metrics are those of the docs.

    A trial's configuration is `{path: value}`: what differs from the space's default, or from the configuration that is
    given in place of a space and of all that makes one of it. Stages are shared by all trials.
    `backbone_weights` is a file that the base task starts from; `plugins` are modules whose methods are to be known,
    here and in the workers; `data_sets` are folders of your own images, as for `configure`. With `fresh`, no stage is
    used that this Trainable's own trials have not trained. `cpus` and `gpus` are what Ray reserves for a trial; they
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
    from tune_cl.engine import ChainTrainable
    from tune_cl.nets import check_backbone

    if isinstance(gpus, bool) or not isinstance(gpus, int | float) or not 0 <= gpus < 1024:
        raise TuneCLError(f"gpus {gpus!r}: must be a fraction from 0 to 1, or a whole number")
    if isinstance(space, RunConfig):
        run, cpus, gpus = space, space.threads, gpus or float(space.device == "cuda")
    else:
        run = configure(
            space,
            stream=stream,
            budget=budget,
            preset=preset,
            scale=scale,
            overrides=overrides,
            train_seed=train_seed,
            numerics=Numerics.of(_numerics(numerics), THREADS.check(cpus, "cpus"), "cuda" if gpus else "cpu"),
            backbone_weights=backbone_weights,
            plugins=plugins,
            data_sets=data_sets,
        )
    run, chains = Chains.of(
        run,
        stages,
        data_root=data_root,
        accept_modified_data=accept_modified_data,
        loader_workers=loader_workers,
        backbone_weights=backbone_weights,
        plugins=plugins,
        data_sets=data_sets or (),
        fresh=fresh,
    )
    if chains.backbone is not None:
        check_backbone(chains.backbone, chains.stream.image_shape[0])
    given = tune.with_parameters(
        ChainTrainable,
        stream=chains.stream,
        stages=str(chains.stages.absolute()),
        base=run,
        loader_workers=chains.loader_workers,
        backbone=chains.backbone,
        plugins=chains.plugins,
        search=uuid.uuid4().hex if fresh else None,
        fresh=fresh,
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


def _given(check: Callable[[Any, str], Any], value: Any, name: str) -> Any:
    """A checked argument, or None."""
    return None if value is None else check(value, name)


def _numerics(given: Any) -> Numerics:
    if given is None:
        return Numerics()
    if not isinstance(given, Numerics):
        raise TuneCLError(f"numerics {shown(given)}: not tune_cl.Numerics; write Numerics(threads=2)")
    return given
