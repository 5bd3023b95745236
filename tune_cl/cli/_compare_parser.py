"""Options of `tune-cl compare`."""

from tune_cl.cli._parser import Parser, wandb_options


def compare_parser() -> Parser:
    """Options of `compare`."""
    parser = Parser(
        prog="tune-cl compare",
        description="Compare searches on one stream by one objective: best configurations, accuracy per increment,\n"
        "cost, best value over budget, evaluations, and whether a difference is more than noise. Trains nothing.",
        epilog="Example: python launch/compare.py genifer-fashion-b4-t3-quick lwf-fashion-b4-t3-quick "
        "--html compare.html",
    )
    parser.add_argument(
        "searches",
        nargs="+",
        metavar="SEARCH",
        help="folder of a search, its name below --results, or wandb://entity/project/group (or a sweep's id)",
    )
    parser.add_argument("--results", default="results", metavar="DIR", help="folder of searches (default: %(default)s)")
    out = parser.add_argument_group("what to make of it")
    out.add_argument("--json", action="store_true", help="print JSON for a program, in place of tables")
    out.add_argument("--html", metavar="FILE", help="write a page with plots, complete in one file")
    wandb_options(parser).add_argument("--wandb", action="store_true", help="publish the comparison as a W&B run")
    return parser
