"""The files of a method from outside the package, in a folder that a test works in."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tune_cl.methods as methods_room
from tune_cl import plugins
from tune_cl.metrics import METRICS
from tune_cl.study import SAMPLERS, STOPPING_RULES

# What a user writes: fine-tuning with label smoothing, on the base task of the package.
SMOOTH = '''
"""Fine-tuning with smoothed labels."""

from torch.nn import functional

from tune_cl.methods import Method, Phase, Settings, parameter
from tune_cl.training import BaseClassifier, ReplayFreeIncrement, grown, real_images, train_on_images
from tune_cl.training import BASE_CLASSIFIER


class Smoothed(ReplayFreeIncrement):
    smoothing: float = parameter(0.1, "share of the label that all classes divide", source="own", ge=0, le=1)


class Base(Settings):
    classifier: BaseClassifier = BaseClassifier()


class Increment(Settings):
    classifier: Smoothed = Smoothed()


class Config(Settings):
    base: Base = Base()
    increment: Increment = Increment()


def train(config, data, state, context):
    def loss_of(classifier, images, labels):
        ce = functional.cross_entropy(classifier(images), labels, label_smoothing=config.smoothing)
        return ce, {"ce": ce}

    classifier = grown(state, data, context)
    return train_on_images(classifier, config, data.new, config.batch_size, data, context, loss_of)


METHOD = Method(
    name="smooth",
    summary="fine-tuning with smoothed labels",
    config=Config,
    base=(BASE_CLASSIFIER,),
    increment=(Phase("classifier", "smooth.classifier", 1, train, real_images),),
)
'''

SPACE = """# tune-cl search --plugin smooth_method --space smooth.yaml
method: smooth
trials: 2
protocol: first_1
parameters:
  increment.classifier.smoothing: {uniform: [0.0, 0.5]}
scales:
  small28:
    defaults: {base.classifier.network: small_cnn, base.classifier.width: 4}
    budgets:
      quick:
        base.classifier.epochs: 1
        base.classifier.batch_size: 256
        increment.classifier.epochs: 1
        increment.classifier.batch_size: 256
"""


@contextmanager
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the user's two files; what a test registers and imports is forgotten after it."""
    (tmp_path / "smooth_method.py").write_text(SMOOTH)
    (tmp_path / "smooth.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(methods_room.METHODS, "_members", dict(methods_room.METHODS._members))
    monkeypatch.setattr(plugins, "_LOADED", {})
    for registry in (METRICS, SAMPLERS, STOPPING_RULES):
        monkeypatch.setattr(registry, "_members", dict(registry._members))
        monkeypatch.setattr(registry, "_origins", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "300")
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
