"""Where files lie. All paths are relative to the working folder; nothing here looks at the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.encoders.keys import encoder_key, feature_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.settings.encoder import EncoderSettings

DOWNLOADS = "resources/data"
ENCODERS = "resources/encoders"
VECTORS = "resources/vectors"


def encoder_folder(encoder: EncoderSettings) -> str:
    """Return the folder of a converted encoder; experiments share it."""
    return f"{ENCODERS}/{encoder_key(encoder)}"


def vectors_folder(key: str) -> str:
    """Return the folder of converted word vectors; experiments share it."""
    return f"{VECTORS}/{key}"


class Layout:
    """The files of one experiment, below results/NAME."""

    def __init__(self, name: str) -> None:
        self.results = f"results/{name}"

    def data(self, language: str, split: str) -> str:
        """Return the corpus of a split."""
        return f"{self.results}/data/{language}/{split}.parquet"

    def data_report(self, language: str) -> str:
        """Return the data report of a language."""
        return f"{self.results}/data/{language}/report.json"

    @property
    def repeats(self) -> str:
        """The repeats of all test sets."""
        return f"{self.results}/data/repeats.json"

    def features(self, encoder: EncoderSettings, language: str, split: str) -> str:
        """Return the feature store of a split."""
        return self.features_of_key(feature_key(encoder), language, split)

    def features_of_key(self, key: str, language: str, split: str) -> str:
        """Return the feature store of a split, given the key of its encoder and layers."""
        return f"{self.results}/features/{key}/{language}/{split}.safetensors"

    def teacher(self, language: str, decoder: str, seed: int | str) -> str:
        """Return the folder of a teacher."""
        return f"{self.results}/teachers/{language}/{decoder}/seed-{seed}"

    def scores(self, language: str, decoder: str, seed: int | str, corpus: str) -> str:
        """Return the scores of a teacher on one corpus of its language."""
        return f"{self.teacher(language, decoder, seed)}/scores/{corpus}.parquet"

    def targets(self, language: str, decoder: str, corpus: str) -> str:
        """Return the targets of one corpus."""
        return f"{self.results}/targets/{language}/{decoder}/{corpus}.parquet"

    def student(self, objective: str, seed: int | str) -> str:
        """Return the folder of a student."""
        return f"{self.results}/students/{objective}/seed-{seed}"

    def export(self, objective: str, seed: int | str) -> str:
        """Return the folder of an exported student."""
        return f"{self.results}/export/{objective}/seed-{seed}"

    def metrics(self, model: str, languages: Iterable[str]) -> list[str]:
        """Return the metrics of a model (its name) on some languages."""
        return [f"{self.results}/metrics/{model}/{language}.json" for language in languages]

    def predictions(self, model: str, languages: Iterable[str]) -> list[str]:
        """Return the predictions of a model (its name) on some languages."""
        return [f"{self.results}/predictions/{model}/{language}.conll" for language in languages]
