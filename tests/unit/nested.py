"""Settings with one value changed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any


def with_value(values: dict[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a copy with the value at these keys, one for each level; `...` removes it."""
    changed = copy.deepcopy(values)
    *folders, last = keys
    place = changed
    for folder in folders:
        place = place.setdefault(folder, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed
