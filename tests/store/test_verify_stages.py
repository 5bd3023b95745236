"""Looking through a store finds what is damaged, sets it aside, and leaves the rest alone."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_stages import keys_in, publish
from tiny_chains import chain_of, comparable, origins, rows_of, run_config

from tune_cl.store import verify


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / "state.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "state.pt").write_bytes(data)


def cut_short(folder: Path) -> None:
    (folder / "state.pt").write_bytes((folder / "state.pt").read_bytes()[:-20])


def lose_the_state(folder: Path) -> None:
    (folder / "state.pt").unlink()


def lose_the_record(folder: Path) -> None:
    (folder / "stage.json").unlink()


def cut_the_record(folder: Path) -> None:
    (folder / "stage.json").write_text((folder / "stage.json").read_text()[:100])


def change_record(folder: Path, **changes: object) -> None:
    record = json.loads((folder / "stage.json").read_text())
    (folder / "stage.json").write_text(json.dumps({**record, **changes}))


def cheapen(folder: Path) -> None:
    change_record(folder, seconds=0.0)


def change_ingredients(folder: Path) -> None:
    change_record(folder, ingredients={"parent": None, "hyperparameters": {"name": "z"}}, record_checksum=None)


def replace_content(folder: Path) -> None:
    """Something else, with the checksum that belongs to it."""
    buffer = io.BytesIO()
    torch.save([1, 2], buffer)
    (folder / "state.pt").write_bytes(buffer.getvalue())
    change_record(folder, checksum=hashlib.sha256(buffer.getvalue()).hexdigest(), record_checksum=None)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_bit, "checksum"),
        (cut_short, "checksum"),
        (lose_the_state, "state.pt is missing"),
        (lose_the_record, "stage.json is missing"),
        (cut_the_record, "stage.json"),
        (cheapen, "stage.json does not fit its checksum"),
        (change_ingredients, "ingredients"),
        (replace_content, "state.pt"),
    ],
)
def test_damage_is_found_named_and_set_aside(tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    good, bad = publish(tmp_path, "good"), publish(tmp_path, "bad")
    damage(tmp_path / bad[:2] / bad)
    found = verify(tmp_path)
    assert (found.checked, found.sound) == (2, False)
    [fault] = found.faults
    assert fault.key == bad and fault.set_aside and words in fault.what
    assert keys_in(tmp_path) == {good}
    assert [path.name[:64] for path in (tmp_path / "damaged").iterdir()] == [bad]
    again = verify(tmp_path)
    assert again.sound and again.checked == 1


def test_a_stage_under_anothers_key_is_found(tmp_path: Path) -> None:
    key = publish(tmp_path, "a")
    other = key[:2] + "0" * 62
    (tmp_path / key[:2] / key).rename(tmp_path / key[:2] / other)
    [fault] = verify(tmp_path).faults
    assert fault.key == other and key[:12] in fault.what


def test_the_stages_of_real_chains_are_sound_and_a_damaged_one_is_trained_again(tmp_path: Path) -> None:
    run = run_config("genifer", horizon=1)
    before = rows_of(chain_of(run, tmp_path))
    assert verify(tmp_path).sound and verify(tmp_path).checked == 3
    key = before[0].stages[1].key
    flip_a_bit(tmp_path / key[:2] / key)
    assert [fault.key for fault in verify(tmp_path).faults] == [key]
    after = rows_of(chain_of(run, tmp_path))
    assert origins(after) == ["reused", "trained", "reused"] and comparable(after) == comparable(before)


def test_one_who_waits_is_told_how_far_it_is(tmp_path: Path) -> None:
    publish(tmp_path, "a"), publish(tmp_path, "b")
    told: list[tuple[int, int]] = []
    verify(tmp_path, lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
