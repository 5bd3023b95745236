"""Reading the pickles of CIFAR's python version without running anything that a pickle may ask for.

A pickle builds objects by calling what it names. Here every name that it may use leads to a stand-in of this module,
so that not even NumPy is called with a pickle's arguments (a forged dtype state can make NumPy follow raw pointers).
The stand-ins have slots and no attributes to overwrite.
"""

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_cl.errors import TuneCLError

_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")


def load_plain_pickle(content: bytes) -> Any:
    """Decode a pickle of plain containers and numeric arrays; Python 2 strings become bytes.

    Args:
        content: the whole file; protocols 0 to 4.

    Returns:
        What the pickle holds; if that is a dictionary, its values that are arrays are NumPy arrays.

    Raises:
        TuneCLError: it asks for anything else, of which nothing has been run, or it is no whole pickle.
    """
    try:
        value = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    except TuneCLError:
        raise
    except Exception as error:  # a damaged pickle can fail in any opcode, with any exception
        raise TuneCLError(f"it is not a whole pickle file ({type(error).__name__}: {error})") from None
    if isinstance(value, dict):
        return {key: v.array if isinstance(v, _Array) else v for key, v in value.items()}
    return value


class _Dtype:
    """Stands in for `numpy.dtype`: plain numbers only."""

    __slots__ = ("name", "order")

    def __init__(self, name: str | bytes, align: object = False, copy: object = False) -> None:
        self.name = name.decode() if isinstance(name, bytes) else name
        self.order = "="
        if self.name not in _NUMBERS:
            raise TuneCLError(f"it holds an array of dtype {self.name!r}, but only numbers are admitted")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        self.order = "=" if order == "|" else order

    def resolve(self) -> np.dtype[Any]:
        return np.dtype(self.name).newbyteorder(self.order)  # type: ignore[arg-type]


class _Array:
    """Stands in for the empty array that NumPy's `_reconstruct` makes and that is filled by its state."""

    __slots__ = ("array",)
    array: NDArray[Any]

    def __init__(self, kind: object, shape: object, dtype: object) -> None:
        self.array = np.empty(0)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes]) -> None:
        _, shape, dtype, fortran, raw = state
        self.array = np.frombuffer(raw, dtype.resolve()).reshape(shape, order="F" if fortran else "C")


class _EncodeLatin1:
    """Stands in for `_codecs.encode`, by which Python 3 writes bytes into pickles of protocol 2."""

    __slots__ = ()

    def __call__(self, text: str | bytes, encoding: str | bytes) -> bytes:
        # With encoding="bytes" only Python 2 strings arrive as bytes; they need no encoding.
        if encoding not in ("latin1", "latin-1", b"latin1", b"latin-1"):
            raise TuneCLError(f"it encodes text as {encoding!r}, but only latin1 is admitted")
        return text if isinstance(text, bytes) else text.encode("latin-1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,  # NumPy 1
    ("numpy._core.multiarray", "_reconstruct"): _Array,  # NumPy 2
    ("numpy", "ndarray"): "numpy.ndarray",  # only handed on to _reconstruct
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _EncodeLatin1(),
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Look a global up among the stand-ins; nothing is imported."""
        if (module, name) not in _ADMITTED:
            raise TuneCLError(f"it asks for {module}.{name}, but only plain containers and numpy arrays are admitted")
        return _ADMITTED[module, name]
