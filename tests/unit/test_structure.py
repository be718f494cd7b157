"""The subpackages: imports run one way, and the root holds no loose modules."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import tagdistill
from tagdistill.artifacts.code_key import module_imports

ROOT = Path(tagdistill.__file__).parent
PROJECT = Path(__file__).parents[2]
# From the top down: a subpackage imports itself and the layers below it, never one beside it or above.
LAYERS = (
    ("cli",),
    ("prediction", "reporting", "serving"),
    ("evaluation", "training"),
    ("distill", "export", "workflow"),
    ("tagger",),
    ("experiment", "models"),
    ("encoders",),
    ("data",),
    ("settings", "artifacts"),
    ("crf", "errors"),
    ("formatting",),
)
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
MAX_LINES = {"file": 450, "function": 40}


def subpackage(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def modules() -> list[str]:
    """Return the names of all modules of the package, sorted."""
    files = [file.relative_to(ROOT.parent).with_suffix("") for file in ROOT.rglob("*.py")]
    return sorted(".".join(file.parts).removesuffix(".__init__") for file in files)


def arrows(modules_of: dict[str, frozenset[str]]) -> list[str]:
    """Return the imports that run against the order of the layers."""
    wrong = []
    for module, imports in modules_of.items():
        if not (own := subpackage(module)) or own == "__main__":
            continue
        for other in sorted(imports):
            target = subpackage(other)
            if target and target != own and LEVEL[target] <= LEVEL[own]:
                wrong.append(f"{module} imports {other}")
    return wrong


def test_every_subpackage_has_its_layer_and_the_root_holds_no_others():
    found = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found == {*LEVEL, "__init__", "__main__"}


def test_imports_run_one_way():
    assert arrows({module: module_imports(module) for module in modules()}) == []


def test_an_arrow_that_turns_is_seen():
    turned = {"tagdistill.crf.chain": frozenset({"tagdistill.errors"}), "tagdistill.data.corpus": frozenset()}
    assert arrows(turned) == ["tagdistill.crf.chain imports tagdistill.errors"]
    assert arrows({"tagdistill.settings.base": frozenset({"tagdistill.data.labels"})}) != []


def test_imports_run_in_no_circle():
    waiting, done = {module: set(module_imports(module)) - {module} for module in modules()}, set()
    for module, imports in waiting.items():  # a package's own modules may import what it holds itself
        imports -= {".".join(module.split(".")[:end]) for end in range(1, module.count(".") + 1)}
    while ready := [module for module, imports in waiting.items() if imports <= done]:
        done |= set(ready)
        waiting = {module: imports for module, imports in waiting.items() if module not in done}
    assert not waiting, f"a circle among {sorted(waiting)}"


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_can_be_read_at_a_glance(file: Path):
    text = file.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES["file"]
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and (node.end_lineno or 0) - node.body[_documented(node)].lineno + 1 > MAX_LINES["function"]
    ]
    assert not long


def test_modules_of_the_tests_and_benchmarks_have_names_of_their_own():
    """They are imported as top-level modules into one process: of two with one name, only the first is found."""
    files = [file for folder in ("tests", "bench") for file in (PROJECT / folder).rglob("*.py")]
    names = Counter(file.name for file in files if file.name != "conftest.py")
    assert [name for name, number in names.items() if number > 1] == []


def _documented(node: ast.FunctionDef) -> int:
    """Return the place of the first statement of a function after its docstring."""
    return int(ast.get_docstring(node) is not None and len(node.body) > 1)
