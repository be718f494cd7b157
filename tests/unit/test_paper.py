"""The paper's tables beside ours: its numbers as printed, ours only where a finished experiment has them."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

from tagdistill.artifacts.files import write_text
from tagdistill.errors import DataError
from tagdistill.reporting.paper import ADDED_SYSTEMS, SYSTEMS, paper_page, published, write_paper

ROOT = Path(__file__).parents[2]
SIGNIFICANCE = """\
system\treference\tgroup\tdifference\tlow\thigh\tcovers\tp\tp_holm\tverdict\tlanguages\truns
posterior\tbaseline\tin_language\t1.0000\t0.1000\t1.9000\tsentences and seeds\t0.03\t0.03\tbetter\t2\t3
posterior\tbaseline\tzero_shot\t2.0000\t1.0000\t3.0000\tsentences and seeds\t0.0001\t0.0002\tbetter\t2\t3
structural\tbaseline\tzero_shot\t2.0000\t1.0000\t3.0000\tsentences\t\t\tone seed: no verdict\t2\t1
"""


@pytest.mark.parametrize("table", published(), ids=lambda table: table.number)
def test_every_printed_average_is_that_of_its_row(table):
    assert all(len(row) == len(table.columns) + 1 for row in table.rows)
    if table.columns[-1] == "average":
        for name, *cells in table.rows:
            assert fmean(map(float, cells[:-1])) == pytest.approx(float(cells[-1]), abs=0.0101), name


def test_the_printed_tables_hang_together():
    tables = {table.number: {name: cells for name, *cells in table.rows} for table in published()}
    assert list(tables) == ["2a", "2b", "3", "4", "5", "6", "7", "9", "10"]
    for name, (ner, pos) in tables["6"].items():
        assert (tables["9"][name][-1], tables["10"][name][-1]) == (ner, pos)
    assert tables["7"]["Baseline"] == tables["2a"]["Baseline"]
    assert {name for rows in tables.values() for name in rows} <= set(SYSTEMS)


def experiment(tmp_path, name, in_language, zero_shot="system\n"):
    folder = tmp_path / "results" / name
    write_text(folder / "tables" / "scores.tsv", "model\n")
    write_text(folder / "tables" / "in_language.tsv", in_language)
    write_text(folder / "tables" / "zero_shot.tsv", zero_shot)
    write_text(folder / "tables" / "significance.tsv", SIGNIFICANCE)
    return folder


def rows_below(page: str, title: str) -> dict[str, list[str]]:
    text = page[page.index(f"{title}, by `") :].split("\n\n")[1]
    return {row[1].strip(): [c.strip() for c in row[2:-1]] for row in (x.split("|") for x in text.splitlines())}


def test_ours_stand_in_the_paper_s_rows_and_columns(tmp_path):
    mine = "system\tes\tnl\taverage\nTeachers\t80.00\t70.00\t75.00\nposterior\t81.00 ± 0.10\t71.00\t76.00\n"
    mine += "structural\t82.00\t72.00\t77.00\n"
    abroad = "system\tfr\tar\taverage\nBest single teacher, chosen on test\t50.00\t40.00\t45.00\n"
    page = paper_page([experiment(tmp_path, "small-conll2002", mine, abroad)])
    other = experiment(tmp_path, "small-semeval", "system\teu\nbaseline\t1.00\n")  # none of the paper's languages
    assert "`snakemake --cores 2 --configfile config/small/conll2002.yaml --config root=FOLDER`" in page
    found = rows_below(page, "small-conll2002")
    assert found[""] == ["en", "nl", "es", "de", "average"]
    assert found["Posterior"] == ["–", "71.00", "81.00 ± 0.10", "–", "–"]  # no average over other languages
    assert found["Baseline"] == ["–"] * 5 and found["Structural (not in the paper)"][1] == "72.00"
    assert "Scores (not in the paper)" not in found
    five = page[page.index("### Table 5") : page.index("### Table 6")]
    assert rows_below(five, "small-conll2002")["Best single teacher"] == ["–"] * 6 + ["50.00", "–"]
    assert (
        page.count("small-conll2002, by") == 3
        and "small-semeval" not in paper_page([other])
        and not set(ADDED_SYSTEMS) & set(SYSTEMS)
    )


def test_differences_and_verdicts_stand_below_each_of_our_tables_corrected_over_the_page(tmp_path):
    mine, abroad = "system\tes\nbaseline\t80.00\n", "system\tfr\nbaseline\t50.00\n"
    page = paper_page([experiment(tmp_path, "small-conll2002", mine, abroad)])
    two, five = (page[page.index(f"### Table {number}") :].split("### Table")[1] for number in ("2a", "5"))
    assert "| posterior | baseline | 2 | 1.00 | 0.10 | 1.90 | sentences and seeds | 0.030 | better | 3 |" in two
    assert "zero_shot" not in two and "< 0.001 | better" in five
    assert "| structural | baseline | 2 | 2.00 | 1.00 | 3.00 | sentences |  | one seed: no verdict | 1 |" in five
    # A second experiment on the page: its comparisons count, and this p is no longer small enough.
    folders = [experiment(tmp_path, name, mine, abroad) for name in ("small-conll2002", "medium-conll2002")]
    assert "| 0.060 | no difference shown |" in paper_page(folders) and "better | 3" in paper_page(folders)


def test_small_test_sets_are_named_below_the_tables_that_have_them(tmp_path):
    folder = experiment(tmp_path, "conll", "system\tes\nbaseline\t80.00\n", "system\tfr\nbaseline\t50.00\n")
    scores = "language\tsentences\nes\t19\nes\t19\nfr\t20\n"
    write_text(folder / "tables" / "scores.tsv", scores)
    page = paper_page([folder])
    two, five = (page[page.index(f"### Table {number}") :].split("### Table")[1] for number in ("2a", "5"))
    assert "\n\nSmall test sets: es (19). With fewer" in two and "Small test sets" not in five


def test_an_average_is_given_over_the_paper_s_own_languages(tmp_path):
    head = "\t".join(["system", *["tr", "es", "nl", "en", "ru"], "average"])
    page = paper_page([experiment(tmp_path, "semeval", head + "\nbaseline\t1.00\t2.00\t3.00\t4.00\t5.00\t3.00\n")])
    assert rows_below(page, "semeval")["Baseline"] == ["1.00", "2.00", "3.00", "4.00", "5.00", "3.00"]
    assert "config/semeval.yaml" in page
    apart = head + "\taverage, out of domain\nbaseline\t1.00\t2.00\t3.00\t4.00\t5.00\t3.00\t2.00\n"
    assert rows_below(paper_page([experiment(tmp_path, "semeval", apart)]), "semeval")["Baseline"][-1] == "–"


def test_what_is_no_experiment_of_the_paper_is_refused(tmp_path):
    other = experiment(tmp_path, "demo", "system\n")
    with pytest.raises(DataError, match="not an experiment of the paper"):
        write_paper([other], tmp_path / "x.md")
    gpu = experiment(tmp_path, "medium-ud-gpu", "system\ten\nbaseline\t9.00\n")
    assert "config/medium/ud-gpu.yaml" in paper_page([gpu])
    with pytest.raises(DataError, match="not finished"):
        write_paper([tmp_path / "none-ud"], tmp_path / "x.md")


def test_the_page_of_the_project_is_the_generated_one():
    there = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8").splitlines()
    place = 0
    for line in paper_page([]).splitlines():  # ours stand between
        assert line in there[place:], "run `make paper`"
        place += there[place:].index(line) + 1
