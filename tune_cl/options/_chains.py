"""Options of configurations and single chains: of `train`, and of the functions for loops of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from tune_cl.options._bounds import SEED, THREADS
from tune_cl.options._kinds import FUNCTION, GPUS, SWITCH, changes, instance, path, text, text_or_record, whole
from tune_cl.options._numerics import Numerics
from tune_cl.options._option import Option, Options
from tune_cl.options._records import SEARCHES, TRAINED, Outside, Runtime, StrPath

_SPACE = "space file: a path, or the name of a shipped one"
_RUN = "a configuration, or the path of a best.yaml or config.yaml"
_STORE = "folder of the stage store; what is there already is not trained again"
_FRESH = "train every stage anew, and replace what is stored"
_NUMERICS = Option(
    "Numerics: device, threads, precision and memory layout (default: one thread of the CPU in float32)",
    instance(Numerics, "tune_cl.Numerics; write Numerics(threads=2)"),
)


@dataclass(frozen=True, kw_only=True)
class Variant(Options):
    """Which of a space's configurations."""

    stream: Annotated[
        str | Any | None,
        Option("DATASET-b<base classes>-t<increments>; from Python also a StreamRecord", text_or_record()),
    ] = None
    budget: Annotated[str | None, Option("quick or full (default: the space's own)", text())] = None
    preset: Annotated[str | None, Option("a set of values that the space names, such as published", text())] = None
    scale: Annotated[
        str | None,
        Option(
            "network sizes and lengths that the space names (default: what fits the data set and the machine; small32 "
            "for small colour images where there is no GPU)",
            text(),
        ),
    ] = None
    overrides: Annotated[
        Mapping[str, Any] | Sequence[str],
        Option("change a parameter; repeatable", changes("PATH=VALUE"), "", "--set"),
    ] = ()
    train_seed: Annotated[
        int | None, Option("seed of everything random inside the chain (default: 0, or as recorded)", whole(SEED))
    ] = None


@dataclass(frozen=True)
class ConfigureOptions(Variant, Outside):
    """Options of `tune_cl.configure`.

    Example:
        >>> ConfigureOptions("genifer.yaml", stream="fashion-b4-t3", overrides={"base.classifier.epochs": 2})
    """

    space: Annotated[StrPath, Option(_SPACE, path("FILE"), "", "space")]
    _: KW_ONLY
    numerics: Annotated[Numerics | None, _NUMERICS] = None


@dataclass(frozen=True, kw_only=True)
class ChainRuntime(Runtime):
    """What chains need besides configurations."""

    stages: Annotated[StrPath, Option(_STORE, path())] = "results/stages"
    fresh: Annotated[bool, Option(_FRESH, SWITCH)] = False


@dataclass(frozen=True)
class ChainOptions(ChainRuntime):
    """Options of `tune_cl.run_chain`.

    Example:
        >>> ChainOptions("results/genifer-fashion-b4-t3-quick/best.yaml", output="mine")
    """

    run: Annotated[Any, Option(_RUN, instance(object), "", "run")]
    _: KW_ONLY
    output: Annotated[
        StrPath | None,
        Option(
            "folder to write rows, configuration and weights to, as a search of one trial does: evaluate, compare, "
            "open_result and load take it; a chain that was interrupted is resumed there",
            path(),
        ),
    ] = None
    on_increment: Annotated[Any | None, Option("function that is called with each row as it comes", FUNCTION)] = None


@dataclass(frozen=True)
class TrainableOptions(Variant, ChainRuntime):
    """Options of `tune_cl.trainable`.

    Example:
        >>> TrainableOptions("genifer.yaml", stream="fashion-b4-t3", budget="quick")
    """

    space: Annotated[Any, Option(f"{_SPACE}; or a configuration", instance(object), "", "space")] = "genifer.yaml"
    _: KW_ONLY
    numerics: Annotated[Numerics | None, _NUMERICS] = None
    cpus: Annotated[int, Option("CPUs that Ray reserves for a trial, and its threads", whole(THREADS))] = 1
    gpus: Annotated[
        float, Option("GPUs that Ray reserves for a trial, a fraction shares one; with any, it trains there", GPUS)
    ] = 0


@dataclass(frozen=True)
class RecordOptions(ChainRuntime):
    """Options of `tune_cl.record`.

    Example:
        >>> RecordOptions("results/mine", run, {"increment.classifier.weight_ce": {"log": [0.05, 0.9]}})
    """

    folder: Annotated[StrPath, Option("folder to write to", path(), "", "folder")]
    run: Annotated[Any, Option(f"the default, trial 0, which others are compared with: {_RUN}", instance(object))]
    ranges: Annotated[
        Mapping[str, Any] | None,
        Option(
            "what the loop searches: path -> range as in a space file, a domain of Ray Tune's, or a distribution of "
            "Optuna's",
            instance(Mapping, 'a mapping of paths to ranges; write {"base.classifier.epochs": {"int": [2, 8]}}'),
        ),
    ] = None
    _: KW_ONLY
    objective: Annotated[str, Option("metric at the last increment, or arithmetic over metrics", text("METRIC"))] = (
        "val/average_incremental_accuracy"
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Variant, Numerics, Runtime):
    """Options of `tune-cl train`: one chain without a search."""

    config: Annotated[StrPath | None, Option("best.yaml, or config.yaml of a trial", path("FILE"))] = None
    space: Annotated[
        StrPath | None,
        Option("the default configuration of a space file, in place of --config; with it the next four", path("FILE")),
    ] = None
    output: Annotated[StrPath | None, Option("write rows and weights here", path())] = None
    results: Annotated[StrPath, Option(SEARCHES, path())] = "results"
    stages: Annotated[StrPath | None, Option(TRAINED, path())] = None
    fresh: Annotated[bool, Option(_FRESH, SWITCH)] = False
