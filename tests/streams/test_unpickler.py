import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import open_stream
from tune_cl.streams._unpickler import load_plain_pickle


class Malicious:
    """Creates a file when it is unpickled by `pickle.load`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_malicious_batch_is_refused_and_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(pickle.dumps({"data": Malicious(mark), "fine_labels": [0]}, protocol=2))
    with pytest.raises(TuneCLError, match=r"train: it asks for posix\.mkdir, but only plain containers") as caught:
        open_stream(StreamRecord(name="cifar100-b50-t5"), tmp_path, accept_modified_data=True)
    assert "\n" not in str(caught.value) and not mark.exists()
    pickle.loads((folder / "train").read_bytes())  # the attack is a real one
    assert mark.is_dir()


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "numpy.ndarray.tofile"),
        (b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.", "numpy.fromfile"),
        (b"cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar"),
    ],
)
def test_names_outside_the_list_are_refused_in_every_opcode(content: bytes, asked: str) -> None:
    with pytest.raises(TuneCLError, match=rf"^it asks for {asked},"):
        load_plain_pickle(content)


def test_codecs_other_than_latin1_are_refused() -> None:
    with pytest.raises(TuneCLError, match="it encodes text as b'rot13'"):
        load_plain_pickle(b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.")


def test_arrays_of_objects_are_refused() -> None:
    for array in (np.array([None, 1], dtype=object), np.zeros(2, dtype=[("a", "u1"), ("b", object)])):
        with pytest.raises(TuneCLError, match="only numbers are admitted"):
            load_plain_pickle(pickle.dumps({"data": array}, protocol=2))


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy.core.multiarray\n_reconstruct\n}S'array'\nK\x01sb.",  # state for the stand-in itself
        b"c_codecs\nencode\n}S'x'\nK\x01sb.",
        b"cnumpy\nndarray\n(tR.",  # called
        b"cnumpy\nndarray\n(t\x81.",  # made without its constructor
        b"\x80\x02Pid.",  # persistent id
        b"\x82\x01.",  # extension registry
        b"garbage",
        b"",
    ],
)
def test_forged_and_damaged_pickles_end_in_a_sentence(content: bytes) -> None:
    with pytest.raises(TuneCLError, match=r"^it is not a whole pickle file"):
        load_plain_pickle(content)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", ">i4", "<i8", "float32", "bool"])
def test_plain_values_and_arrays_come_back_as_numpy_reads_them(protocol: int, dtype: str) -> None:
    array = (np.arange(24).reshape(2, 3, 4) % 2 * 77).astype(dtype)
    value = {b"a": array, b"f": np.asfortranarray(array), b"plain": [1, 2.5, None, True, (b"x\xff", {b"y": 3})]}
    read = load_plain_pickle(pickle.dumps(value, protocol=protocol))
    for key in (b"a", b"f"):
        assert read[key].dtype == array.dtype and np.array_equal(read[key], array)
    assert read[b"plain"] == value[b"plain"]
