"""What a person reads at the end of an evaluation."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tune_cl.evaluation._plan import EvaluationPlan
from tune_cl.metrics import NEAREST_MEAN, TEST, read_out, scored_metrics
from tune_cl.records import EvaluatedConfiguration, EvaluationSummary, NeverTrainedAgain, Statistic, place_of
from tune_cl.reports import interval_over, paired_over, within_noise
from tune_cl.text import never_trained_again_text, plain_table

LOST = "{} lacks readings that results prove: it was deleted or changed"


def _metrics() -> dict[str, str]:
    """The metrics of the table under their full names, with their labels."""
    found = {TEST + metric.name: metric.label for metric in scored_metrics()}
    by_means = {f"{TEST}{NEAREST_MEAN}{metric.name}": f"{metric.label}, nearest mean" for metric in scored_metrics()}
    return found | by_means


def report(plan: EvaluationPlan, summary: EvaluationSummary) -> Iterator[RenderableType]:
    """The parts of the report, from top to bottom."""
    yield Text(f"\nTest data: {summary.method} on {summary.stream}, budget {summary.budget}", style="bold")
    yield Text(_setting(summary))
    yield Text()
    yield _table(summary)
    for configuration in summary.configurations:
        yield Text()
        yield from _values(configuration)
        yield Text(f"accuracy after increment (row) on the classes of increment (column), {_name(configuration)}")
        yield _matrix(configuration.accuracy_matrix)
    yield Text()
    yield from _verdict(summary)
    yield from (_untrained(summary, configuration) for configuration in summary.configurations)
    yield from (Text("Caution: ", style="bold yellow").append(c.sentence, style="default") for c in summary.cautions)
    for run, why in summary.missing.items():
        yield Text(f"No result of {run}: {why}", style="red")
    yield from _looks(plan, summary)


def _setting(summary: EvaluationSummary) -> str:
    orders, seeds = len(summary.class_orders), len(summary.train_seeds)
    kind = "held-out class orders" if summary.held_out else "class orders, not all held out"
    kind = kind.replace("orders", "order", 1) if orders == 1 else kind
    runs = max((len(configuration.runs) for configuration in summary.configurations), default=0)
    setting = f"{orders} {kind} x {seeds} seed{'s' if seeds > 1 else ''}"
    if runs != orders * seeds:  # not all of them yet, or those of several commands
        setting += f", {runs} runs of them"
    over = " or ".join(sorted({interval_over(map(place_of, c.runs)) for c in summary.configurations}))
    return (
        f"{setting}, trained on training and validation images; mean ± standard deviation, [95 % interval over {over}]"
    )


def _table(summary: EvaluationSummary) -> Table:
    table = plain_table()
    table.add_column("metric")
    for configuration in summary.configurations:
        table.add_column(_name(configuration), justify="right", no_wrap=True)
    if summary.difference is not None:
        table.add_column("chosen - default", justify="right", no_wrap=True)
    names = _metrics()
    if summary.objective not in names:
        names = {summary.objective: summary.objective, **names}
    for name, words in names.items():
        cells = [configuration.metrics.get(name) for configuration in summary.configurations]
        if not any(cells):
            continue
        difference = [] if summary.difference is None else [_signed(summary.difference.get(name)).replace(" ", "\n", 1)]
        table.add_row(words, *map(_spread, cells), *difference)
    return table


def _values(configuration: EvaluatedConfiguration) -> Iterator[Text]:
    last, average = (
        configuration.metrics.get(f"{TEST}{name}") for name in ("accuracy", "average_incremental_accuracy")
    )
    yield Text(f"{_name(configuration)}: every value", style="bold")
    for i, run in enumerate(configuration.runs):
        yield Text(f"  {place_of(run)}: accuracy {_of(last, i)}, average incremental {_of(average, i)}")


def _of(statistic: Statistic | None, i: int) -> str:
    return "-" if statistic is None else f"{statistic.values[i]:.4f}"


def _matrix(rows: Sequence[Sequence[float]]) -> Table:
    table = plain_table()
    table.add_column("")
    for i in range(len(rows)):
        table.add_column(str(i), justify="right")
    for t, row in enumerate(rows):
        table.add_row(str(t), *(f"{value:.3f}" for value in row))
    return table


def _verdict(summary: EvaluationSummary) -> Iterator[Text]:
    difference = (summary.difference or {}).get(summary.objective)
    if difference is None:
        return
    better = difference.mean > 0 if summary.direction == "max" else difference.mean < 0
    if difference.low is None:
        word = "cannot be told from noise with a single run of each"
    elif within_noise(difference):
        word = "within noise"
    else:
        word = "a real gain" if better else "a real loss"
    paired = f" (paired by class order and seed; interval over {paired_over(summary.configurations)})"
    over = "" if difference.low is None else paired
    yield Text(f"Chosen against default, {summary.objective}: {_signed(difference)}: {word}{over}.", style="bold")


def _untrained(summary: EvaluationSummary, configuration: EvaluatedConfiguration) -> Text:
    """What the base tasks of a configuration's runs give by themselves, by their means."""
    prefix = read_out(summary.objective) or TEST
    told = {
        name.removeprefix(prefix): found.mean
        for name, found in configuration.never_trained_again.items()
        if read_out(name) == prefix
    }
    if not told:
        return Text(f"Never training again: not known of the {configuration.role}, whose rows are older.")
    nearest_mean = prefix.endswith("nme/")
    found = NeverTrainedAgain(trial=configuration.trial, nearest_mean=nearest_mean, **told)
    return Text(never_trained_again_text(found, summary.objective))


def _looks(plan: EvaluationPlan, summary: EvaluationSummary) -> Iterator[Text]:
    if summary.earlier_choices:
        named = ", ".join(f"{trial:04d}" for trial in summary.earlier_choices)
        yield Text(
            f"Test data were read before for what this search had chosen then (trial {named}): a choice between the "
            "two results would be a choice on test data.",
            style="bold",
        )
    file = plan.folder.evaluation.readings
    if summary.readings_complete:
        yield Text(f"Test data were opened {summary.readings} times; each is in {file}")
    else:
        yield Text(f"Test data were opened at least {summary.readings} times; {LOST.format(file)}", style="bold")


def _name(configuration: EvaluatedConfiguration) -> str:
    return f"{configuration.role} (trial {configuration.trial:04d})"


def _spread(statistic: Statistic | None) -> str:
    if statistic is None:
        return "-"
    std = "" if statistic.std is None else f" ± {statistic.std:.4f}"
    return f"{statistic.mean:.4f}{std}\n{_interval(statistic)}".rstrip()


def _signed(statistic: Statistic | None) -> str:
    return "-" if statistic is None else f"{statistic.mean:+.4f} {_interval(statistic, '+')}".rstrip()


def _interval(statistic: Statistic, sign: str = "") -> str:
    if statistic.low is None or statistic.high is None:
        return ""
    return f"[{statistic.low:{sign}.4f}, {statistic.high:{sign}.4f}]"
