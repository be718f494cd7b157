"""The results of an experiment as files that other experiments share: each below the key of what it was made of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tagdistill.encoders.keys import feature_key
from tagdistill.experiment import layout
from tagdistill.experiment.layout import JOBS, average_of, shared, text_of
from tagdistill.settings.language import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tagdistill.experiment.job_keys import JobKeys
    from tagdistill.experiment.mixture import Mixture
    from tagdistill.experiment.runs import Model
    from tagdistill.settings.encoder import EncoderSettings


@dataclass(frozen=True)
class Result:
    """What one job makes, and what is its own in its key (`JobKeys.made`); `places` are below results/NAME."""

    stage: str
    job: str
    key: str
    places: tuple[str, ...]
    made_of: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """Its files and folders."""
        return [shared(place, self.key) for place in self.places]

    @property
    def benchmark(self) -> str:
        """The time and memory of the job that made it."""
        return layout.benchmark(self.stage, self.job, self.key)


class SharedFiles:
    """The files of the results of one experiment."""

    def __init__(self, keys: JobKeys) -> None:
        self.keys, self.runs, self.experiment = keys, keys.runs, keys.experiment

    def corpus(self, language: str, split: str) -> str:
        """Return the corpus of a split."""
        return shared(layout.corpus(language, split), self.keys.corpus(language, split))

    def data_report(self, language: str) -> str:
        """Return the data report of a language."""
        return shared(layout.data_report(language), self.keys.data_report(language))

    @property
    def repeats(self) -> str:
        """The repeats of all test sets."""
        return shared(layout.REPEATS, self.keys.repeats())

    def features(self, encoder: EncoderSettings, language: str, split: str) -> str:
        """Return the feature store of a split."""
        key = feature_key(encoder)
        return shared(layout.features(key, language, split), self.stores_key(key, language))

    def stores(self, features: str, language: str) -> dict[str, str]:
        """Return the splits of a language whose features are stored, each with the key of its store.

        `features` is the key of their encoder and layers.
        """
        return {split: self.keys.features(features, language, split) for split in self._splits[features, language]}

    def stores_key(self, features: str, language: str) -> str:
        """Return the key of the folder of a language's feature stores."""
        return self.keys.stores(features, language, self._splits[features, language])

    def trained(self, model: str) -> list[str]:
        """Return what the training of a model (its name) makes: the model, its log and its summary."""
        return [shared(place, self.model_key(model)) for place in layout.trained(model)]

    def fold_trained(self, name: str, decoder: str, seed: int, fold: int) -> list[str]:
        """Return what the training of a teacher without a fold of its text makes, as `trained`."""
        key = self.keys.teacher(name, decoder, seed, fold)
        return [shared(place, key) for place in layout.trained(layout.fold_teacher(name, decoder, seed, fold))]

    def scores(self, name: str, decoder: str, seed: int, language: str, corpus: str) -> str:
        """Return the scores of a teacher, by its language or name, on one corpus of a language."""
        key = self.keys.scores(name, decoder, seed, language, corpus)
        return shared(layout.scores(name, decoder, seed, corpus, text_of(name, language)), key)

    def targets(self, language: str, decoder: str, corpus: str, mixture: Mixture) -> str:
        """Return the targets of one corpus, by one teacher or several."""
        key = self.keys.targets(language, decoder, corpus, mixture)
        return shared(layout.targets(language, decoder, corpus, average_of(mixture, language)), key)

    def metrics(self, model: Model) -> list[str]:
        """Return the metrics of a model on all languages that it is tested on."""
        places = layout.metrics(model.name, self.runs.tests_of(model))
        return [shared(place, self.keys.evaluation(model.name)) for place in places]

    def predictions(self, model: Model) -> list[str]:
        """Return the predictions of a model on all languages that it is tested on."""
        places = layout.predictions(model.name, self.runs.tests_of(model))
        return [shared(place, self.keys.evaluation(model.name)) for place in places]

    def model_key(self, name: str) -> str:
        """Return the key of a model, given by its name."""
        model = self.runs.models[name]
        if model.teacher is None:
            return self.keys.student(str(model.objective), model.seed)
        return self.keys.teacher(model.teacher, model.decoder, model.seed)

    # -- all of them

    def results(self) -> Iterator[Result]:
        """Yield all results of the experiment, each before those that are made of it."""
        for language in self.runs.languages:
            for split in self.runs.splits(language):
                key, job = self.keys.corpus(language, split), {"lang": language, "split": split}
                yield self._result("prepare", key, [layout.corpus(language, split)], **job)
            places = [layout.data_report(language)]
            yield self._result("data_report", self.keys.data_report(language), places, lang=language)
        yield self._result("repeats", self.keys.repeats(), [layout.REPEATS])
        for (features, language), splits in self._splits.items():
            places = [layout.features(features, language, split) for split in splits]
            yield self._result("encode", self.stores_key(features, language), places, features=features, lang=language)
        for model in self.runs.teachers:
            yield from self._of_model(model, lang=str(model.teacher), decoder=model.decoder)
        for name, decoder, seed, fold in self.runs.fold_teachers:
            key, job = self.keys.teacher(name, decoder, seed, fold), {"lang": name, "decoder": decoder}
            without = layout.fold_teacher(name, decoder, seed, fold)
            yield self._result("train_fold_teacher", key, layout.trained(without), seed=seed, fold=fold, **job)
        yield from self._scores()
        yield from self._targets()
        for model in self.runs.students:
            yield from self._of_model(model, objective=str(model.objective))

    def _scores(self) -> Iterator[Result]:
        for teacher, decoder, language, corpus in self.runs.scored:
            seed, text = self.runs.teaching_seed(teacher), text_of(teacher, language)
            key = self.keys.scores(teacher, decoder, seed, language, corpus)
            places = [layout.scores(teacher, decoder, seed, corpus, text)]
            job = {"lang": teacher, "text": text, "decoder": decoder, "corpus": corpus}
            yield self._result("score", key, places, seed=seed, **job)

    def _targets(self) -> Iterator[Result]:
        for decoder, language, corpus, mixture in self.runs.targets:
            average = average_of(mixture, language)
            key = self.keys.targets(language, decoder, corpus, mixture)
            places = [layout.targets(language, decoder, corpus, average)]
            job = {"lang": language, "average": average, "decoder": decoder, "corpus": corpus}
            yield self._result("export_targets", key, places, **job)

    def _of_model(self, model: Model, **job: str) -> Iterator[Result]:
        """Yield a model and its scores on the test sets, if it has any."""
        key, seed = self.model_key(model.name), model.seed
        yield self._result(f"train_{model.kind}", key, layout.trained(model.name), seed=seed, **job)
        if tests := self.runs.tests_of(model):
            places = [*layout.metrics(model.name, tests), *layout.predictions(model.name, tests)]
            kind = model.kind if model.teacher not in self.runs.shared else "shared_teacher"
            yield self._result(f"evaluate_{kind}", self.keys.evaluation(model.name), places, seed=seed, **job)

    def _result(self, stage: str, key: str, places: Sequence[str], **job: str | int) -> Result:
        return Result(stage, JOBS[stage].format(**job), key, tuple(places), self.keys.made[key])

    @cached_property
    def _splits(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """The splits that are stored, in one order, by encoder (the key of its features) and language."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for features, language, split in self._features():
            found[features, language].append(split)
        return {pair: tuple(split for split in SPLITS if split in splits) for pair, splits in found.items()}

    def _features(self) -> list[tuple[str, str, str]]:
        """Return encoder (the key of its features), language and split of every feature store that a model reads."""
        read: list[tuple[EncoderSettings, str, Iterable[str]]] = []
        if students := self.runs.stored():
            read += [(students, language, ("train", "dev", "test")) for language in self.runs.trained]
            read += [(students, language, ("test",)) for language in self.runs.tested]
            texts = (language for name in self.runs.objectives for language in self.runs.seen(name, "unlabelled"))
            read += [(students, language, ("unlabelled",)) for language in texts]
        for model in self.runs.teachers:
            name = str(model.teacher)
            if own := self.runs.stored(name):
                read += [(own, language, ("train", "dev")) for language in self.runs.taught(name)]
                read += [(own, x, (split,)) for teacher, _, x, split in self.runs.scored if teacher == name]
                read += [(own, test, ("test",)) for test in self.runs.tests_of(model)]
        found = [
            (feature_key(e), x, split) for e, x, splits in read for split in splits if split in self.runs.splits(x)
        ]
        return list(dict.fromkeys(found))
