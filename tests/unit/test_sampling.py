"""`student.sampling`: languages are drawn by a power of their sizes."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import islice

import numpy as np
import pytest
from plans import plan as planned
from tiny_runs import files_of, make_corpus, student_run, teacher_run

from tagdistill.settings.training import SAMPLING, StudentSettings
from tagdistill.training.assemble import assemble
from tagdistill.training.resume import fingerprint_of
from tagdistill.training.sampling import endless_by_language, quotas
from tagdistill.training.updates import plan

SIZES = (90, 0, 10, 400)


def shares(sizes: tuple[int, ...], alpha: float) -> list[float]:
    powers = [size**alpha if size else 0.0 for size in sizes]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("sizes", [SIZES, (1, 1000), (7,), (3, 3, 3), (5, 6, 7, 8, 9000)])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_every_pass_holds_the_share_of_each_language_to_the_sentence(sizes, alpha):
    had = [0] * len(sizes)
    for number, numbers in enumerate(islice(quotas(sizes, alpha), 200), 1):
        assert sum(numbers) == sum(sizes) and min(numbers) >= 0
        had = [sum(pair) for pair in zip(had, numbers, strict=True)]
        for whole, share in zip(had, shares(sizes, alpha), strict=True):
            assert abs(whole - share * sum(sizes) * number) < 1


def test_shares_that_are_fractions_are_met_exactly():
    """At alpha 1/2 languages of 1, 4 and 9 sentences have 1/6, 2/6 and 3/6 of 14."""
    numbers = list(islice(quotas((1, 4, 9), 0.5), 3))
    assert [sum(column) for column in zip(*numbers, strict=True)] == [Fraction(14 * 3 * part, 6) for part in (1, 2, 3)]
    assert list(islice(quotas((1, 4, 9), 1.0), 2)) == [[1, 4, 9]] * 2


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_no_sentence_comes_again_before_all_others_of_its_language(alpha):
    lengths = np.random.default_rng(0).integers(1, 30, sum(SIZES))
    batches = endless_by_language(lengths, 100, np.random.default_rng(1), sizes=SIZES, alpha=alpha)
    seen, wanted = np.zeros(len(lengths), np.int64), np.zeros(len(SIZES), np.int64)
    for numbers in islice(quotas(SIZES, alpha), 8):
        wanted += numbers
        while seen.sum() < wanted.sum():
            rows = next(batches)
            assert len(rows) * lengths[rows].max() <= 100 or len(rows) == 1
            np.add.at(seen, rows, 1)
        parts = np.split(seen, np.cumsum(SIZES)[:-1])
        assert [int(part.sum()) for part in parts] == wanted.tolist()
        assert all(part.max() - part.min() <= 1 for part in parts if len(part))


def test_batches_are_a_function_of_the_seed():
    lengths = np.random.default_rng(0).integers(1, 30, sum(SIZES))

    def drawn(seed: int) -> list[list[int]]:
        by_language = partial(endless_by_language, sizes=SIZES, alpha=0.3)
        settings = StudentSettings.model_validate({"updates": 40, "batch_words": 100})
        return [u.rows.tolist() for u in plan(settings, lengths, lengths[:0], seed, draws=(by_language, by_language))]

    assert drawn(3) == drawn(3) != drawn(4)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sizes = {"aa": 60, "bb": 10}
    return [files_of(make_corpus(folder, language, "train", size)) for language, size in sizes.items()]


def test_a_student_draws_its_languages_alike(corpora, tmp_path):
    def rows(**settings) -> list[int]:
        run = student_run(tmp_path, corpora, objective="baseline", updates=300, **settings)
        drawn = np.concatenate([update.rows for update in assemble(run).updates.plan])
        return [int((drawn < 60).sum()), int((drawn >= 60).sum())]

    as_they_are, alike = rows(), rows(sampling=0)
    assert as_they_are[0] / sum(as_they_are) == pytest.approx(6 / 7, abs=0.02)
    assert alike[0] / sum(alike) == pytest.approx(1 / 2, abs=0.02)


def test_the_code_of_sampling_is_in_the_keys_of_those_that_use_it(corpora, tmp_path, monkeypatch):
    of = planned(student__sampling=0.3)
    assert SAMPLING in of.modules.student("baseline") and SAMPLING not in of.modules.teacher("en")
    assert SAMPLING not in planned().modules.student("baseline")
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("tagdistill.training.resume.code_key", lambda *modules: asked.append(modules) or "x")
    runs = [student_run(tmp_path, corpora, objective="baseline", **more) for more in ({}, {"sampling": 0.5})]
    first, second = map(fingerprint_of, [*runs])
    assert first != second and [SAMPLING in modules for modules in asked] == [False, True]
    fingerprint_of(teacher_run(tmp_path, corpora[0]))
    assert SAMPLING not in asked[-1]
