"""The report of an experiment: tables, figures, one self-contained HTML page, and a model card for each student."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from markupsafe import Markup

from tagdistill import __version__
from tagdistill.artifacts.files import read_mapping, write_text
from tagdistill.errors import DataError
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.bootstrap import DRAWS
from tagdistill.evaluation.metrics_file import read_record
from tagdistill.evaluation.scores import metrics_path, read_scores
from tagdistill.evaluation.tables import in_language, write_tables, zero_shot
from tagdistill.evaluation.variants import KINDS, variants
from tagdistill.experiment.runs import Runs
from tagdistill.reporting import data_sections, headline, sections
from tagdistill.reporting.card import model_card
from tagdistill.reporting.facts import (
    licences,
    non_commercial,
    piece_counts,
    read_data_reports,
    read_repeats,
    read_runs,
    read_stages,
)
from tagdistill.reporting.figures import draw_figures
from tagdistill.reporting.html import grid_table, plain_table, render
from tagdistill.reporting.notes import notes
from tagdistill.reporting.objective_settings import objective_table
from tagdistill.reporting.weak_teachers import weak_teachers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tagdistill.evaluation.variants import Variant
    from tagdistill.experiment.runs import Model
    from tagdistill.reporting.facts import Repeats, Reports, Run, Stage
    from tagdistill.settings.experiment import Experiment

log = logging.getLogger(__name__)
NOT_SHOWN = ("format", "whole")  # of an encoder's record


@dataclass(frozen=True)
class Content:
    """All that a report is written from."""

    results: Path
    analysis: Analysis
    variants: list[Variant]
    runs: list[Run]
    stages: list[Stage]
    data: Reports
    repeats: Repeats
    encoder: Mapping[str, Any] | None

    @property
    def experiment(self) -> Experiment:
        """The settings."""
        return self.analysis.results.experiment


def build_report(
    results: Path,
    experiment: Experiment,
    *,
    benchmarks: Path | None = None,
    encoder: Path | None = None,
    draws: int = DRAWS,
) -> None:
    """Write tables/, figures/ and report/ (index.html, cards/) below `results`, the folder results/NAME.

    What is shown follows from the settings; results that are not there are shown as missing. `benchmarks` is
    benchmarks/NAME, `encoder` the folder of the converted encoder, for its licence. Raises DataError or MismatchError
    for a broken file.
    """
    content = _read(results, experiment, benchmarks, encoder, draws)
    write_tables(content.analysis, results / "tables", content.variants)
    figures = draw_figures(
        content.analysis, content.runs, content.stages, (content.data, content.repeats), results / "figures"
    )
    warnings = weak_teachers(content.analysis, content.runs)
    for warning in warnings:
        log.warning("warning: %s", warning)
    values = {**_scores(content), **_data(content), **_provenance(content), "weak_teachers": warnings}
    write_text(results / "report" / "index.html", render("report.html.j2", **values, figures=_inline(figures)))
    write_cards(results, experiment, results / "report" / "cards", encoder=content.encoder)


def _read(results: Path, experiment: Experiment, benchmarks: Path | None, encoder: Path | None, draws: int) -> Content:
    analysis = Analysis(read_scores(results, experiment), draws=draws)
    reports, repeats = read_data_reports(results, experiment), read_repeats(results, experiment)
    return Content(
        results,
        analysis,
        variants(analysis, repeats),
        read_runs(results, Runs(experiment).models.values()),
        [stage for stage in read_stages(benchmarks) if stage.name != "report"],  # that is of the last report
        reports,
        repeats,
        _encoder_record(encoder),
    )


def write_cards(results: Path, experiment: Experiment, folder: Path, *, encoder: Mapping[str, Any] | None) -> None:
    """Write folder/OBJECTIVE-seed-SEED.md for each student that has been trained; `encoder` is the encoder's record."""
    runs = Runs(experiment)
    taught = {name: len(runs.taught(name)) for name in runs.shared}
    for model in runs.students:
        config = results / model.name / "model" / "config.json"
        if config.exists():
            records = read_metrics(results, experiment, model)
            metadata = read_mapping(config, "languages")
            # A licence in the settings wins over the one that the data had when the model was trained.
            stated = {x: licence for x in metadata["languages"] if (licence := experiment.languages[x].licence)}
            metadata["licences"] = {**(metadata.get("licences") or {}), **stated}
            name = f"{experiment.name}/{model.name}"
            card = model_card(metadata, records, name=name, encoder=encoder, taught=taught)
            write_text(folder / f"{model.objective}-seed-{model.seed}.md", card)


def read_metrics(results: Path, experiment: Experiment, model: Model) -> list[dict[str, Any]]:
    """Return the metrics of one model for each language of the experiment that has them."""
    paths = {
        target.language: metrics_path(results, model, target.language) for target in Runs(experiment).test_languages
    }
    return [read_record(path, model.name, language) for language, path in paths.items() if path.exists()]


def _encoder_record(folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    path = folder / "tagdistill.json"
    if not path.exists():
        raise DataError("not a converted encoder: its record is missing", where=str(path))
    return read_mapping(path)


def _inline(figures: Mapping[str, str]) -> dict[str, Markup]:
    # Vega escapes the text in its SVG: these are the only strings that the template does not escape again.
    return {name: Markup(text) for name, text in figures.items()}


def _scores(content: Content) -> dict[str, Any]:
    """Return what the page shows of scores and comparisons."""
    analysis = content.analysis
    tables = {
        f"{kind}_{role}": data_sections.variant_table([v for v in content.variants if v.role == role], kind)
        for kind in KINDS
        for role in ("trained", "zero_shot")
    }
    return {
        "trained": headline.trained(analysis),
        "tested": bool(analysis.targets),
        "numbers": headline.numbers(analysis),
        "findings": headline.findings(analysis),
        "notes": notes(analysis, content.runs, content.data),
        "metric": headline.score_name(analysis),
        "spans": content.experiment.task != "pos",
        "decode": content.experiment.decode,
        **headline.captions([comparison.difference for comparison in analysis.comparisons], analysis.draws),
        "in_language": grid_table(in_language(analysis)),
        "zero_shot": grid_table(zero_shot(analysis)),
        "gaps": sections.gap_table(analysis),
        "comparisons": sections.comparison_table(analysis),
        "matrix": sections.matrix_table(analysis),
        "certainty": sections.certainty_table(analysis),
        "folds": bool(analysis.runs.fold_teachers),
        **tables,
    }


def _data(content: Content) -> dict[str, Any]:
    """Return what the page shows of the data."""
    reports = content.data
    licence = licences(content.experiment, reports)
    return {
        "data": sections.data_table(reports, piece_counts(content.results, content.experiment)),
        "label_counts": data_sections.label_table(reports),
        "repeats": data_sections.repeat_table(content.repeats),
        "characters": data_sections.character_table(reports),
        "warnings": [warning for report in reports.values() for warning in sections.data_warnings(report)],
        "noted": [line for report in reports.values() for line in sections.noted_places(report)],
        "licences": sections.licence_table(licence),
        "restricted": [language for language, text in licence.items() if non_commercial(text)],
        "corpora": sections.corpora_table(reports),
    }


def _shown(encoder: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name.replace("_", " "), encoder[name]) for name in sorted(encoder) if name not in NOT_SHOWN]


def _provenance(content: Content) -> dict[str, Any]:
    """Return what the page shows of the experiment, its training, time, encoder, versions and settings."""
    encoder = content.encoder
    settings = content.experiment.model_dump(mode="json", exclude_none=True)
    return {
        "name": content.experiment.name,
        "version": __version__,
        "objectives": objective_table(content.experiment),
        "training": sections.training_table(content.runs),
        "stages": sections.stage_table(content.stages),
        "stored": sections.stored_table(content.results, content.analysis),
        "encoder": plain_table(["encoder", ""], _shown(encoder), words=True) if encoder else None,
        "versions": sections.version_table(content.runs),
        "settings": yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100),
    }
