"""The code that travels with a job: the package with its embedded data and spaces, and what a user adds to it."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata, resources
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file: the same code makes the same archive, which Ray then has already


def pack(target: Path, added: Mapping[str, Path]) -> None:
    """Write the archive that a job's folder is made from.

    It is gathered from the installed package (or the checkout), never from the current folder, so that results,
    stages, data and credentials lying about cannot get into it.

    Args:
        target: a `.zip` to write.
        added: what comes along beside the package; path in the archive -> file.
    """
    files = {**dict(_packaged()), **added}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _write(archive, *_metadata())
        for name in sorted(files):
            _write(archive, name, files[name].read_bytes())


def _packaged() -> Iterator[tuple[str, Path]]:
    package = Path(str(resources.files("tune_cl")))
    for folder, _, names in os.walk(package, followlinks=True):  # in a checkout the spaces are a link
        for name in names:
            file = Path(folder, name)
            inside = file.relative_to(package)
            if not any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
                yield f"tune_cl/{inside.as_posix()}", file


def _metadata() -> tuple[str, bytes]:
    """Name, version and requirements as an installation has them: the job checks its Python against them."""
    installed = metadata.distribution("tune_cl")
    required = [line for line in installed.requires or () if "extra ==" not in line]
    heading = ["Metadata-Version: 2.1", "Name: tune_cl", f"Version: {installed.version}"]
    text = "\n".join([*heading, *(f"Requires-Dist: {line}" for line in required)])
    return f"tune_cl-{installed.version}.dist-info/METADATA", f"{text}\n".encode()


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
