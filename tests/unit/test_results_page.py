"""The page of measured results: one family of comparisons, and the gap closed with its interval."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from synthetic_results import WRONG, build, settings

from tagdistill.artifacts.files import write_text
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


def rows_below(page: str, experiment: str, title: str) -> list[dict[str, str]]:
    text = page.split(f"## {experiment}\n")[1].split(title)[1].split("\n\n")[1]
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("results")
    return [experiment(root, "medium-a", [0, 1]), experiment(root, "medium-b", [0, 1]), experiment(root, "one", [0])]


@pytest.mark.slow
def test_all_comparisons_of_the_page_are_one_family(folders: list[Path], tmp_path: Path):
    write_results(folders, tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    there = [row for folder in folders for row in rows_of(folder, "significance")]
    shown = [row for folder in folders for row in rows_below(page, folder.name, "Against the reference")]
    tested = [float(row["p"]) for row in there if row["p"]]
    assert len(tested) == 6  # three of each experiment: its teachers have one seed
    adjusted = {p: min(1, max(q * sum(other >= q for other in tested) for q in tested if q <= p)) for p in tested}
    for row, printed in zip(there, shown, strict=True):
        if not row["p"]:
            assert (printed["p_holm"], printed["verdict"]) == ("", "one seed: no verdict")
            continue
        # p of equal experiments are equal: the first of two is corrected for one more.
        assert float(printed["p_holm"].strip("< ")) == pytest.approx(adjusted[float(row["p"])], abs=1.1e-3)
        assert (printed["verdict"] == "no difference shown") == (adjusted[float(row["p"])] >= 0.05)


def test_the_gap_closed_has_its_interval(folders: list[Path], tmp_path: Path):
    write_results(folders, tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    (average,) = (row for row in rows_of(folders[0], "gap") if not row["language"])
    (row,) = rows_below(page, "medium-a", "Gap between")
    for name in ("closed", "closed_low", "closed_high"):
        assert float(row[name]) == pytest.approx(float(average[name]), abs=0.006)
    assert float(row["closed_low"]) < float(row["closed"]) < float(row["closed_high"])
    assert row["covers"] == "sentences and seeds"
    assert rows_below(page, "one", "Gap between")[0]["covers"] == "sentences"


def test_tables_of_an_earlier_version_have_no_seeds_in_their_verdicts_and_are_refused(
    folders: list[Path], tmp_path: Path
):
    write_text(tmp_path / "old/tables/scores.tsv", "model\n")
    write_text(tmp_path / "old/tables/significance.tsv", "system\tverdict\nposterior\tbetter\n")
    with pytest.raises(DataError, match=r"significance\.tsv: has no column p"):
        write_results([tmp_path / "old"], tmp_path, tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()
