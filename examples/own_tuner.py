"""Put trials under a Ray Tuner of your own: `python examples/own_tuner.py`, about a minute on two cores.

Ray's searchers, schedulers and callbacks work as they do elsewhere; stages are shared by all trials. The recorder
writes them as a search does, so that the best is the best among those that came to the last increment: accuracy falls
as classes arrive, and a trial that was stopped early has a high last value.
"""

from ray import tune

import tune_cl


def main() -> None:
    """Which learning rate forgets least on Fashion-MNIST, four classes and then two at a time?"""
    run = tune_cl.configure(
        "finetune.yaml",
        stream="fashion-b4-t3",
        budget="quick",
        overrides={"base.classifier.epochs": 1, "base.classifier.width": 4, "increment.classifier.epochs": 1},
    )
    ranges = {"increment.classifier.learning_rate": tune.loguniform(2e-4, 1e-2)}
    with tune_cl.record("results/own-tuner", run, ranges) as recorder:
        tuner = tune.Tuner(
            tune_cl.trainable(run),
            param_space=ranges,
            tune_config=tune.TuneConfig(metric="val/average_incremental_accuracy", mode="max", num_samples=3),
            run_config=tune.RunConfig(verbose=0, callbacks=[recorder.ray_callback()]),
        )
        tuner.fit()
    found = tune_cl.open_result("results/own-tuner")  # which evaluate, compare and load take, too
    print(found.best.parameters["increment.classifier.learning_rate"], found.best.value)


if __name__ == "__main__":  # workers of Ray import this file
    main()
