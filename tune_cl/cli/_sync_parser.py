"""Options of `tune-cl sync`."""

from tune_cl.cli._parser import Parser


def sync_parser() -> Parser:
    """Options of `sync`."""
    parser = Parser(
        prog="tune-cl sync",
        description="Upload to W&B what its server has not got of a search: runs that were kept offline, rows that it\n"
        "did not take in time, the sweep of --wandb-sweep. Repeating it, or interrupting it, does no harm.",
        epilog="Example: python launch/sync.py results/genifer-fashion-b4-t3-quick",
    )
    parser.add_argument("search", metavar="SEARCH", help="folder of a search, or its name below --results")
    parser.add_argument("--results", default="results", metavar="DIR", help="folder of searches (default: %(default)s)")
    parser.add_argument("--wandb-project", metavar="NAME", help="project (default: the one they were kept for)")
    parser.add_argument("--wandb-entity", metavar="NAME", help="user or team (default: the one they were kept for)")
    parser.add_argument("--dry-run", action="store_true", help="list what would be uploaded, and end")
    return parser
