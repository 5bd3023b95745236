"""What every data set owes."""

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tune_cl.plugins import load_plugins
from tune_cl.records import StreamRecord
from tune_cl.streams import DATASETS, Dataset, RawFiles, RawImages, Stream, brought_by, check_as_described, open_stream

_DECODED = 500  # images of a half that are compared


class DataSetContract:
    """The contract of a data set with a reader; derive a test class from it.

    Attributes:
        data_set: its name.
        plugins: the plug-ins that bring it.
        data_root: where its files lie, if it has any.

    Example:
        >>> class TestStripes(DataSetContract):
        ...     data_set = "stripes"
        ...     plugins = ("stripes",)
        ...     data_root = Path("data")
    """

    data_set: ClassVar[str]
    plugins: ClassVar[Sequence[str]] = ()
    data_root: ClassVar[Path | None] = None

    @pytest.fixture(autouse=True)
    def _loaded(self) -> None:
        load_plugins(self.plugins)

    def read_training(self) -> RawImages | RawFiles:
        """Its training images."""
        found = self._found
        assert found.reader is not None
        return found.reader(found, self.data_root, True)

    def read_test(self) -> RawImages | RawFiles:
        """Its test images: what the `TEST_READER` beside it reads."""
        module = brought_by(self.data_set)
        assert module is not None, "override read_test() for a data set that no plug-in brings"
        test: RawImages | RawFiles = sys.modules[module].TEST_READER(self._found, self.data_root, True)
        return test

    @property
    def _found(self) -> Dataset:
        return DATASETS[self.data_set]

    @property
    def _stream(self) -> Stream:
        name = f"{self.data_set}-b{self._found.n_classes - 1}-t1"
        return open_stream(StreamRecord(name=name), self.data_root, accept_modified_data=True)

    def test_both_halves_are_as_it_is_described_and_of_the_same_classes(self) -> None:
        training, test = self.read_training(), self.read_test()
        for half in (training, test):
            check_as_described(half, self._found)
            assert set(half.labels.tolist()) == set(range(self._found.n_classes)), "each class has images"
        assert training.class_names == test.class_names
        assert len(set(training.class_names)) == self._found.n_classes

    def test_what_is_read_twice_is_the_same(self) -> None:
        assert self.read_training().fingerprint() == self.read_training().fingerprint()
        assert self.read_test().fingerprint() == self.read_test().fingerprint()

    def test_no_image_is_trained_and_tested_on(self) -> None:
        training, test = (
            {image.tobytes() for image in _some_images(half)} for half in (self.read_training(), self.read_test())
        )
        assert not training & test

    def test_each_class_is_trained_and_validated_on(self) -> None:
        stream = self._stream
        for t in range(2):
            for part in (stream.training(t), stream.validation(t)):
                assert set(part.labels.tolist()) == set(stream.classes(t))

    def test_mean_and_std_are_about_those_of_its_images(self) -> None:
        pixels = _some_images(self.read_training()).transpose(1, 0, 2, 3).reshape(self._found.image_shape[0], -1) / 255
        assert np.abs(pixels.mean(1) - self._found.preprocessing.mean).max() < 0.1
        assert np.abs(pixels.std(1) - self._found.preprocessing.std).max() < 0.1

    def test_a_stream_travels_without_the_module_of_its_reader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream, module = self._stream, brought_by(self.data_set)
        packed = pickle.dumps(stream, protocol=5)
        if module is not None:
            monkeypatch.setitem(sys.modules, module, None)  # where it cannot be imported
        again = pickle.loads(packed)
        assert again.identity(1) == stream.identity(1) and again.shape.dataset.reader is None
        index = torch.arange(4)
        assert torch.equal(again.training(1).gather(index), stream.training(1).gather(index))


def _some_images(half: RawImages | RawFiles) -> NDArray[np.uint8]:
    """Images of one half at equal distances, decoded: uint8 (N, C, H, W)."""
    places = np.unique(np.linspace(0, len(half.labels) - 1, _DECODED).astype(np.int64))
    if isinstance(half, RawImages):
        return half.images[places]
    return half.images.decode(places.tolist()).transpose(0, 3, 1, 2)
