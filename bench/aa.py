"""How often is a verdict false? Students of one objective against others of the same objective, with other seeds.

Every "better" or "worse" among equals is false. Then one objective is made better, to see how often that is found.
`python bench/aa.py --page docs/reliability.md` writes the section of the page between its two markers.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from statistics import fmean, stdev

from markdown import table
from simulated import KINDS, OBJECTIVES, Kind, alone, false_verdicts, page, sentences_only, trials

SEEDS = (2, 3, 5)
MARKS = "<!-- aa: written by make aa -->", "<!-- aa ends -->"


def row(kind: Kind, seeds: int, number: int, draws: int) -> list[str]:
    """Return one line of the table of false verdicts."""
    experiments = list(trials(kind, seeds, number, draws))
    old, new = ([method(found) for found in experiments] for method in (sentences_only, page))
    spread = fmean(stdev(found["baseline"].seeds) for found in experiments)
    figures = [false_verdicts(old, alone), false_verdicts(new, alone), false_verdicts(new)]
    return [kind.name, str(seeds), f"{spread:.2f}", *(f"{a:.1f} %, {b:.1f} %" for a, b in figures)]


def power(kind: Kind, seeds: int, number: int, draws: int) -> list[str]:
    """Return one line of the table of true verdicts."""
    cells = []
    for gain in kind.effects:
        better = [page(found)[0].verdict == "better" for found in trials(kind, seeds, number, draws, gain)]
        cells.append(f"{gain:g}: {100 * fmean(better):.0f} %")
    return [kind.name, str(seeds), *cells]


def section(number: int, draws: int) -> str:
    """Return the section of the page."""
    settings = [(kind, seeds) for kind in KINDS for seeds in SEEDS]
    head = ["scores", "seeds", "sd over seeds", "sentences only", "sentences and seeds", "with Holm's correction"]
    false = table(head, [row(kind, seeds, number, draws) for kind, seeds in settings])
    true = table(
        ["scores", "seeds", "smaller", "larger"], [power(kind, seeds, number // 2, draws) for kind, seeds in settings]
    )
    return f"""\
False verdicts in {number} simulated experiments a line, of comparisons and of pages with {len(OBJECTIVES) - 1} of them:

{false}
How often an objective that is better by so many points is called better, in {number // 2} experiments a line:

{true}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500, help="experiments of each kind and number of seeds")
    parser.add_argument("--draws", type=int, default=500, help="resamples of each")
    parser.add_argument("--page", type=Path, help="page whose section between the two markers is replaced")
    arguments = parser.parse_args()
    text = section(arguments.trials, arguments.draws)
    if arguments.page is None:
        print(text)
        return
    old = arguments.page.read_text(encoding="utf-8")
    marked = re.compile(f"{MARKS[0]}.*{MARKS[1]}", re.DOTALL)
    new = f"{MARKS[0]}\n\n{text}\n{MARKS[1]}"
    arguments.page.write_text(marked.sub(lambda _: new, old), encoding="utf-8")


if __name__ == "__main__":
    main()
