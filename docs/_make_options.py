"""Write `options.md`: every option of the commands, out of the records of `tune_cl.options`."""

from dataclasses import MISSING
from pathlib import Path

from tune_cl.options import (
    ChainOptions,
    CompareOptions,
    ConfigureOptions,
    Declared,
    EvaluationOptions,
    JobOptions,
    Options,
    RecordOptions,
    ReportOptions,
    Runtime,
    SearchOptions,
    StagesOptions,
    SweepOptions,
    SyncOptions,
    TrainableOptions,
    TrainOptions,
    WatchOptions,
    declared,
)

HEAD = """# Options

Every option of every command, with its name in Python. `make docs` writes this page from the records in
`tune_cl/options`, from which the command line and [the Python functions](python-api.md) are made, too.

Times are written `90s`, `45m` or `2h`, sizes `50GiB` or `200MB`; from Python also as numbers of seconds and bytes.

For completion in bash, `pip install argcomplete` and put `eval "$(tune-cl --completion bash)"` into `~/.bashrc`; for
zsh put `eval "$(tune-cl --completion zsh)"` into `~/.zshrc`, below `compinit`. Commands, options, shipped spaces,
searches below `--results`, files and folders are completed.
"""
COMMANDS: tuple[tuple[str, str, type[Options]], ...] = (
    ("search", "`tune-cl search`, `tune_cl.search(space, ...)`, `SearchOptions`.", SearchOptions),
    ("submit", "`tune-cl submit` takes every option of `search`, and these.", JobOptions),
    ("evaluate", "`tune-cl evaluate`, `tune_cl.evaluate(search, ...)`, `EvaluationOptions`.", EvaluationOptions),
    ("train", "`tune-cl train`; from Python see `tune_cl.run_chain`.", TrainOptions),
    ("compare", "`tune-cl compare`; from Python see `tune_cl.compare`.", CompareOptions),
    ("report", "`tune-cl report`; from Python see `SearchResult.save_html`.", ReportOptions),
    ("watch", "`tune-cl watch`.", WatchOptions),
    ("sync", "`tune-cl sync`, `tune_cl.publish(search, ...)`.", SyncOptions),
    ("sweep", "`tune-cl sweep VERB`.", SweepOptions),
    ("stages", "`tune-cl stages VERB`.", StagesOptions),
)
FUNCTIONS: tuple[tuple[str, type[Options]], ...] = (
    ("configure", ConfigureOptions),
    ("run_chain", ChainOptions),
    ("trainable", TrainableOptions),
    ("record", RecordOptions),
)


def page() -> str:
    """The page as Markdown."""
    commands = ("\n".join(_section(*command)) for command in COMMANDS)
    return "\n".join([HEAD, *commands, *("\n".join(_function(*function)) for function in FUNCTIONS)])


def _function(name: str, record: type[Options]) -> list[str]:
    shared = {item.name for item in declared(Runtime)}
    own = [item for item in declared(record) if item.name not in shared]
    also = ", ".join(f"`{item.name}`" for item in declared(record) if item.name in shared)
    head = [f"## tune_cl.{name}", "", f"From Python alone; and, as under [train](#train), {also}."]
    table = [f"| `{_in_python(item)}` | {_sentence(item)} |" for item in own]
    return [*head, "", "| in Python | what |", "|---|---|", *table, ""]


def _section(name: str, what: str, record: type[Options]) -> list[str]:
    head = [f"## {name}", "", what, "", "| option | in Python | what |", "|---|---|---|"]
    return [*head, *(_row(item) for item in declared(record)), ""]


def _row(item: Declared) -> str:
    value = f" {item.option.kind.metavar}" if item.option.kind.metavar and item.flag.startswith("-") else ""
    flag = item.flag if item.flag.startswith("-") else item.option.kind.metavar
    flag = flag if item.option.in_shell else "from Python alone"
    return f"| `{flag}{value}` | `{_in_python(item)}` | {_sentence(item)} |"


def _in_python(item: Declared) -> str:
    default = "" if item.default in (MISSING, None, False, ()) else f" = {item.default!r}"
    return f"{item.name}{default}"


def _sentence(item: Declared) -> str:
    return item.option.help.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


if __name__ == "__main__":
    Path(__file__).with_name("options.md").write_text(page())
