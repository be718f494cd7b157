"""The files around the code: one version everywhere, a short README, links that lead somewhere, a complete site."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import tagdistill
from tagdistill import crf
from tagdistill.evaluation.table_names import TABLES

ROOT = Path(__file__).parents[2]
SECTIONS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "config/README.md")
PAGES = sorted([*(ROOT / name for name in SECTIONS), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")


def text(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return FENCE.sub("", text(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges and the site make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def nav_pages(entries: list[Any]) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found |= nav_pages(value) if isinstance(value, list) else {value}
    return found


def test_the_guide_says_what_is_in_each_table():
    rows = re.findall(r"^\| `(\w+)\.tsv` \|", text("docs/guide/outputs.md"), re.MULTILINE)
    assert rows == list(TABLES)


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    heading = re.search(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)
    assert heading
    assert heading[1] == version
    assert yaml.safe_load(text("CITATION.cff"))["version"] == version
    assert tagdistill.__version__ == version


def test_the_readme_is_short():
    assert len(text("README.md").splitlines()) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path):
    broken = []
    for target, anchor in LINK.findall(prose(page)):
        file = (page.parent / target).resolve() if target else page
        inside = file.is_relative_to(ROOT) and file.exists()
        if not inside or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert broken == []


def test_every_page_is_reached_from_the_start_page_and_from_the_menu_of_the_site():
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    linked = {target for target, _ in LINK.findall(prose(ROOT / "docs/index.md"))}
    linked |= {f"results/{target}" for target, _ in LINK.findall(prose(ROOT / "docs/results/index.md"))}
    assert pages - linked - {"index.md"} == set()
    site = yaml.safe_load(text("mkdocs.yml"))
    assert pages - nav_pages(site["nav"]) == set()


def test_the_page_of_the_crf_shows_every_public_name():
    members = re.search(r"members: \[(.+)\]", text("docs/api/crf.md"))
    assert members and {*members[1].split(", "), "KERNELS"} == set(crf.__all__)


@pytest.mark.parametrize("image", sorted((ROOT / "docs/images").glob("*")), ids=lambda image: image.name)
def test_an_image_is_small(image: Path):
    assert image.stat().st_size <= 250_000


@pytest.mark.parametrize(
    "file", sorted([*(ROOT / ".github").rglob("*.yml"), *ROOT.glob(".*.y*ml")]), ids=lambda file: file.name
)
def test_the_files_of_forges_and_tools_are_yaml(file: Path):
    assert isinstance(yaml.safe_load(text(file)), dict)


def test_continuous_integration_runs_the_one_command():
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    assert ".ci/run" in [step.get("run") for job in jobs.values() for step in job["steps"]]
