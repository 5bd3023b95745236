"""A real search with a sampler, a stopping rule, a metric, a network and a tracker from outside, killed and resumed."""

import os
import signal
from pathlib import Path

import pytest
from search_cli import (
    CHEAP,
    LAUNCH,
    comparable,
    configurations_of,
    end_group,
    environment,
    rows_of,
    search_here,
    start,
    states_of,
    summary_of,
    wait_until,
)

from tune_cl.records import SearchFolder, SearchRecord, read_record

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
OBJECTIVE = "0.5 * val/accuracy + val/accuracy_worst"
OPTIONS = (
    *("--space", "finetune", *CHEAP, "--set=increment.classifier.learning_rate={log: [1e-4, 1e-1]}"),
    *(f"--plugin={EXAMPLES / name}.py" for name in ("mutation", "floor", "worst_increment", "csv_rows")),
    *(f"--plugin={EXAMPLES / 'plain_network.py'}", "--set=base.classifier.network=plain"),
    *("--sampler", "mutation(keep=0.5)", "--scheduler", "floor(least=0.12)", "--objective", OBJECTIVE),
    *("--trials", "4", "--concurrency", "1", "--name", "s"),
)


def test_a_search_with_parts_of_ones_own_goes_on_after_a_kill_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, cut = (SearchFolder(tmp_path / name / "s") for name in ("whole", "cut"))
    code, output = search_here(*OPTIONS, "--results", whole.path.parent)
    assert code == 0, output
    process = start([LAUNCH / "search.py", *OPTIONS, "--results", cut.path.parent], tmp_path / "log", env=environment())
    try:
        wait_until(lambda: len(cut.trial(1).rows()) >= 1, 240, "trial 1 has begun")
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        end_group(process)
    code, output = search_here(*OPTIONS, "--results", cut.path.parent)
    assert code == 0, output
    assert configurations_of(cut) == configurations_of(whole) and states_of(cut) == states_of(whole)
    assert comparable(rows_of(cut)) == comparable(rows_of(whole))
    record = read_record(whole.search, SearchRecord)
    assert (record.sampler, record.scheduler) == ("mutation(keep=0.5)", "floor(least=0.12)")
    assert record.objective == OBJECTIVE and record.direction == "max"
    for rows in rows_of(whole).values():
        for row in rows:
            accuracy, worst = row.metrics["val/accuracy"], row.metrics["val/accuracy_worst"]
            assert worst == min(row.accuracy_row)
            assert row.metrics[OBJECTIVE] == 0.5 * (accuracy or 0.0) + worst
    lines = [line.split(",") for line in (whole.path / "increments.csv").read_text().split()]
    assert [line[:2] for line in lines] == [
        [str(r.trial), str(r.increment)] for rows in rows_of(whole).values() for r in rows
    ]
    stopped = [line for line in summary_of(whole).table if line.state == "stopped"]
    assert all((line.value or 0.0) < 0.12 for line in stopped)
    refused, output = search_here(*OPTIONS, "--objective", "val/accuracy_worst", "--results", cut.path.parent)
    assert refused == 2 and "another definition" in output
