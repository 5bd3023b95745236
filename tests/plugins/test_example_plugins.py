"""The example plug-ins, one file each, under the contract of their kind."""

from pathlib import Path

from tune_cl.testing import MetricContract, SamplerContract, StoppingRuleContract

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"


class TestMutation(SamplerContract):
    sampler = "mutation(keep=0.5)"
    plugins = (str(EXAMPLES / "mutation.py"),)


class TestFloor(StoppingRuleContract):
    rule = "floor(least=0.6)"
    plugins = (str(EXAMPLES / "floor.py"),)


class TestWorstIncrement(MetricContract):
    metric = "accuracy_worst"
    plugins = (str(EXAMPLES / "worst_increment.py"),)


def test_the_page_shows_the_files_as_they_are() -> None:
    docs = EXAMPLES.parents[1] / "docs"
    page = (docs / "extending.md").read_text() + (docs / "adding-a-data-set.md").read_text()
    for file in EXAMPLES.glob("*.py"):
        assert f"```python\n{file.read_text()}```" in page, file.name
