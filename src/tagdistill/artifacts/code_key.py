"""The code that a result depends on: a hash of the modules that a job imports.

Snakemake cannot see our sources. A rule that carries this hash as a parameter runs again when the code that it uses
changes, and only then: comments, docstrings and formatting do not count, nor does a module that the job never imports.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import tagdistill

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = "tagdistill"
ROOT = Path(tagdistill.__file__).parent
# Tables of all that there is. The row that a job uses is in its settings, or is given as modules: a new row changes no
# other job.
TABLES = frozenset({"tagdistill.settings.metrics", "tagdistill.settings.objectives"})
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # of statements, in a statement
NO_DATA = frozenset({"py.typed", "__init__.pyi"})


@dataclass(frozen=True)
class _Module:
    digest: str
    imports: frozenset[str]


@cache
def code_key(*modules: str) -> str:
    """Return a hash of the code of some modules of the package and of all that they import.

    Modules that are loaded by name (readers, losses, encoder providers, kernels) are not seen in the code: they must be
    given too. Raises ValueError for a module that the package does not have.
    """
    digest = hashlib.sha256()
    for name in sorted(import_closure(modules)):
        digest.update(f"{name} {_module(name).digest}\n".encode())
    return digest.hexdigest()[:12]


def import_closure(modules: Iterable[str]) -> frozenset[str]:
    """Return the modules of the package that importing `modules`, and calling what they hold, may load.

    Imports inside functions count, and those for type checkers too: objects of the types that they name are passed in,
    and their methods run.
    """
    found: set[str] = set()
    waiting = [parent for name in modules for parent in _with_parents(name)]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in TABLES:
            found.add(name)
            waiting += module_imports(name)
    return frozenset(found)


def module_imports(name: str) -> frozenset[str]:
    """Return the modules of the package that one module imports, with the packages that they are in."""
    return _module(name).imports


def _with_parents(name: str) -> Iterator[str]:
    """Yield a module and the packages above it, whose code runs when it is imported."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


@cache
def _module(name: str) -> _Module:
    file = _source(name)
    if file is None:
        raise ValueError(f"the package has no module {name!r}")
    tree = ast.parse(file.read_bytes())
    imports = {parent for found in _imported(tree) for parent in _with_parents(found)}
    digest = hashlib.sha256(ast.dump(_without_docstrings(tree)).encode())
    if file.name == "__init__.py":
        for data in _data_files(file.parent):
            digest.update(data.relative_to(ROOT).as_posix().encode() + b"\0" + data.read_bytes())
    return _Module(digest.hexdigest(), frozenset(imports))


def _source(name: str) -> Path | None:
    place = ROOT.joinpath(*name.split(".")[1:])
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None) if name.split(".")[0] == PACKAGE else None


def _data_files(folder: Path) -> list[Path]:
    """Return the files of a package that are no Python, such as templates; those of packages below are their own."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            found += _data_files(path)
        elif path.is_file() and path.suffix != ".py" and path.name not in NO_DATA:
            found.append(path)
    return found


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield a module and its statements, those inside others too: no import and no docstring is in an expression."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in BLOCKS:
            waiting += getattr(node, block, ())


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of the package that the statements of a module import."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _source(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _source(node.module):
            yield node.module
            yield from (name for alias in node.names if _source(name := f"{node.module}.{alias.name}"))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in _statements(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree
