"""What well-formed BIOES is, said once more and in another way than the package does."""

from __future__ import annotations

import re
from collections.abc import Sequence


def is_well_formed(labels: Sequence[str]) -> bool:
    """Return whether every span is S-TYPE, or B-TYPE, any number of I-TYPE and E-TYPE."""
    text = "".join(f" {label}" for label in labels)
    return re.fullmatch(r"( O| S-\S+| B-(\S+)( I-\2)*( E-\2))*", text) is not None
