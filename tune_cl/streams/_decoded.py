"""Image files decoded once into one array, which later commands map into memory."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_cl.streams._cache import keep
from tune_cl.streams._feed import usable_cpus
from tune_cl.streams._files import ImageFiles

_VERSION = 2  # of how an image is decoded (`decode_square`); 2: 16-bit grey is scaled, and no longer cut off
_CHUNK = 64  # images that a thread decodes in one go


def decode_all(files: ImageFiles, name: str, cache: Path) -> NDArray[np.uint8]:
    """Decode all files, or map what an earlier call decoded.

    The array is kept in the cache folder; where nothing can be written it is made in memory each time.

    Args:
        files: the files.
        name: names their contents, such as the beginning of their fingerprint.
        cache: folder to keep it in.

    Returns:
        uint8 (N, C, S, S); may be read-only.

    Raises:
        TuneCLError: a file is missing or damaged.
    """
    name = f"{name}-{files.size}" if files.channels == 3 else f"{name}-{files.size}-grey"
    path = cache / f"{name}-v{_VERSION}.npy"
    shape = (len(files), files.channels, files.size, files.size)
    kept = _mapped(path, shape)
    if kept is not None:
        return kept
    images = np.empty(shape, dtype=np.uint8)
    _fill(images, files)
    with suppress(OSError):  # a data root that is read-only or full
        keep(path, lambda file: np.save(file, images, allow_pickle=False))
        for version in range(1, _VERSION):
            path.with_name(f"{name}-v{version}.npy").unlink(missing_ok=True)
    kept = _mapped(path, shape)
    return images if kept is None else kept


def _fill(images: NDArray[np.uint8], files: ImageFiles) -> None:
    """Decode in threads: nearly all of the time is spent in Pillow, which lets others run meanwhile."""

    def decode(start: int) -> None:
        places = range(start, min(start + _CHUNK, len(files)))
        images[start : places.stop] = files.decode(places).transpose(0, 3, 1, 2)

    with ThreadPoolExecutor(usable_cpus()) as threads:
        tasks = [threads.submit(decode, start) for start in range(0, len(files), _CHUNK)]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Map a file that holds such an array; None where there is none, or another one."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    # As a plain array, which pickles out of band.
    return np.asarray(mapped) if mapped.shape == shape and mapped.dtype == np.uint8 else None
