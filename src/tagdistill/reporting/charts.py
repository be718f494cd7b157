"""What the charts of a report share: colours, and a chart of some rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LayeredChart: TypeAlias = alt.LayerChart | alt.FacetChart  # of alt.layer
GREY, BLUE, ORANGE = "#7f8894", "#3b7dd8", "#e0772b"


def chart_of(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart of rows, without marks or axes yet."""
    return alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]  # altair leaves `Data` untyped
