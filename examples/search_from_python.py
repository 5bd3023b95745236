"""Search, evaluate and compare from Python: `python examples/search_from_python.py`, about a minute on two cores.

Every network here is tiny and trained for an epoch, so that the numbers mean nothing. For a real search leave out
`SMALL`, and take more trials. The same script again resumes: what is done is not done twice.
"""

import tune_cl

SMALL = {
    "base.classifier.epochs": 1,
    "base.classifier.batch_size": 256,
    "base.classifier.width": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 256,
}


def main() -> None:
    """Which learning rate forgets least on Fashion-MNIST, four classes and then two at a time?"""
    rate = {"increment.classifier.learning_rate": {"log": [1e-4, 1e-2]}}
    found = [
        tune_cl.search(
            space, stream="fashion-b4-t3", trials=3, sampler="tpe", overrides=SMALL | rate, name=f"my-{space}"
        )
        for space in ("finetune", "lwf")
    ]
    for result in found:
        print(result.best.number, result.best.value, result.best.parameters)
        print(result.to_dataframe()[["trial", "state", "value", *rate, "seconds"]].to_string())

    # Test data are read here and nowhere else: the chosen configuration is retrained on class orders of its own.
    held_out = tune_cl.evaluate(found[1], orders=1, seeds=1, with_default=True)
    print(held_out.chosen.metrics["test/average_incremental_accuracy"].mean)

    comparison = tune_cl.compare(*found)
    print(comparison)
    print("Page:", comparison.save_html("comparison.html"))

    classifier = tune_cl.load(found[1])  # takes PIL images and uint8 tensors
    print(classifier.class_names, classifier.shape.image_shape)


if __name__ == "__main__":  # workers of Ray import this file
    main()
