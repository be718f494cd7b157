"""Tables of the pages of measurements."""

from __future__ import annotations


def table(head: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows) + "\n"


def judged(value: float, target: float | None, *, most: bool = False, form: str = ".1f") -> str:
    """Return a value with its target in brackets, and whether it misses it; `most`: the target is an upper bound."""
    if target is None:
        return f"{value:{form}}"
    met = value <= target if most else value >= target
    return f"{value:{form}} ({'≤' if most else '≥'} {target:g}{'' if met else ', missed'})"
