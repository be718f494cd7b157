"""Names that a config may hold: of schemes, and of the package's modules for formats, sources and providers.

Nothing is imported to find them: a new module is a new name, and reading a config stays cheap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parents[1]
FORMATS = "data/readers/formats"
SOURCES = "data/sources/catalogue"
PROVIDERS = "encoders/providers"
WRITERS = "prediction/writers"
LOSSES = "distill/losses"
Scheme = Literal["IOB1", "IOB2", "BIO", "BIOES", "BILOU", "BMES", "IO"]  # of spans


def names_in(folder: str) -> tuple[str, ...]:
    """Return the names of the modules in a folder of the package, such as `data/readers/formats`, sorted."""
    return tuple(sorted(file.stem for file in (PACKAGE / folder).glob("[!_]*.py")))


def module_of(folder: str, name: str) -> str:
    """Return the full name of a module in a folder of the package.

    >>> module_of(FORMATS, "conllu")
    'tagdistill.data.readers.formats.conllu'
    """
    return ".".join((PACKAGE.name, *folder.split("/"), name))


def summaries_in(folder: str) -> dict[str, str]:
    """Return the first line of the docstring of each module in a folder of the package, by name, without its stop."""
    import ast

    found = {}
    for name in names_in(folder):
        tree = ast.parse((PACKAGE / folder / f"{name}.py").read_text(encoding="utf-8"))
        found[name] = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    return found
