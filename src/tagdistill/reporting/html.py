"""Tables for HTML pages, and the templates of pages and cards."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tagdistill.evaluation.tables import MISSING, Cell, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_COLUMNS = 12  # above this, languages become rows
MAX_ROWS = 30  # above this, a table scrolls in its own frame


@dataclass(frozen=True)
class Head:
    """The name of a row or column; `tone` is a CSS class."""

    text: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Field:
    """A cell: `extra` follows the text in small print, `note` is below it; `tone` is a CSS class."""

    text: str
    extra: str = ""
    note: str = ""
    best: bool = False
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """The content of an HTML table; `words`: its cells hold text, not numbers."""

    columns: list[Head]
    rows: list[tuple[Head, list[Field]]] = field(default_factory=list)
    corner: str = ""
    words: bool = False

    @property
    def tall(self) -> bool:
        """Whether the table has so many rows that it scrolls in its own frame."""
        return len(self.rows) > MAX_ROWS

    def transposed(self) -> Table:
        """Return the transposed table, averages first: below many languages they would be overlooked."""
        heads = [head for head, _ in self.rows]
        rows = [(column, [cells[n] for _, cells in self.rows]) for n, column in enumerate(self.columns)]
        rows.sort(key=lambda row: row[0].tone != "average")
        return Table(heads, rows, self.corner, self.words)

    def narrow(self) -> Table:
        """Return the table, transposed where it has too many columns to read."""
        return self.transposed() if len(self.columns) > max(MAX_COLUMNS, len(self.rows)) else self


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
    """Return a table of given text, in which the first column names the rows; None where there are no rows."""
    if not rows:
        return None
    shown = [(Head(str(row[0])), [x if isinstance(x, Field) else Field(_text(x)) for x in row[1:]]) for row in rows]
    return Table([Head(name) for name in columns[1:]], shown, columns[0], words)


def _text(value: object) -> str:
    if value is None or value == "":
        return MISSING
    return f"{value:,}" if isinstance(value, int) else str(value)


def code(text: str) -> Markup:
    """Return a text as HTML, with what stands between backquotes as code.

    >>> print(code("`a < b` & c"))
    <code>a &lt; b</code> &amp; c
    """
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # escaped before


def render(template: str, **values: Any) -> str:
    """Fill a template; in HTML, values are escaped."""
    environment = Environment(
        loader=PackageLoader("tagdistill.reporting"),
        autoescape=template.endswith((".html.j2", ".svg.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = code
    return environment.get_template(template).render(**values)
