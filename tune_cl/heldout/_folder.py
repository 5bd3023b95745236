"""The test half of a folder of images per class."""

from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.streams import Dataset, RawFiles, half_of, read_folder


def read_folder_test(dataset: Dataset, data_root: Path | None = None, accept_modified_data: bool = False) -> RawFiles:
    """List and hash the test images of a folder; where other data lie is no matter.

    Raises:
        TuneCLError: there is no test half, or it is not in order.
    """
    return read_folder(half_of(dataset, "test"))


def check_folder(dataset: Dataset) -> None:
    """Find out before hours of training whether the test half of a folder can be tested on. No image is decoded.

    Raises:
        TuneCLError: it is missing or not in order, has other classes than the training half, or an image that the
            training half has as well.
    """
    training, test = read_folder(half_of(dataset, "train")), read_folder_test(dataset)
    _check_classes(training, test)
    assert training.contents is not None and test.contents is not None
    trained = {contents.tobytes(): place for place, contents in enumerate(training.contents)}
    for place, contents in enumerate(test.contents):
        twin = trained.get(contents.tobytes())
        if twin is not None:
            raise TuneCLError(
                f"{test.images.path(place)}: the same image as {training.images.path(twin)}, which is trained on; "
                "remove one of them"
            )


def _check_classes(training: RawFiles, test: RawFiles) -> None:
    for half, other, names in ((test, training, "training"), (training, test, "test")):
        for name in half.class_names:
            if name not in other.class_names:
                raise TuneCLError(
                    f"{Path(half.images.folder, name)}: a class without {names} images, since there is no folder "
                    f"{Path(other.images.folder, name)}; both halves need the same classes"
                )
