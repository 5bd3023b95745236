"""Fetching data sets: the CIFAR archives. The addresses and checksums are torchvision's; its readers are not used."""

import contextlib
import http.client
import io
import os
import tarfile
import tempfile
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.streams._cifar import cifar_training_version, read_cifar_training
from tune_cl.streams._datasets import Dataset


def download(dataset: Dataset, data_root: Path) -> None:
    """Fetch a data set's files into `data_root`, for `--download`.

    Raises:
        TuneCLError: it ships with the package, nothing fetches it, or it cannot be fetched.
    """
    if dataset.source == "embedded":
        raise TuneCLError(
            f"--download: {dataset.name} ships with tune_cl, so that nothing is fetched; leave the flag out"
        )
    if dataset.source == "folder":
        raise TuneCLError(f"--download: {dataset.name} is a folder of your own; leave the flag out")
    if dataset.fetch is None:
        files = f"{dataset.origin}," if dataset.origin else "its files"
        raise TuneCLError(
            f"--download: {dataset.name} is not fetched; put {files} into {data_root} and leave the flag out"
        )
    dataset.fetch(dataset, data_root)


def fetch_cifar(dataset: Dataset, data_root: Path) -> None:
    """Fetch the python version of CIFAR-10 or CIFAR-100 into `data_root`, unless its original is there already.

    The archive is fetched and extracted in a temporary folder beside its destination and moved there when it is whole,
    so that an interrupted or failed download leaves nothing behind. It holds the test file too; streams do not open it.

    Raises:
        TuneCLError: the archive cannot be fetched or is not the published one; the destination cannot be written or
            holds other files.
    """
    destination = data_root / cifar_training_version(dataset.name).folder
    if os.path.exists(destination):
        _check_present(dataset, data_root, destination)
        return
    created = _missing_folders(data_root)
    try:
        _fetch(dataset.name, data_root, destination)
    except BaseException:
        for folder in created:  # innermost first; one that somebody else has used meanwhile stays
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _check_present(dataset: Dataset, data_root: Path, destination: Path) -> None:
    try:
        read_cifar_training(dataset, data_root)
    except TuneCLError as error:
        raise TuneCLError(f"--download: {destination} is in the way ({error}); move it away first") from None


def _missing_folders(path: Path) -> list[Path]:
    return [folder for folder in (path, *path.parents) if not os.path.exists(folder)]


def _fetch(dataset: str, data_root: Path, destination: Path) -> None:
    from torchvision import datasets
    from torchvision.datasets.utils import download_and_extract_archive

    published = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[dataset]
    try:
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=data_root) as temporary:
            with contextlib.redirect_stdout(io.StringIO()):  # torchvision prints what it does
                download_and_extract_archive(
                    published.url, temporary, filename=published.filename, md5=published.tgz_md5
                )
            (Path(temporary) / destination.name).rename(destination)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, tarfile.TarError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TuneCLError(
            f"--download: {dataset} could not be fetched into {data_root} ({reason}); fetch {published.filename} by "
            f"other means, extract it there and leave the flag out"
        ) from None
