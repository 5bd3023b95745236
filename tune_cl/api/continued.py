"""A search under a name that is taken already: the same one goes on, another is refused."""

import secrets
from typing import Any

from tune_cl.api.data import other_data
from tune_cl.chain import PRETRAINED
from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, SearchRecord, read_record


def continued(folder: SearchFolder, record: SearchRecord) -> SearchRecord:
    """The record with the date and the study's id of the search that it continues; where there is none, with a new id.

    Raises:
        TuneCLError: there is a search with another definition under the same name.
    """
    if not folder.search.exists():
        return record.model_copy(update={"study": _new_id()})
    earlier = read_record(folder.search, SearchRecord)
    old, new = earlier.definition(), record.definition()
    changed = [key for key in new if old.get(key) != new[key]]
    if changed == ["method_source"]:
        raise TuneCLError(
            f"{folder.path} holds a search of {record.method} in another version of its source; give this one another "
            "--name, or put the source back"
        )
    if changed == ["fresh"]:
        now = "--fresh" if record.fresh else "without --fresh"
        other = "without it" if record.fresh else "with it"
        raise TuneCLError(
            f"{folder.path} holds a search that was begun {other}, and this command is {now}; give this one another "
            "--name"
        )
    if changed == ["data_fingerprint"]:
        raise TuneCLError(
            f"{folder.path} holds a search on other images: {other_data(earlier, record.data_fingerprint)}; or search "
            "on those of now under another --name"
        )
    if changed:
        told = [key for key in changed if key != "data_fingerprint"]  # which follows from the stream, or is told next
        details = "; ".join(_difference(key, old.get(key), new[key]) for key in told[:3])
        weights = earlier.fixed.get(PRETRAINED, "none") != "none" and record.fixed.get(PRETRAINED) == "none"
        raise TuneCLError(
            f"{folder.path} holds a search with another definition ({details}); give this one another --name, or "
            f"repeat the options of that one{', --backbone-weights FILE among them' if weights else ''}"
        )
    return record.model_copy(update={"created": earlier.created, "study": earlier.study or _new_id()})


def _new_id() -> str:
    return secrets.token_hex(8)


def _difference(key: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        path = next(p for p in sorted({*old, *new}) if old.get(p) != new.get(p))
        if isinstance(old.get(path), dict) and isinstance(new.get(path), dict):
            return _difference(f"{key}: {path}", old[path], new[path])
        return f"{key}: {path} was {old.get(path, 'not there')}, is {new.get(path, 'not there')}"
    return f"{key} was {old}, is {new}"
