"""Where distillation pays: what students gain by the number of labelled and of unlabelled sentences.

    python bench/evidence_map.py results/evidence-map-* --out docs/results/map

The name of an experiment ends in the numbers of its labelled and unlabelled sentences, as `make map` gives it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import altair as alt
from markdown import table

from tagdistill.artifacts.files import write_text
from tagdistill.reporting.charts import chart_of
from tagdistill.reporting.figures import svg
from tagdistill.reporting.results import comparisons_of, corrected_rows, rows_of

GROUPS = {"in_language": "In-language", "zero_shot": "Zero-shot"}
Row = dict[str, str]
LABELLED_ONLY, WITH_TEXT = "posterior-labelled", "posterior"
HEAD = """\
# Where distillation pays

<!-- Written by `make map` from finished experiments; do not edit. -->

Part-of-speech tagging in {trained} languages, and {unseen} without training text: frozen students of tuned teachers,
all with as many updates, by the labelled and the unlabelled sentences of a language. A cell is the accuracy of
`posterior` minus that of the baseline with the same labelled sentences, its 95% interval (of test sentences and of
seeds), and the verdict after Holm's correction for all cells of this page. `config/evidence/map.yaml` is one cell.
"""


def sentences(folder: Path) -> tuple[int, int]:
    """Return the labelled and the unlabelled sentences of a language, from the name of the experiment."""
    found = re.search(r"-(\d+)-(\d+)$", folder.name)
    if not found:
        raise SystemExit(f"{folder}: its name does not end in two numbers, such as evidence-map-150-1000")
    return int(found[1]), int(found[2])


def cells(folders: list[Path]) -> list[Row]:
    """Return the gain of each cell in each group, corrected together.

    Students of labelled text alone are taken from the experiment that has least unlabelled text.
    """
    kept = []
    for folder in folders:
        labelled, unlabelled = sentences(folder)
        first = all(text >= unlabelled for other, text in map(sentences, folders) if other == labelled)
        texts = {WITH_TEXT: unlabelled} | ({LABELLED_ONLY: 0} if first else {})
        rows = [row for row in comparisons_of(folder) if row["group"] in GROUPS and row["system"] in texts]
        kept.append([{**row, "labelled": str(labelled), "unlabelled": str(texts[row["system"]])} for row in rows])
    found = [row for rows in corrected_rows(kept) for row in rows]
    return sorted(found, key=lambda row: (int(row["labelled"]), int(row["unlabelled"])))


def page(rows: list[Row], folders: list[Path]) -> str:
    trained, unseen = (len(rows_of(folders[0], group)[0]) - 2 for group in GROUPS)
    parts = [HEAD.format(trained=trained, unseen=unseen).rstrip()]
    for group, title in GROUPS.items():
        parts += [f"## {title}", _table([row for row in rows if row["group"] == group], folders, group).rstrip()]
    return "\n\n".join([*parts, "![The gain in each cell](map.svg)"]) + "\n"


def _table(rows: list[Row], folders: list[Path], group: str) -> str:
    texts = sorted({int(row["unlabelled"]) for row in rows})
    found = {(int(row["labelled"]), int(row["unlabelled"])): row for row in rows}
    known = ["Teachers", "baseline"] if group == "in_language" else ["baseline"]
    lines = []
    for labelled, folder in {sentences(folder)[0]: folder for folder in folders}.items():
        averages = {row["system"]: row["average"] for row in rows_of(folder, group)}
        gains = (_cell(found.get((labelled, text))) for text in texts)
        lines.append([f"{labelled:,}", *(averages[name] for name in known), *gains])
    return table(["labelled", *(name.lower() for name in known), *(f"{text:,} unlabelled" for text in texts)], lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    gain, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    return f"{gain:+.2f} [{low:.2f}, {high:.2f}] {row['verdict']}"


def figure(rows: list[Row]) -> str:
    """Return the map as two fields of coloured cells."""
    values = [
        {
            "labelled": int(row["labelled"]),
            "unlabelled": int(row["unlabelled"]),
            "gain": round(float(row["difference"]), 2),
            "group": GROUPS[row["group"]],
        }
        for row in rows
    ]
    most = 1.5 * max(abs(float(row["difference"])) for row in rows)  # so that the text on the darkest cell can be read
    base = chart_of(values).encode(
        x=alt.X("unlabelled:O", title="unlabelled sentences"),
        y=alt.Y("labelled:O", title="labelled sentences", sort="descending"),
    )
    colour = alt.Color("gain:Q", scale=alt.Scale(scheme="purplegreen", domain=[-most, most]), title="points")
    cell = alt.layer(
        base.mark_rect().encode(color=colour), base.mark_text().encode(text=alt.Text("gain:Q", format="+.2f"))
    )
    return svg(cell.properties(width=220, height=180).facet(column=alt.Column("group:N", title=None)), "map")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path, help="folders results/NAME of finished experiments")
    parser.add_argument("--out", type=Path, required=True, help="the page without its ending: .md, .tsv and .svg")
    options = parser.parse_args()
    folders = sorted(options.experiments, key=sentences)
    rows = cells(folders)
    write_text(options.out.with_suffix(".md"), page(rows, folders))
    names = (
        "labelled",
        "unlabelled",
        "group",
        "difference",
        "low",
        "high",
        "p",
        "p_holm",
        "verdict",
        "languages",
        "up",
        "runs",
    )
    lines = ["\t".join(names), *("\t".join(row[name] for name in names) for row in rows)]
    write_text(options.out.with_suffix(".tsv"), "\n".join(lines) + "\n")
    write_text(options.out.with_suffix(".svg"), figure(rows))


if __name__ == "__main__":
    main()
