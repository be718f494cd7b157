"""The mutants of the package: the changes that mutmut would make, one at a time.

Which files are changed, and which lines are left alone, is said in pyproject.toml. As in mutmut, a change is one inside
a function or method without a decorator.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from mutmut.configuration import config
from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace


@dataclass(frozen=True)
class Mutant:
    """A change of one place. The key stays the same as long as its function does."""

    file: str
    key: str
    original: str
    module: cst.Module
    mutation: Mutation

    @property
    def text(self) -> str:
        """The changed file."""
        changed = deep_replace(self.module, self.mutation.original_node, self.mutation.mutated_node)
        assert isinstance(changed, cst.Module)
        return changed.code


@dataclass(frozen=True)
class Change:
    """What a mutant changes, as text: its first and last line in the original, and the lines before and after."""

    first: int
    last: int
    before: str
    after: str


def mutants_of(project: Path) -> list[Mutant]:
    """Return all mutants of the files that pyproject.toml names; its folder must be the current one."""
    files = sorted({file for pattern in config().only_mutate for file in project.glob(pattern) if file.suffix == ".py"})
    return [mutant for file in files for mutant in _of_file(file.relative_to(project).as_posix(), file.read_text())]


def drawn(mutants: list[Mutant], number: int, seed: int) -> list[Mutant]:
    """Return so many mutants in random order, or all for 0; mutants of functions that did not change stay drawn."""
    order = sorted(mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.key}".encode()).hexdigest())
    return order[: number or None]


def change(original: str, text: str) -> Change:
    """Return the difference of two texts, without indentation and line ends."""
    old, new = original.splitlines(), text.splitlines()
    blocks = [
        each for each in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if each[0] != "equal"
    ]
    (_, start, _, first, _), (_, _, stop, _, last) = blocks[0], blocks[-1]
    before, after = (" ".join(line.strip() for line in lines) for lines in (old[start:stop], new[first:last]))
    return Change(start + 1, max(stop, start + 1), before, after)


def lines_run(original: str, place: Change) -> range:
    """Return the lines of which at least one runs whenever the changed place does: those of the innermost statement."""
    found = range(place.first, place.last + 1)
    for node in ast.walk(ast.parse(original)):  # outer nodes come first
        if isinstance(node, ast.stmt) and node.lineno <= place.first <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            inside = not body or isinstance(node, ast.FunctionDef | ast.ClassDef)  # defaults run with the import
            found = range(node.lineno, (node.end_lineno or 0) + 1 if inside else max(body[0].lineno, node.lineno + 1))
    return found


def _of_file(name: str, text: str) -> list[Mutant]:
    module, mutations, *_ = create_mutations(name, text)
    found: list[Mutant] = []
    code: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for mutation in mutations:
        if isinstance(function := mutation.contained_by_top_level_function, cst.FunctionDef):
            own = code.setdefault(id(function), module.code_for_node(function).strip())
            key = hashlib.sha256(f"{name}\n{seen[own]}\n{own}".encode()).hexdigest()[:16]
            seen[own] += 1
            found.append(Mutant(name, key, text, module, mutation))
    return found
