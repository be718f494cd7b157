"""What a training run writes: its log, its summary and its model."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import write_json, write_text
from tagdistill.artifacts.parquet import read_header
from tagdistill.artifacts.provenance import versions
from tagdistill.crf import kernel
from tagdistill.data.corpus import KIND
from tagdistill.models.model import save_model

if TYPE_CHECKING:
    from tagdistill.training.assemble import Parts
    from tagdistill.training.run import Run
    from tagdistill.training.trainer import TrainingOutcome

log = logging.getLogger(__name__)


def write_outputs(run: Run, parts: Parts, outcome: TrainingOutcome, fingerprint: str) -> None:
    """Write metrics.jsonl, training.json and the model's folder; the model is last, so that it implies the others."""
    write_text(run.outputs.log, "".join(json.dumps(line, sort_keys=True) + "\n" for line in outcome.history))
    write_json(run.outputs.summary, summary(run, parts, outcome, fingerprint))
    config, mix = model_config(run, parts.teachers), learned_mix(run, parts)
    save_model(run.outputs.model, parts.model, {**config, "mix": mix} if mix else config)


def summary(run: Run, parts: Parts, outcome: TrainingOutcome, fingerprint: str) -> dict[str, Any]:
    """Return what training.json says: how the training went, and on what machine."""
    rates = [line["words_per_second"] for line in outcome.history if "words_per_second" in line]
    clipped = [line["clipped"] for line in outcome.history if "clipped" in line]
    record: dict[str, Any] = {
        "updates": len(parts.updates),
        "seconds": round(outcome.seconds, 1),
        "words_per_second": sorted(rates)[len(rates) // 2] if rates else None,
        "clipped": sum(clipped) / len(clipped) if clipped else None,  # share of the updates
        "best_update": outcome.best.update if outcome.best else len(parts.updates),
        "dev": outcome.best.score if outcome.best else None,
        "dev_scores": dev_scores(outcome),
        "parameters": sum(p.numel() for p in parts.model.parameters() if p.requires_grad),
        "device": run.machine.device,
        "threads": run.machine.threads,
        "kernel": kernel(),
        "processes": run.machine.processes.number,
        "seed": run.seed,
        "objective": run.objective,
        "fingerprint": fingerprint,
        "versions": versions(),
    }
    if (mix := learned_mix(run, parts)) is not None:
        record["mix"] = mix
        listed = ", ".join(f"{layer}: {100 * share:.1f} %" for layer, share in mix["weights"].items())
        log.info("weights of the hidden layers: %s; scale %g", listed, mix["scale"])
    if parts.words_without_vector is not None:
        record["words_without_vector"] = parts.words_without_vector
    return record


def learned_mix(run: Run, parts: Parts) -> dict[str, Any] | None:
    """Return the weights that the model gives hidden layers, and their scale; None where it mixes none."""
    mix = parts.model.tagger.mix
    return None if mix is None else mix.record(run.encoder.mixed)


def dev_scores(outcome: TrainingOutcome) -> dict[str, float] | None:
    """Return the dev scores of the weights that are kept: of each language, macro and pooled; None without dev sets."""
    scored = [line for line in outcome.history if "dev" in line]
    kept = [line["dev"] for line in scored if outcome.best and line["update"] == outcome.best.update]
    return kept[0] if kept else scored[-1]["dev"] if scored else None


def model_config(run: Run, teachers: dict[str, str]) -> dict[str, Any]:
    """Return what config.json of a saved model says: what it was trained on, and how."""
    metadata = {files.language: read_header(files.corpus, KIND) for files in run.train}
    return {
        "task": run.task,
        "labels": list(run.labels),
        "decoder": run.decoder,
        "objective": run.objective,
        "languages": list(metadata),
        "zero_shot_text": [files.language for files in run.unlabelled if files.language not in metadata],
        "licences": {language: values.get("licence") for language, values in metadata.items()},
        "corpora": {language: values["corpus_sha256"] for language, values in metadata.items()},
        "encoder": run.encoder.model_dump(mode="json"),
        "mode": run.settings.mode,
        "training": run.settings.model_dump(mode="json"),
        "distill": run.distill.model_dump(mode="json") if run.distill and run.distillation else None,
        "gate": dict(run.gate) if run.gate else None,
        "seed": run.seed,
        **({"decode": run.decode} if run.dev else {}),
        "kernel": kernel(),
        "versions": versions(),
        "teachers": teachers,
    }
