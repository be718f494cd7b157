"""The report of an experiment: tables, figures, one self-contained HTML page, and a model card for each student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from markupsafe import Markup

from tagdistill import __version__
from tagdistill.artifacts.files import read_json, write_text
from tagdistill.errors import DataError
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.metrics_file import read_record
from tagdistill.evaluation.scores import metrics_path, read_scores
from tagdistill.evaluation.significance import DRAWS
from tagdistill.evaluation.tables import in_language, write_tables, zero_shot
from tagdistill.evaluation.variants import KINDS, Variant, variants
from tagdistill.experiment.runs import Model, Runs
from tagdistill.reporting import data_sections, headline, sections
from tagdistill.reporting.card import model_card
from tagdistill.reporting.facts import (
    Run,
    Stage,
    licences,
    non_commercial,
    piece_counts,
    read_data_reports,
    read_runs,
    read_stages,
)
from tagdistill.reporting.figures import draw_figures
from tagdistill.reporting.html import grid_table, plain_table, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tagdistill.settings.experiment import Experiment


def build_report(
    results: Path,
    experiment: Experiment,
    *,
    benchmarks: Path | None = None,
    encoder: Path | None = None,
    draws: int = DRAWS,
) -> None:
    """Write tables/, figures/ and report/ (index.html, cards/) below `results`, the folder results/NAME.

    What is shown follows from the settings; what is not there is shown as missing. `benchmarks` is benchmarks/NAME,
    `encoder` the converted encoder's folder, for its licence. Raises DataError or MismatchError for a broken file.
    """
    analysis = Analysis(read_scores(results, experiment), draws=draws)
    runs = read_runs(results, Runs(experiment).models.values())
    stages = [stage for stage in read_stages(benchmarks) if stage.name != "report"]  # that is the report before this
    about = _about_encoder(encoder)
    reports = read_data_reports(results, experiment)
    others = variants(analysis, reports)
    write_tables(analysis, results / "tables", others)
    figures = draw_figures(analysis, runs, stages, reports, results / "figures")
    values = {**_page(results, analysis, runs, stages, about, reports), **_other_readings(others)}
    page = render("report.html.j2", **values, figures=_inline(figures))
    write_text(results / "report" / "index.html", page)
    write_cards(results, experiment, results / "report" / "cards", encoder=about)


def write_cards(results: Path, experiment: Experiment, folder: Path, *, encoder: Mapping[str, Any] | None) -> None:
    """Write `OBJECTIVE-seed-S.md` for every student whose model is there."""
    for model in Runs(experiment).students:
        config = results / model.name / "model" / "config.json"
        if config.exists():
            records = read_metrics(results, experiment, model)
            metadata = read_json(config)
            # The settings may say more of a licence than the data did when the model was trained.
            stated = {x: licence for x in metadata["languages"] if (licence := experiment.languages[x].licence)}
            metadata["licences"] = {**(metadata.get("licences") or {}), **stated}
            card = model_card(metadata, records, name=f"{experiment.name}/{model.name}", encoder=encoder)
            write_text(folder / f"{model.objective}-seed-{model.seed}.md", card)


def read_metrics(results: Path, experiment: Experiment, model: Model) -> list[dict[str, Any]]:
    """Return the metrics of one model on the experiment's languages, as far as they are there."""
    paths = {
        target.language: metrics_path(results, model, target.language) for target in Runs(experiment).test_languages
    }
    return [read_record(path, model.name, language) for language, path in paths.items() if path.exists()]


def _about_encoder(folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    record = folder / "tagdistill.json"
    if not record.exists():
        raise DataError("not a converted encoder: its record is missing", where=str(record))
    encoder: dict[str, Any] = read_json(record)
    return encoder


def _inline(figures: Mapping[str, str]) -> dict[str, Markup]:
    # Vega writes text as XML text and attributes, escaped: these strings are the only ones that are not escaped again.
    return {name: Markup(text) for name, text in figures.items()}


def _other_readings(others: Sequence[Variant]) -> dict[str, Any]:
    """Return the tables of scores that leave out what one may not want to count, for the section of each role."""
    return {
        f"{kind}_{role}": data_sections.variant_table([v for v in others if v.role == role], kind)
        for kind in KINDS
        for role in ("trained", "zero_shot")
    }


def _page(
    results: Path,
    analysis: Analysis,
    runs: Sequence[Run],
    stages: Sequence[Stage],
    encoder: Mapping[str, Any] | None,
    reports: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    experiment = analysis.results.experiment
    licence = licences(experiment, reports)
    main = analysis.results.main
    return {
        "name": experiment.name,
        "version": __version__,
        "trained": headline.trained(analysis),
        "numbers": headline.numbers(analysis),
        "findings": headline.findings(analysis),
        "notes": headline.notes(analysis, runs),
        "metric": main["score"].iloc[0] if len(main) else "score",
        "draws": analysis.draws,
        "in_language": grid_table(in_language(analysis)),
        "zero_shot": grid_table(zero_shot(analysis)),
        "gaps": sections.gap_table(analysis),
        "comparisons": sections.comparison_table(analysis),
        "matrix": sections.matrix_table(analysis),
        "certainty": sections.certainty_table(analysis),
        "data": sections.data_table(reports, piece_counts(results, experiment)),
        "label_counts": data_sections.label_table(reports),
        "characters": data_sections.character_table(reports),
        "warnings": [warning for report in reports.values() for warning in sections.data_warnings(report)],
        "repairs": [place for report in reports.values() for place in sections.repaired_places(report)],
        "licences": sections.licence_table(licence),
        "restricted": [language for language, text in licence.items() if non_commercial(text)],
        "training": sections.training_table(runs),
        "stages": sections.stage_table(stages),
        "stored": sections.stored_table(results, analysis),
        "corpora": sections.corpora_table(reports),
        "encoder": plain_table(["encoder", ""], sorted(encoder.items()), words=True) if encoder else None,
        "versions": sections.version_table(runs),
        "settings": yaml.safe_dump(
            experiment.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=100
        ),
    }
