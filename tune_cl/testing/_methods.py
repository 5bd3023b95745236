"""What every method owes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from tune_cl.chain import settings_of
from tune_cl.methods import get_method
from tune_cl.metrics import NEAREST_MEAN, VALIDATION, scored_metrics
from tune_cl.plugins import load_plugins
from tune_cl.records import IncrementRow, RunConfig
from tune_cl.testing._chains import CHANCE, HORIZON, run_again, run_chain, small_run


class MethodContract:
    """The contract of a method; derive a test class from it, one for each loss that it takes.

    A chain of a base task and two increments runs on real images: 4 + 2 + 2 classes of 100 images each, small networks.

    Attributes:
        method: its name.
        plugins: the plug-ins that bring it.
        changes: path -> value, over the contract's small sizes, with which it learns at these.

    Example:
        >>> class TestFeatureLwf(MethodContract):
        ...     method = "feature_lwf"
        ...     plugins = ("feature_lwf.py",)
        ...     changes = {"increment.classifier.weight_feature": 0.1, "increment.classifier.learning_rate": 0.01}
    """

    method: ClassVar[str]
    plugins: ClassVar[Sequence[str]] = ()
    changes: ClassVar[Mapping[str, Any]] = {}
    _rows: ClassVar[dict[type, tuple[Path, list[IncrementRow]]]] = {}

    @pytest.fixture(autouse=True)
    def _loaded(self) -> Iterator[None]:
        load_plugins(self.plugins)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    @pytest.fixture
    def trained(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[IncrementRow]]:
        """The folder of the chain's stages, and its rows; trained once for all tests of a class."""
        if type(self) not in self._rows:
            stages = tmp_path_factory.mktemp("method-contract")
            self._rows[type(self)] = stages, run_chain(self._run, stages)
        return self._rows[type(self)]

    @property
    def _run(self) -> RunConfig:
        return small_run(self.method, self.changes)

    def test_it_learns_the_base_task_and_new_classes(self, trained: tuple[Path, list[IncrementRow]]) -> None:
        _, rows = trained
        assert (rows[0].metrics["val/accuracy"] or 0) > 2 / 4, "twice what guessing gives"
        if get_method(self.method).increment:
            assert (rows[-1].metrics["val/accuracy_new"] or 0) > CHANCE
        assert (rows[-1].metrics["val/accuracy"] or 0) > CHANCE

    def test_it_reports_every_metric(self, trained: tuple[Path, list[IncrementRow]]) -> None:
        by_means = get_method(self.method).nearest_mean(settings_of(self._run))
        prefixes = (VALIDATION, VALIDATION + NEAREST_MEAN) if by_means else (VALIDATION,)
        for row in trained[1]:
            assert len(row.accuracy_row) == row.increment + 1
            assert (row.nearest_mean_row is not None) == by_means
            assert (row.metrics["images_trained"] or 0) > 0
            for metric in scored_metrics():
                for prefix in prefixes:
                    defined = row.increment > 0 or metric.defined_at_base
                    assert (row.metrics[prefix + metric.name] is not None) == defined

    @pytest.mark.parametrize("increment", range(HORIZON + 1))
    def test_it_resumes_repeats_itself_and_sees_no_more_than_it_says(
        self, increment: int, trained: tuple[Path, list[IncrementRow]], tmp_path: Path
    ) -> None:
        """From the stages before it, on a stream whose every image that it may not see is noise: equal to the bit."""
        stages, rows = trained
        run_again(self._run, increment, rows, stages, tmp_path / "again")
