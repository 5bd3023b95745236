"""What sharing stages saves.

    python benchmarks/sharing.py                     # writes all of benchmarks/sharing.md
    python benchmarks/sharing.py --only simulated    # writes that section (or real), leaves the other as it is

A part is a function of the options that returns a Markdown section, headings from `##` on.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from _sharing_real import real
from _sharing_simulated import simulated

HERE = Path(__file__).parent
OUTPUT = HERE / "sharing.md"
RECORDING = HERE / "recordings" / "genifer-fashion-b4-t3-quick.json"
TITLE = "# What sharing stages saves\n\nMade by `python benchmarks/sharing.py`."

PARTS: dict[str, Callable[[argparse.Namespace], str]] = {
    "real": real,
    "simulated": simulated,
}  # in the order of the page
_SECTION = re.compile(r"<!-- part: (\w+) -->\n(.*?)<!-- end of part -->\n", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="write this section alone; may be repeated")
    parser.add_argument("--recording", type=Path, default=RECORDING)
    parser.add_argument("--search-seeds", type=int, default=24, metavar="N", help="search seeds 0 .. N-1 (simulated)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="folder for the stages of the real part (default: the system's)")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()
    sections = dict(_SECTION.findall(args.output.read_text())) if args.output.exists() else {}
    for name in args.only or PARTS:
        sections[name] = PARTS[name](args).strip() + "\n"
    marked = [f"<!-- part: {name} -->\n{sections[name]}<!-- end of part -->\n" for name in PARTS if name in sections]
    args.output.write_text("\n".join([f"{TITLE}\n", *marked]))
    print(args.output.read_text())


if __name__ == "__main__":
    main()
