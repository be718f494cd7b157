"""Two experiments side by side, where they were scored on the same test sentences.

Everything is read from finished results (tables/scores.tsv and metrics/), so the configs are not needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from tagdistill.artifacts.files import read_json
from tagdistill.artifacts.stored_file import stored
from tagdistill.errors import DataError, MismatchError
from tagdistill.evaluation.bootstrap import DRAWS, Bootstrap
from tagdistill.evaluation.metrics_file import read_counts
from tagdistill.evaluation.scores import COLUMNS
from tagdistill.evaluation.significance import Interval, Score, corrected, difference, mean_and_sd
from tagdistill.evaluation.tables import interval_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tagdistill.data.span_counts import Counts


@dataclass(frozen=True)
class Side:
    """One experiment: its name, its folder, and a row for each model and language."""

    name: str
    folder: Path
    scores: pd.DataFrame

    def models(self, system: str, language: str) -> list[str]:
        """Return the models of a system that were scored in a language."""
        found = self.scores[(self.scores["system"] == system) & (self.scores["language"] == language)]
        return list(found["model"])

    def averages(self, system: str, languages: Sequence[str]) -> tuple[float, ...]:
        """Return the average over some languages of each seed that all of them have."""
        rows = self.scores[(self.scores["system"] == system) & self.scores["language"].isin(languages)]
        means = rows.groupby("seed")["value"].agg(["mean", "size"])
        return tuple(means["mean"][means["size"] == len(languages)])


@dataclass(frozen=True)
class Difference:
    """One system in both experiments, in one language or averaged over several; the second less the first."""

    system: str
    group: str
    languages: tuple[str, ...]
    first: float
    second: float
    first_sd: float
    second_sd: float
    runs: tuple[int, int]
    difference: Interval

    @property
    def verdict(self) -> str:
        """The result in words, corrected for all comparisons of the page."""
        return self.difference.verdict


def read_side(folder: Path, name: str | None = None) -> Side:
    """Read the scores of a finished experiment. Raises DataError where its report was not written."""
    path = folder / "tables" / "scores.tsv"
    if not path.is_file():
        hint = "Give the folder results/NAME of an experiment whose report is there."
        raise DataError("has no tables/scores.tsv", where=str(folder), hint=hint)
    with stored(path, "a table", hint="Write the report again."):
        frame = pd.read_csv(
            path, sep="\t", keep_default_na=False, dtype={"language": str, "teacher": str, "objective": str}
        )
        if lacking := [name for name in COLUMNS if name not in frame.columns]:
            hint = "Write the report again with this version."
            raise DataError(f"no column {lacking[0]!r}", where=str(path), hint=hint)
        frame = frame[frame["main"].astype(str) == "True"]
        own = (frame["kind"] == "student") | (frame["teacher"] == frame["language"])
        frame = frame[own].assign(value=frame["value"].astype(float))
    system = frame["objective"].where(frame["kind"] == "student", "teachers (" + frame["decoder"] + ")")
    return Side(name or folder.resolve().name, folder, frame.assign(system=system))


class Pair:
    """Two experiments: what they share, what cannot be compared and why, and every difference."""

    def __init__(self, first: Side, second: Side, *, draws: int = DRAWS, seed: int = 0) -> None:
        self.first, self.second, self.draws, self.seed = first, second, draws, seed
        self.systems = [x for x in first.scores["system"].unique() if x in set(second.scores["system"])]
        self.languages, self.refused = self._languages()
        if not any(self._shared(system, self.languages) for system in self.systems):
            reasons = "; ".join(f"{language}: {why}" for language, why in self.refused.items())
            raise MismatchError(
                "nothing can be compared: no objective and language were scored on the same test set in both",
                where=f"{first.folder}, {second.folder}",
                hint=reasons or f"Systems: {_names(first)} against {_names(second)}.",
            )

    def _languages(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the comparable languages with their role in both, and the others with the reason why not."""
        there, refused = {}, {}
        for language in dict.fromkeys([*self.first.scores["language"], *self.second.scores["language"]]):
            rows = [side.scores[side.scores["language"] == language] for side in (self.first, self.second)]
            if empty := [s.name for s, part in zip((self.first, self.second), rows, strict=True) if part.empty]:
                refused[language] = f"not in {empty[0]}"
            elif _only(rows, "corpus_sha256") is None or not _only(rows, "corpus_sha256"):
                refused[language] = "other test sentences or labels"
            elif _only(rows, "score") is None:
                refused[language] = "other scores (F1 against accuracy)"
            else:
                roles = [_role(part) for part in rows]
                there[language] = roles[0] if roles[0] == roles[1] else "other_role"
        return there, refused

    @cached_property
    def _metrics(self) -> dict[tuple[int, str, str], tuple[Counts, str]]:
        """Return the counts and the decoding of each experiment (0 or 1), language and model."""
        found = {}
        for mark, side in enumerate((self.first, self.second)):
            for language in self.languages:
                for model in side.scores[side.scores["language"] == language]["model"].unique():
                    path = side.folder / "metrics" / model / f"{language}.json"
                    record = read_json(path)
                    counts = read_counts(record, where=str(path))
                    found[mark, language, model] = (counts, record.get("decode", "unconstrained"))
        return found

    def decoding(self, system: str) -> tuple[str, str]:
        """Return how the labels of a system were decoded in each experiment, in the languages that both have."""
        over, sides = self._shared(system, self.languages), enumerate((self.first, self.second))
        found = [{self._metrics[mark, x, m][1] for x in over for m in side.models(system, x)} for mark, side in sides]
        first, second = (", ".join(sorted(each)) for each in found)
        return first, second

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """The paired bootstrap over the models of both experiments; names begin with 0: or 1:, the experiment."""
        counts: dict[str, dict[str, Counts]] = {language: {} for language in self.languages}
        for (mark, language, model), (found, _) in self._metrics.items():
            counts[language][f"{mark}:{model}"] = found
        corpora = self.first.scores.set_index("language")["corpus_sha256"].to_dict()
        return Bootstrap(counts, corpora=corpora, draws=self.draws, seed=self.seed)

    def groups(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the languages that are averaged together, by role; those left out of averages are in none."""
        out = {x for side in (self.first, self.second) for x in side.scores[side.scores["leave_out"] != ""]["language"]}
        roles = dict.fromkeys(self.languages.values())
        found = [(role, tuple(x for x, r in self.languages.items() if r == role and x not in out)) for role in roles]
        return [(role, languages) for role, languages in found if languages]

    def difference(self, system: str, group: str, languages: Sequence[str]) -> Difference | None:
        """Return the difference of a system over the languages that both sides have it for, or None."""
        over = self._shared(system, languages)
        if not over:
            return None
        first, second = (self._score(mark, system, over) for mark in (0, 1))
        return Difference(
            system=system,
            group=group,
            languages=over,
            first=float(first.draws[0]),
            second=float(second.draws[0]),
            first_sd=mean_and_sd(first.seeds)[1],
            second_sd=mean_and_sd(second.seeds)[1],
            runs=(len(first.seeds), len(second.seeds)),
            difference=difference(second, first),
        )

    def _shared(self, system: str, languages: Iterable[str]) -> tuple[str, ...]:
        """Return the languages that both sides have a system for."""
        return tuple(x for x in languages if all(side.models(system, x) for side in (self.first, self.second)))

    def _score(self, mark: int, system: str, languages: Sequence[str]) -> Score:
        side = (self.first, self.second)[mark]
        names = {x: [f"{mark}:{model}" for model in side.models(system, x)] for x in languages}
        seeds = side.averages(system, languages)
        return Score(self.bootstrap.macro(names), seeds, sentences=self.bootstrap.fewest(languages))

    @cached_property
    def differences(self) -> list[Difference]:
        """Every shared system on every group of languages, then in every language; their verdicts are one family.

        A group of one language and that language by itself are one test, and have one result.
        """
        wanted = [*self.groups(), *((language, (language,)) for language in self.languages)]
        pairs = [self.difference(system, group, languages) for group, languages in wanted for system in self.systems]
        found = [pair for pair in pairs if pair]
        tests = _tests(found)
        family = dict(zip(tests, corrected(list(tests.values())), strict=True))
        return [replace(pair, difference=family[pair.system, pair.languages]) for pair in found]

    @property
    def tests(self) -> list[Interval]:
        """The comparisons that were made, each once."""
        return list(_tests(self.differences).values())

    @property
    def averages(self) -> list[Difference]:
        """The differences on groups of languages."""
        return [pair for pair in self.differences if pair.languages != (pair.group,)]

    @property
    def single(self) -> list[Difference]:
        """The differences in single languages."""
        return [pair for pair in self.differences if pair.languages == (pair.group,)]

    def frame(self) -> pd.DataFrame:
        """Return all differences, one row per system and language or group."""
        rows = [
            {
                "system": d.system,
                "over": d.group,
                "languages": " ".join(d.languages),
                self.first.name: d.first,
                self.second.name: d.second,
                **interval_columns(d.difference),
                "seeds": f"{d.runs[0]} against {d.runs[1]}",
            }
            for d in self.differences
        ]
        return pd.DataFrame(rows)


def _tests(found: Iterable[Difference]) -> dict[tuple[str, tuple[str, ...]], Interval]:
    """Return each comparison once, by its system and languages."""
    return {(pair.system, pair.languages): pair.difference for pair in found}


def _role(rows: pd.DataFrame) -> str:
    """Return the role of a language in the averages of its report: other domains are averaged separately."""
    return f"{rows['role'].iloc[0]}{'_out_of_domain' if rows['out_of_domain'].astype(str).iloc[0] == 'True' else ''}"


def _only(parts: Iterable[pd.DataFrame], column: str) -> str | None:
    """Return the one value of a column in all parts; None where there are several."""
    found = {str(value) for part in parts for value in part[column]}
    return found.pop() if len(found) == 1 else None


def _names(side: Side) -> str:
    return ", ".join(side.scores["system"].unique())
