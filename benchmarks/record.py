"""Record the finished trials of a search, for the simulator.

python benchmarks/record.py results/recording benchmarks/recordings/genifer-fashion-b4-t3-quick.json
"""

import argparse
import sys
from pathlib import Path

from simulator import record_search

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, write_atomically


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, metavar="RESULTS_FOLDER", help="the folder that holds search.json")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="the JSON file to write")
    args = parser.parse_args()
    recording = record_search(SearchFolder(args.results))
    write_atomically(args.output, recording.model_dump_json() + "\n")
    print(f"{args.output}: {len(recording.trials)} trials, {args.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    try:
        main()
    except TuneCLError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
