"""What all charts of a report begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def chart_of(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart of some rows, to which marks are added."""
    return alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]  # altair leaves `Data` untyped
