"""The winner's weights as a plain file, and reading it again."""

import io
from pathlib import Path
from typing import Any

import torch

from tune_cl.errors import TuneCLError
from tune_cl.methods import CLASSIFIER
from tune_cl.nets import Classifier, Component, build_classifier, save_classifier
from tune_cl.records import SearchFolder, write_atomically
from tune_cl.store import StageStore
from tune_cl.streams import Stream


def save_winner(folder: SearchFolder, trial: int, stream: Stream, stages: Path) -> bool:
    """Write a trial's classifier after its last increment to `best/classifier.pt`; False where its stages are gone.

    Its rows name the stages, so that nothing is trained, scored or put on a device here: the driver may lack the GPU
    that the workers have. Weights of an earlier winner do not survive.
    """
    store = StageStore(stages)
    state: dict[str, Component] = {}
    for use in (use for row in folder.trial(trial).rows() for use in row.stages):
        stage = store.load(use.key)
        if stage is None:
            folder.best_weights.unlink(missing_ok=True)
            return False
        state.update(stage.changed)
    save_weights(folder.best_weights, build_classifier(state[CLASSIFIER]), stream)
    return True


def save_weights(path: Path, classifier: Classifier, stream: Stream) -> None:
    """Write a classifier with its class names in the order of its logits, readable with `weights_only`."""
    component = save_classifier(classifier)
    preprocessing = stream.preprocessing
    content: dict[str, Any] = {
        "schema_version": 1,
        "settings": dict(component.settings),
        "tensors": dict(component.tensors),
        "class_names": list(stream.class_names[: classifier.shape.n_classes]),
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
        "stored_size": preprocessing.stored_size,
        "stream": stream.name,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_weights(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Read what `save_weights` wrote: the classifier in eval mode, and what is known about it.

    Raises:
        TuneCLError: there is no such file, or it is none of ours.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        classifier = build_classifier(Component("classifier", content.pop("settings"), content.pop("tensors")))
    except FileNotFoundError:
        raise TuneCLError(f"{path}: no such file; a search writes it when its best trial is known") from None
    except Exception as error:
        raise TuneCLError(f"{path}: not a classifier that tune_cl wrote ({type(error).__name__})") from None
    return classifier.eval(), content
