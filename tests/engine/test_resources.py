"""How a cluster's nodes are shared out among trials."""

import os

import pytest

from tune_cl.engine import Resources, cluster, local_resources, share_out
from tune_cl.errors import TuneCLError

pytestmark = pytest.mark.ray

CPU_NODE = {"CPU": 4.0, "memory": 1e9}
GPU_NODE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("nodes", "asked", "expected"),
    [
        ([CPU_NODE], (None, None, None), Resources(1, 0.0, 4)),
        ([CPU_NODE, CPU_NODE], (None, None, None), Resources(1, 0.0, 8)),
        ([CPU_NODE], (3, None, None), Resources(3, 0.0, 1)),
        ([CPU_NODE, CPU_NODE], (3, None, None), Resources(3, 0.0, 2)),
        ([CPU_NODE], (None, None, 2), Resources(1, 0.0, 2)),
        ([CPU_NODE], (None, None, 99), Resources(1, 0.0, 4)),
        ([GPU_NODE], (None, None, None), Resources(1, 1.0, 2)),
        ([GPU_NODE, CPU_NODE], (None, None, None), Resources(1, 1.0, 2)),
        ([GPU_NODE], (None, 0.0, None), Resources(1, 0.0, 8)),
        ([GPU_NODE], (None, 0.5, None), Resources(1, 0.5, 4)),
        ([GPU_NODE], (None, 0.4, None), Resources(1, 0.4, 4)),  # two on each GPU, none across two
        ([GPU_NODE], (8, 0.5, None), Resources(8, 0.5, 1)),
    ],
)
def test_as_many_trials_run_as_fit_on_the_nodes(nodes: list, asked: tuple, expected: Resources) -> None:
    assert share_out(nodes, *asked, "the cluster") == expected


@pytest.mark.parametrize(
    ("nodes", "asked", "words"),
    [
        ([CPU_NODE], (5, None, None), "--cpus-per-trial 5: the cluster has 4 CPUs"),
        ([CPU_NODE, CPU_NODE], (5, None, None), "--cpus-per-trial 5: no node of the cluster has that many"),
        ([CPU_NODE], (None, 1.0, None), "--gpus-per-trial 1: the cluster has 0 GPUs"),
        ([GPU_NODE, GPU_NODE], (None, 4.0, None), "--gpus-per-trial 4: no node of the cluster has that many"),
        ([{"CPU": 1.0, "GPU": 1.0}, CPU_NODE], (4, 1.0, None), "no node of the cluster has both"),
    ],
)
def test_trial_that_no_node_can_take_is_refused(nodes: list, asked: tuple, words: str) -> None:
    """Ray would wait for such a node forever."""
    with pytest.raises(TuneCLError, match=words):
        share_out(nodes, *asked, "the cluster")


def test_ray_leaves_the_environment_as_it_found_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "7")
    before = read_by_ray()
    with cluster(None) as nodes:
        assert len(nodes) == 1 and nodes[0]["CPU"] == local_resources()[0]["CPU"]
        assert os.environ["TUNE_GLOBAL_CHECKPOINT_S"] == "7"
        assert os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] == "1"
    assert read_by_ray() == before


def read_by_ray() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("RAY_", "TUNE_"))}
