"""What `--dry-run` prints."""

from collections.abc import Sequence
from itertools import accumulate

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tune_cl.api.search import Plan
from tune_cl.chain import forecast
from tune_cl.cli._catalogue import table_of
from tune_cl.engine import run_config
from tune_cl.methods import Phase, Settings, get_method
from tune_cl.options import Race
from tune_cl.records import SearchRecord
from tune_cl.store import Inventory, Pins
from tune_cl.text import duration_text
from tune_cl.training import stage_bytes


def show_plan(plan: Plan) -> None:
    """Print what a search would do: space, trials, stages, disk, trial 0."""
    console = Console(highlight=False, soft_wrap=True)
    record, method = plan.record, get_method(plan.record.method)
    searched = [row for row in plan.space.describe() if row.searched]
    table = table_of(
        f"searched: {len(searched)} of {len(plan.space.default)} parameters", "path", "range", "default", "what"
    )
    for row in searched:
        table.add_row(row.path, escape(row.value), str(row.default), row.description)
    console.print(table)
    console.print()
    config = method.config.model_validate(plan.space.configuration({}))
    chain = [(t, phase) for t in range(record.horizon + 1) for phase in method.phases(config, t, record.horizon)]
    seen = list(accumulate(plan.stream.class_sizes(t) for t in range(record.horizon + 1)))
    sizes = [_bytes(plan, config, phase, seen[t]) for t, phase in chain]
    base = [size for (t, _), size in zip(chain, sizes, strict=True) if t == 0]
    fixed_base = not plan.space.searched_changes_base()
    bases = 1 if fixed_base else min(record.base_configurations or record.trials, record.trials)
    stages = bases * len(base) + record.trials * (len(chain) - len(base))
    disk = "about " + _size(bases * sum(base) + record.trials * (sum(sizes) - sum(base)))
    if not all(sizes):
        disk = "an unknown amount"  # a plugin's networks
    own = record.stream.folder
    facts = {
        "search": f"{record.name}: {record.method} on {record.stream.name}, budget {record.budget}",
        "scale": f"{record.scale}. {plan.why_scale}".removesuffix(". ") if own is None else record.scale,
        **({"data set": plan.why_scale} if own is not None else {}),
        "judged by": f"{record.objective} ({record.direction}), increment {record.horizon}, protocol {record.protocol}",
        "trials": f"{record.trials}, {plan.resources.concurrency} at a time, each with {plan.resources.cpus} CPU"
        + (f" and {plan.resources.gpus:g} GPU" if plan.resources.gpus else ""),
        "sampler, scheduler": f"{record.sampler}, {record.scheduler}",
        **_finalists(record),
        "stages": f"at most {stages}: {len(chain)} a trial"
        + (f", the {len(base)} of the base task trained once" if fixed_base else "; the base task is searched, too")
        + (f", with {bases} bases at most" if not fixed_base and bases < record.trials else ""),
        "sharing": _sharing(plan, bases),
        "disk": f"{disk} of stages in {plan.stages}",
        "results": str(plan.folder.path) + (" (exists: the search goes on)" if plan.folder.search.exists() else ""),
    }
    grid = Table.grid(padding=(0, 2))
    for name, text in facts.items():
        grid.add_row(name, escape(text))
    console.print(grid)
    for unreachable in plan.unreachable:
        console.print(f"\n[yellow]{escape(str(unreachable))}[/yellow]")
    console.print("\nconfiguration of trial 0 (the default):")
    console.print(escape(yaml.safe_dump(plan.space.configuration({}), sort_keys=False)))
    console.print("Nothing was written.")


def _finalists(record: SearchRecord) -> dict[str, str]:
    """What training the best trials again adds, where that was asked for."""
    if record.race is None:
        return {}
    most = Race.of(record.race, "race").most_runs(record.trials)
    return {"finalists": f"{record.race}: at most {most} runs more, each of the increments alone; not counted below"}


def _sharing(plan: Plan, bases: int) -> str:
    """What sharing the base task can save, from stored or estimated costs."""
    record = plan.record
    holdings = Inventory(plan.stages, Pins(plan.stages)).scan()
    stored = {key: entry.record for key, entry in holdings.entries.items() if entry.record is not None}
    cost = forecast(run_config(record, plan.space.configuration({})), plan.stream, stored)
    source = {
        "stored": "as its stored stages cost",
        "like": "estimated from stored stages of their kinds",
        "images": "estimated, counting images",
    }[cost.source]
    n = record.trials
    text = (
        f"at most {cost.bound(bases, n):.2f} times cheaper than trial by trial: the base is {cost.base_share:.0%} of a "
        f"full trial (b; {source}), {bases} base configuration{'s' if bases > 1 else ''} (k), {n} trials (N)"
    )
    if cost.unit == "seconds":
        alone = n * (cost.base + cost.increments)
        text += f"; {duration_text(alone / cost.bound(bases, n))} of training instead of {duration_text(alone)}"
    return text


def _bytes(plan: Plan, config: Settings, phase: Phase, class_sizes: Sequence[int]) -> int:
    """Bytes of a stage, given the training images of each class seen.

    0 where the method says nothing of its networks in the way that the package's do.
    """
    stream = plan.stream
    method = get_method(plan.record.method)
    try:
        return stage_bytes(method, config, phase, stream.image_shape, class_sizes, stream.n_classes)
    except KeyError:
        return 0


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
