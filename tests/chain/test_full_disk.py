"""A trained stage waits for space on a full disk; a real one, in memory."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_chains import TIMES, chain_of, comparable, rows_of, run_config, tiny_stream

from tune_cl.chain import Chain, Progress
from tune_cl.store import StageStore


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all of the space that is left."""
    filler = place / "filler"
    try:
        with filler.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
    except OSError as error:
        assert error.errno == errno.ENOSPC
    return filler


def chain_on(disk: Path, patience: float, look: object) -> Chain:
    store = StageStore(disk / "stages", TIMES, patience=patience)
    return Chain(run_config("finetune", horizon=1), tiny_stream(), store, look, node="here")  # type: ignore[arg-type]


def test_a_trained_stage_waits_until_there_is_space(small_disk: Path, tmp_path: Path) -> None:
    signs: list[Progress] = []

    def look(progress: Progress) -> None:
        if not signs:
            fill(small_disk)
        signs.append(progress)
        if sum(sign.disk_full for sign in signs) == 3:
            (small_disk / "filler").unlink(missing_ok=True)

    rows = rows_of(chain_on(small_disk, 60.0, look))
    assert sum(sign.disk_full for sign in signs) == 3
    assert comparable(rows) == comparable(rows_of(chain_of(run_config("finetune", horizon=1), tmp_path / "roomy")))
    assert all(StageStore(small_disk / "stages").load(use.key) for row in rows for use in row.stages)


def test_without_patience_a_full_disk_ends_the_phase_and_the_same_run_goes_on_later(
    small_disk: Path, tmp_path: Path
) -> None:
    filled: list[Path] = []

    def look(progress: Progress) -> None:
        if not filled:
            filled.append(fill(small_disk))

    with pytest.raises(OSError, match="No space left") as trouble:
        chain_on(small_disk, 0.0, look).advance()
    assert trouble.value.errno == errno.ENOSPC
    filled[0].unlink()
    rows = rows_of(chain_on(small_disk, 0.0, lambda progress: None))
    assert comparable(rows) == comparable(rows_of(chain_of(run_config("finetune", horizon=1), tmp_path / "roomy")))
    assert list((small_disk / "stages" / "drafts").iterdir()) == []
