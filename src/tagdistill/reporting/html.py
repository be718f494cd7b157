"""Tables as the page shows them, and the page's template."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tagdistill.evaluation.tables import MISSING, Cell, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE = 12  # columns above which languages become rows
TALL = 30  # rows above which a table scrolls in its own frame


@dataclass(frozen=True)
class Head:
    """The name of a row or column; `tone` is a CSS class."""

    text: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Field:
    """A cell: `extra` stands small behind the text, `note` below it."""

    text: str
    extra: str = ""
    note: str = ""
    best: bool = False
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """What one HTML table shows; `words` says that its cells are text, not numbers."""

    columns: list[Head]
    rows: list[tuple[Head, list[Field]]] = field(default_factory=list)
    corner: str = ""
    words: bool = False

    @property
    def tall(self) -> bool:
        """Whether the table has so many rows that it scrolls below its head."""
        return len(self.rows) > TALL

    def turned(self) -> Table:
        """Return the table with rows and columns exchanged, averages first: below many languages they are not seen."""
        heads = [head for head, _ in self.rows]
        rows = [(column, [cells[n] for _, cells in self.rows]) for n, column in enumerate(self.columns)]
        rows.sort(key=lambda row: row[0].tone != "average")
        return Table(heads, rows, self.corner, self.words)

    def narrow(self) -> Table:
        """Return the table turned where it has too many columns to read."""
        return self.turned() if len(self.columns) > max(WIDE, len(self.rows)) else self


def grid_table(grid: Grid) -> Table | None:
    """Return a table of scores, None where there is nothing to show."""
    if not grid.columns or not grid.rows:
        return None
    columns = [Head(c.title, c.mark, "average" if c.average else "") for c in grid.columns]
    rows = [(Head(row.title, tone=row.kind), [_score(cell) for cell in row.cells]) for row in grid.rows]
    return Table(columns, rows).narrow()


def _score(cell: Cell) -> Field:
    if cell.value is None:
        return Field(MISSING, tone="missing")
    extra = "" if cell.value.sd is None else f"± {cell.value.sd:.2f}"
    return Field(f"{cell.value.mean:.2f}", extra, cell.note, cell.best)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, words: bool = False) -> Table | None:
    """Return a table of ready text, the first column naming the rows; None where there are no rows."""
    if not rows:
        return None
    shown = [(Head(str(row[0])), [x if isinstance(x, Field) else Field(_text(x)) for x in row[1:]]) for row in rows]
    return Table([Head(name) for name in columns[1:]], shown, columns[0], words)


def _text(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    return f"{value:,}" if isinstance(value, int) else str(value)


def render(template: str, **values: Any) -> str:
    """Fill a template; in HTML whatever comes from data or settings is escaped."""
    environment = Environment(
        loader=PackageLoader("tagdistill.reporting"),
        autoescape=template.endswith((".html.j2", ".svg.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
