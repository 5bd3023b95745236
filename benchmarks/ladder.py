"""The ladder on real data: from never training again to all data at once, on both streams of the package.

    python benchmarks/ladder.py                # writes benchmarks/ladder.md and docs/replay.png

Same network, same classifier steps and real images per increment on every rung; the configurations are the defaults
of the shipped spaces, but for what a rung's name says. Accuracies are on validation data. Chains run side by side, one
thread each; stages that are in the store are not trained again. `exemplars.py` has the methods that keep images.
"""

import argparse
from pathlib import Path

from _chains import run_all
from _ladder import Ladder
from _replay_picture import draw

HERE = Path(__file__).parent
FULL = ("frozen", "genifer", "oracle", "joint")
LADDERS = (
    Ladder("fashion-b4-t3", "quick"),
    Ladder("quickdraw-b50-t5", "quick"),
    Ladder("fashion-b4-t3", "full", rungs=FULL),
    Ladder("quickdraw-b50-t5", "full", rungs=FULL),
)
PREAMBLE = """\
# The ladder on real data

Made by `python benchmarks/ladder.py{options}`: the defaults of the shipped spaces but for what a rung's name says;
3 training seeds, mean ± standard error. Accuracies are over all classes seen, on validation data, after the last
increment. One class order, one validation split, one CPU thread a run; core-minutes were measured with two runs at a
time on two cores. The defaults were chosen on other class orders, splits and seeds of these data sets.

*Replay* is judged by the classifier that the generator was trained through, and by what cannot be fooled: a small
*student* that learns from replay alone and is scored on real validation images of the old classes, and the spread of
the replayed images' features over that of real ones. All three are means over increments.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ladders", type=int, default=len(LADDERS), help="how many of them, from the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stages", type=Path, default=Path("results/stages"))
    args = parser.parse_args()
    cut_short = "" if args.ladders == len(LADDERS) else f" --ladders {args.ladders}"
    parts = [PREAMBLE.format(options=cut_short)]
    for ladder in LADDERS[: args.ladders]:  # what is done is written, also when a later one is cut short
        parts.append("\n".join(ladder.report(run_all(ladder.jobs(), args.stages, args.processes))) + "\n")
        (HERE / "ladder.md").write_text("\n".join(parts))
    draw([ladder.run("genifer", 0) for ladder in LADDERS[:2]], args.stages, HERE.parent / "docs" / "replay.png")
    print((HERE / "ladder.md").read_text())


if __name__ == "__main__":
    main()
