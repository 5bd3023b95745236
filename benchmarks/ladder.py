"""The ladder on real data: from never training again to all data at once, on both streams of the package.

    python benchmarks/ladder.py                    # writes benchmarks/ladder.md and docs/replay.png
    python benchmarks/ladder.py --data-root DIR    # in colour, on DIR/cifar-10-batches-py: benchmarks/ladder-colour.md

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
GREY = (
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
time on two cores. The defaults were chosen on other class orders, splits and seeds of these data sets.{colour}

*Replay* is judged by the classifier that the generator was trained through, and by what cannot be fooled: a small
*student* that learns from replay alone and is scored on real validation images of the old classes, and the spread of
the replayed images' features over that of real ones. All three are means over increments.
"""


COLOUR = " There are {} training images, of CIFAR-10, and the scale is `small32`."


def in_colour(data_root: Path) -> tuple[Ladder, ...]:
    """The ladders on CIFAR-10, or on a subset of it in the same format."""
    data = {"data_root": data_root, "accept_modified_data": True}
    return (Ladder("cifar10-b4-t3", "quick", data=data), Ladder("cifar10-b4-t3", "full", rungs=FULL, data=data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ladders", type=int, help="how many of them, from the first (default: all)")
    parser.add_argument("--data-root", type=Path, help="folder with cifar-10-batches-py, for the ladders in colour")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stages", type=Path, default=Path("results/stages"))
    args = parser.parse_args()
    ladders = (in_colour(args.data_root) if args.data_root else GREY)[: args.ladders]
    options, colour = f" --ladders {args.ladders}" if args.ladders else "", ""
    if args.data_root:
        stream = ladders[0].stream_of_images()
        options = f" --data-root DIR{options}"
        colour = COLOUR.format(sum(stream.n_training(t) for t in range(stream.horizon + 1)))
    parts, page = [PREAMBLE.format(options=options, colour=colour)], "ladder-colour.md" if colour else "ladder.md"
    for ladder in ladders:  # what is done is written, also when a later one is cut short
        parts.append("\n".join(ladder.report(run_all(ladder.jobs(), args.stages, args.processes))) + "\n")
        (HERE / page).write_text("\n".join(parts))
    if not args.data_root:
        draw([ladder.run("genifer", 0) for ladder in ladders[:2]], args.stages, HERE.parent / "docs" / "replay.png")
    print((HERE / page).read_text())


if __name__ == "__main__":
    main()
