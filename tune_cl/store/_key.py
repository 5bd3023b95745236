"""The name of a stage: a hash of what it depends on. Two stages with one key have equal content."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def stage_key(ingredients: Mapping[str, Any]) -> str:
    """sha256 (64 hex digits) of the ingredients' canonical JSON."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
