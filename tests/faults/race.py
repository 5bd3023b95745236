"""Four workers on the two nodes of a Ray cluster race through 100 stages; with `--kills` some of them die on the way.

A script, since Ray reads the token once per process. Writes what each worker took, and how many were killed, as JSON.
"""

import argparse
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import ray
from race_worker import Racer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cl.engine._leases import start_coordinator

WORKERS = 4
BETWEEN_KILLS = (0.3, 2.0)  # seconds


def main() -> None:
    """Run the race."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("stages", type=Path)
    parser.add_argument("told", type=Path)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.0)
    given = parser.parse_args()
    ray.init(address=given.address, log_to_driver=False, logging_level="ERROR")
    coordinator, nodes = start_coordinator(), [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    job = ray.get_runtime_context().get_job_id()

    def racer(number: int) -> Any:
        there = NodeAffinitySchedulingStrategy(nodes[number % len(nodes)], soft=False)
        kind = ray.remote(num_cpus=1, scheduling_strategy=there)(Racer)
        return kind.remote(coordinator, given.stages, job, number, given.pause)

    racers = [racer(number) for number in range(WORKERS)]
    on = ray.get([one.node.remote() for one in racers])
    alive = {one.pid.remote(): number for number, one in enumerate(racers)}  # the answer -> who lives
    ray.wait(list(alive), num_returns=WORKERS)
    running = {one.run_all.remote(): number for number, one in enumerate(racers)}
    done: dict[int, dict[str, float]] = {}
    dice, killed = random.Random(given.seed), 0
    next_kill = time.monotonic() + dice.uniform(*BETWEEN_KILLS)
    while running:
        up = ray.wait(list(alive), num_returns=len(alive), timeout=0)[0] if alive else []
        targets = [answer for answer in up if alive[answer] in running.values()]
        if targets and killed < given.kills and time.monotonic() > next_kill:
            target = dice.choice(sorted(targets, key=lambda answer: alive[answer]))
            os.kill(ray.get(target), signal.SIGKILL)
            del alive[target]
            killed += 1
            next_kill = time.monotonic() + dice.uniform(*BETWEEN_KILLS)
        for call in ray.wait(list(running), timeout=0.1)[0]:
            number = running.pop(call)
            try:
                done[number] = ray.get(call)
            except ray.exceptions.RayActorError:  # the killed one: another takes its place, as Tune would see to it
                racers[number] = racer(number)
                alive[racers[number].pid.remote()] = number
                running[racers[number].run_all.remote()] = number
    told = {"workers": [done[number] for number in range(WORKERS)], "nodes": on, "killed": killed}
    given.told.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
