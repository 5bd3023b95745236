"""Put trials under a Ray Tuner of your own: `python examples/own_tuner.py`, about a minute on two cores.

Ray's searchers, schedulers and callbacks work as they do elsewhere; stages are shared by all trials. What a Tuner does
not know is that accuracy falls as classes arrive: compare trials after the same increment.
"""

from ray import tune

import tune_cl


def main() -> None:
    """Which learning rate forgets least on Fashion-MNIST, four classes and then two at a time?"""
    trainable = tune_cl.trainable(
        "finetune.yaml",
        stream="fashion-b4-t3",
        budget="quick",
        overrides={"base.classifier.epochs": 1, "base.classifier.width": 4, "increment.classifier.epochs": 1},
    )
    tuner = tune.Tuner(
        trainable,
        param_space={"increment.classifier.learning_rate": tune.loguniform(2e-4, 1e-2)},
        tune_config=tune.TuneConfig(metric="val/average_incremental_accuracy", mode="max", num_samples=3),
        run_config=tune.RunConfig(verbose=0),
    )
    found = tuner.fit().get_dataframe()
    complete = found[found["increment"] == found["increment"].max()]  # a trial that was stopped has a high last value
    best = complete.loc[complete["val/average_incremental_accuracy"].idxmax()]
    print(best["config/increment.classifier.learning_rate"], best["val/average_incremental_accuracy"])


if __name__ == "__main__":  # workers of Ray import this file
    main()
