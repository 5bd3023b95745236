"""What `--list` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tune_cl.api.data import listed_folders
from tune_cl.api.plugins import load_named
from tune_cl.methods import get_method, method_names
from tune_cl.metrics import METRICS, VALIDATION
from tune_cl.nets import get_network, network_names
from tune_cl.streams import DATASETS, brought_by
from tune_cl.study import SAMPLERS, STOPPING_RULES, load_space, shipped_spaces
from tune_cl.tracking import tracker_packages


def show_catalogue(plugins: Sequence[str], data_sets: Sequence[str]) -> None:
    """Print what can be named: spaces, methods, data sets, samplers, rules, metrics, networks, trackers.

    Raises:
        TuneCLError: a plugin cannot be imported, or a folder is not in order.
    """
    load_named(plugins)
    own = listed_folders(data_sets)
    console = Console(highlight=False)
    spaces = table_of("spaces (--space)", "space", "method", "scales", "budgets")
    for name in shipped_spaces():
        space = load_space(name)
        budgets = sorted({budget for scale in space.scales.values() for budget in scale.budgets})
        spaces.add_row(name, space.method, ", ".join(space.scales), ", ".join(budgets))
    methods = table_of("methods", "method", "what it does")
    for name in method_names():
        methods.add_row(name, get_method(name).summary)
    data = table_of(
        "data sets (--stream DATASET-b<base classes>-t<increments>)", "data set", "classes", "scale", "source"
    )
    for dataset in DATASETS:
        source = brought_by(dataset.name) or ("embedded" if dataset.source == "embedded" else "--data-root")
        data.add_row(dataset.name, str(dataset.n_classes), dataset.scale, source)
    for found in own:
        data.add_row(found.name, str(found.folder.n_classes), found.folder.scale, escape(found.folder.folder))
    samplers = table_of("samplers (--sampler)", "sampler", "options", "what it does")
    for sampler in SAMPLERS:
        samplers.add_row(sampler.name, sampler.written_options(), sampler.summary())
    samplers.add_row("optuna:NAME", "its arguments", "any sampler of Optuna, such as optuna:GPSampler")
    rules = table_of("stopping rules (--scheduler)", "rule", "options", "what it does")
    for rule in STOPPING_RULES:
        rules.add_row(rule.name, rule.written_options(), rule.summary())
    metrics = table_of("metrics (--objective)", "metric", "better", "what it is")
    for metric in METRICS:
        prefix = "" if metric.formula is None else VALIDATION
        metrics.add_row(prefix + metric.name, "more" if metric.direction == "max" else "less", metric.label)
    networks = table_of("networks (base.classifier.network)", "network", "width")
    for network in map(get_network, network_names()):
        networks.add_row(network.name, "any" if network.width is None else str(network.width))
    trackers = table_of("trackers (--tracker)", "tracker", "")
    for tracker, package in tracker_packages().items():
        trackers.add_row(tracker, "" if package is None else f"needs pip install {package}")
    for table in (spaces, methods, data, samplers, rules, metrics, networks, trackers):
        console.print(table)
        console.print()


def table_of(title: str, *columns: str) -> Table:
    """An empty table with a title, and a heading for each column."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    return table
