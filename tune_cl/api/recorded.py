"""A chain that no search ran, in the folder of a search of one trial: what `evaluate` and `compare` can read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tune_cl.api.continued import continued
from tune_cl.api.provenance import git_commit, versions
from tune_cl.chain import Increment
from tune_cl.engine import Conductor, save_winner
from tune_cl.methods import flatten, get_method, method_source
from tune_cl.plugins import Plugin
from tune_cl.records import RunConfig, SearchFolder, SearchRecord, SearchSeeds, exclusive_lock, nothing_left, write_json
from tune_cl.streams import Stream, shape_of
from tune_cl.study import SearchSpace, Study, StudySettings
from tune_cl.tracking import Trackers

_OBJECTIVE = "val/average_incremental_accuracy"


@contextmanager
def recorded(
    run: RunConfig, stream: Stream, folder: SearchFolder, stages: Path, plugins: Sequence[Plugin]
) -> Iterator[Callable[[Increment], None]]:
    """Write a chain's increments as those of trial 0 of a search in which nothing is searched.

    Args:
        run: the chain's configuration.
        stream: that it runs on.
        folder: where to write; a chain of the same configuration that was interrupted is resumed there.
        stages: where the chain's stages are.
        plugins: that were imported for it.

    Yields:
        What each increment is to be given to; at the end of a whole chain summary, best configuration and weights are
        written.

    Raises:
        TuneCLError: the folder holds another search or chain, or cannot be written.
    """
    method, values = get_method(run.method), flatten(run.parameters)
    space = SearchSpace(method.config, values, {}, values, str(folder.path))
    whole = run.horizon == shape_of(run.stream).increments
    record = SearchRecord(
        name=folder.path.name,
        method=run.method,
        stream=run.stream,
        scale="as configured",
        budget=run.budget,
        protocol="stream" if whole else f"first_{run.horizon}",
        horizon=run.horizon,
        objective=_OBJECTIVE,
        seeds=SearchSeeds(search=0, order=run.stream.order_seed, split=run.stream.split_seed, train=run.train_seed),
        sampler="random",
        scheduler="none",
        threads=run.threads,
        device=run.device,
        fixed=values,
        ranges={},
        default=values,
        data_fingerprint=stream.fingerprint,
        method_source=method_source(method),
        trials=1,
        versions=versions(),
        git_commit=git_commit(),
        plugins=[plugin.module for plugin in plugins],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    record = continued(folder, record)
    with nothing_left(folder.path), exclusive_lock(folder):
        study = Study.open(folder.study, record.name, space, StudySettings.of(record), folder)
        write_json(folder.search, record)
        study.bind(folder, record.study or "")
        conductor = Conductor(study, space, record, folder, Trackers([]))
        conductor.begin()
        conductor.next_trial()

        def take(increment: Increment) -> None:
            if increment.row.increment >= conductor.next_increment(0):
                preview = increment.preview
                conductor.on_increment(increment.row, None if preview is None else preview.numpy())

        yield take
        if conductor.conclude().best is not None:
            save_winner(folder, 0, stream, stages)
