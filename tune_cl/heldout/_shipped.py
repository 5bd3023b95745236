"""Readers of the test images of the data sets that tune_cl knows by itself, under the names of the data sets."""

from pathlib import Path

from tune_cl.streams import (
    CifarFile,
    CifarVersion,
    Dataset,
    ImageNetHalf,
    RawFiles,
    RawImages,
    Reader,
    read_archive,
    read_cifar,
    read_cub,
    read_imagenet,
)

_CIFAR_TEST: dict[str, tuple[CifarVersion, CifarVersion]] = {
    "cifar10": (
        CifarVersion(
            "cifar10",
            "cifar-10-batches-py",
            (CifarFile("test_batch", 10_000, "40351d587109b95175f43aff81a1287e"),),
        ),
        CifarVersion("cifar10", "cifar-10-batches-bin", (CifarFile("test_batch.bin", 10_000),)),
    ),
    "cifar100": (
        CifarVersion("cifar100", "cifar-100-python", (CifarFile("test", 10_000, "f0ef6b0ae62326f3e7ffdfab6717acfc"),)),
        CifarVersion("cifar100", "cifar-100-binary", (CifarFile("test.bin", 10_000),)),
    ),
}


_CUB_TEST = 5_794
_IMAGENET_TEST = ImageNetHalf("val", 50_000, 50, 50)


def _embedded(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawImages:
    return read_archive(Path(__file__).parent / "data" / f"{dataset.name}_test.npz")


def _cifar(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawImages:
    return read_cifar(dataset, _CIFAR_TEST[dataset.name], data_root, accept_modified_data)


def _cub(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawFiles:
    return read_cub(dataset, data_root, half="0", published=_CUB_TEST, accept_modified_data=accept_modified_data)


def _imagenet(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawFiles:
    return read_imagenet(dataset, _IMAGENET_TEST, data_root, accept_modified_data)


SHIPPED: dict[str, Reader] = {
    "fashion": _embedded,
    "quickdraw": _embedded,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "cub200": _cub,
    "imagenet": _imagenet,
    "imagenet100": _imagenet,
}
