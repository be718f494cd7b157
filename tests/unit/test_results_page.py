"""The pages of measured results: one family of comparisons each, and the gap closed with its interval."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from synthetic_results import WRONG, build, settings, shorten

from tagdistill.artifacts.files import write_text
from tagdistill.cli.project import results
from tagdistill.errors import DataError
from tagdistill.reporting.report import build_report
from tagdistill.reporting.results import write_results


def experiment(root: Path, name: str, seeds: list[int]) -> Path:
    wrong = {model: found for model, found in WRONG.items() if "students" not in model or int(model[-1]) in seeds}
    results, _ = build(root / name, wrong)
    build_report(results, settings(name=name, seeds=seeds), draws=200)
    return results.rename(results.with_name(name))


def rows_of(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{table}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def rows_below(page: Path, title: str) -> list[dict[str, str]]:
    text = page.read_text(encoding="utf-8").split(f"## {title}")[1].split("\n\n")[1]
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("results")
    return [experiment(root, "medium-a", [0, 1]), experiment(root, "one", [0])]


def other_errors(model: str, change: int) -> dict[str, int]:
    return {language: number + change for language, number in WRONG[model].items()}


@pytest.fixture(scope="module")
def pages(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of medium-a, and of one with a tenth fewer errors of posterior, and students of structural."""
    out = tmp_path_factory.mktemp("pages")
    write_text(out / "index.md", "mine")
    changed = {
        f"students/posterior/seed-{seed}": other_errors(f"students/posterior/seed-{seed}", -10) for seed in (0, 1)
    }
    worse = {f"students/structural/seed-{seed}": other_errors(f"students/posterior/seed-{seed}", 20) for seed in (0, 1)}
    results, _ = build(folders[0].parents[1] / "longer", {**WRONG, **changed, **worse})
    objectives = {"objectives": ["baseline", "posterior", "structural"]}
    build_report(results, settings(name="medium-a-longer", distill=objectives), draws=200)
    longer = results.rename(results.with_name("medium-a-longer"))
    write_results([*folders, longer], out, out, objective="posterior", draws=200)
    return out


def written(pages: Path, name: str, section: str = "") -> list[dict[str, str]]:
    with (pages / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if section in row["section"]]


@pytest.mark.slow
def test_all_comparisons_of_a_page_are_one_family(folders: list[Path], pages: Path):
    rows = written(pages, "medium-a-longer")
    tested = [float(row["p"]) for row in rows if row["p"]]
    assert len({row["section"] for row in rows}) == 3
    assert len(tested) == len(rows) - 1  # the teachers have one seed
    for row in rows:
        if not row["p"]:
            assert (row["p_holm"], row["verdict"]) == ("", "one seed: no verdict")
            continue
        p = float(row["p"])
        adjusted = min(1, max(q * sum(other >= q for other in tested) for q in tested if q <= p))
        assert float(row["p_holm"].strip("< ")) == pytest.approx(adjusted, abs=1.1e-3)
        assert (row["verdict"] == "no difference shown") == (adjusted >= 0.05)
    shown = rows_below(pages / "medium-a-longer.md", "Against posterior")
    assert [row["p_holm"] for row in shown] == [row["p_holm"] for row in rows if row["section"] == "Against posterior"]


def test_students_are_compared_with_those_of_another_objective(pages: Path):
    rows = written(pages, "medium-a-longer", "Against posterior")
    assert {(row["system"], row["group"], row["difference"], row["up"], row["languages"]) for row in rows} == {
        ("structural", "in_language", "-3.0000", "0", "3"),
        ("structural", "zero_shot", "-3.0000", "0", "1"),
        ("structural", "zero_shot_out_of_domain", "-3.0000", "0", "1"),
    }
    assert not written(pages, "medium-a", "Against posterior")  # baseline is its reference: there already


def test_an_experiment_is_compared_with_the_one_whose_name_it_continues(pages: Path):
    rows = written(pages, "medium-a-longer", "Against the same systems of medium-a")
    found = {(row["system"], row["group"]): (row["difference"], row["up"], row["languages"]) for row in rows}
    assert found["posterior", "in_language"] == ("1.0000", "3", "3")
    assert found["posterior", "zero_shot"] == ("1.0000", "1", "1")
    assert found["baseline", "in_language"] == ("0.0000", "0", "3")
    assert not written(pages, "medium-a", "same systems")


def test_students_are_compared_once_with_the_objective_that_is_their_reference(folders: list[Path], tmp_path: Path):
    write_results(folders[:1], tmp_path, tmp_path, objective="baseline", draws=200)
    assert {row["section"] for row in written(tmp_path, "medium-a")} == {"Against the reference"}


def test_what_experiments_share_is_no_experiment(folders: list[Path], tmp_path: Path):
    shared = folders[1].with_name("shared")
    shared.mkdir()
    results([folders[1], shared], out=tmp_path / "pages")
    assert sorted(page.name for page in (tmp_path / "pages").glob("*.md")) == ["one.md"]


def test_other_files_stay_and_figures_lie_beside_the_page(pages: Path):
    assert (pages / "index.md").read_text(encoding="utf-8") == "mine"
    page = (pages / "medium-a.md").read_text(encoding="utf-8")
    for name in ("medium-a-in_language.svg", "medium-a-zero_shot.svg"):
        assert f"({name})" in page
        assert (pages / name).read_text(encoding="utf-8").startswith("<svg")


def test_a_page_names_its_small_test_sets(pages: Path, tmp_path: Path):
    results, _ = build(tmp_path, WRONG)
    for language, sentences in (("nl", 19), ("ar", 5), ("fr", 20)):
        shorten(results, language, sentences)
    build_report(results, settings(), draws=200)
    write_results([results], tmp_path, tmp_path, draws=200)
    page = (tmp_path / "toy.md").read_text(encoding="utf-8")
    assert "Small test sets: nl (19), ar (5). With fewer than 20 sentences intervals" in page.split("\n## ")[0]
    assert "Small test sets" not in (pages / "medium-a.md").read_text(encoding="utf-8")


def test_the_gap_closed_has_its_interval(folders: list[Path], pages: Path):
    (average,) = (row for row in rows_of(folders[0], "gap") if not row["language"])
    (row,) = rows_below(pages / "medium-a.md", "Gap between")
    for name in ("closed", "closed_low", "closed_high"):
        assert float(row[name]) == pytest.approx(float(average[name]), abs=0.006)
    assert float(row["closed_low"]) < float(row["closed"]) < float(row["closed_high"])
    assert row["covers"] == "sentences and seeds"
    assert rows_below(pages / "one.md", "Gap between")[0]["covers"] == "sentences"


def test_tables_of_an_earlier_version_have_no_seeds_in_their_verdicts_and_are_refused(
    folders: list[Path], tmp_path: Path
):
    write_text(tmp_path / "old/tables/scores.tsv", "model\n")
    write_text(tmp_path / "old/tables/significance.tsv", "system\tverdict\nposterior\tbetter\n")
    with pytest.raises(DataError, match=r"significance\.tsv: has no column p"):
        write_results([tmp_path / "old"], tmp_path, tmp_path / "pages")
    assert not (tmp_path / "pages").exists()


@pytest.mark.parametrize("name", ["tables/in_language.tsv", "tables/gap.tsv", "figures/zero_shot.svg"])
@pytest.mark.parametrize("damage", ["empty", "cut off"])
def test_a_damaged_table_or_figure_makes_no_page(name: str, damage: str, folders: list[Path], tmp_path: Path):
    folder = shutil.copytree(folders[0], tmp_path / "medium-a")
    file = folder / name
    file.write_bytes(file.read_bytes()[: -len(file.read_bytes()) // 3] if damage == "cut off" else b"")
    with pytest.raises(DataError, match=f"it is {damage}") as caught:
        write_results([folder], tmp_path, tmp_path / "out", draws=50)
    assert caught.value.where == str(file) and "delete it and run again" in caught.value.hint
