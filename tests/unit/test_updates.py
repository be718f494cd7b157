"""The plan of a training run: which sentences, labelled or not, and the teacher's weight."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tagdistill.distill.dataset import Pool
from tagdistill.errors import DataError
from tagdistill.models.batches import bucketed
from tagdistill.settings.distill import Anneal
from tagdistill.settings.training import StudentSettings
from tagdistill.training.updates import Update, Updates, plan

GOLD = np.random.default_rng(0).integers(1, 20, 120)
PLAIN = np.random.default_rng(1).integers(1, 20, 70)
NONE = np.zeros(0, np.int64)
BATCHES = len(bucketed(GOLD, 100))


def settings(**values) -> StudentSettings:
    return StudentSettings.model_validate({"batch_words": 100, **values})


def weights(laid: list[Update]) -> list[float]:
    return [update.teacher_weight for update in laid]


def lay(values: dict, plain=NONE, seed=0, **rest) -> list[Update]:
    return plan(settings(**values), GOLD, plain, seed, **{"distils": True, **rest})


@pytest.mark.parametrize(("ratio", "share"), [(0.0, 1.0), (0.5, 2 / 3), (1.0, 1 / 2), (2.0, 1 / 3)])
def test_batches_without_labels_are_spread_evenly(ratio, share):
    laid = lay({"updates": 600}, PLAIN, unlabelled_ratio=ratio)
    kinds = np.array([update.labelled for update in laid])
    assert kinds.sum() == pytest.approx(600 * share, abs=1)
    assert kinds[0]
    for begin in range(0, 540, 7):  # in every stretch, not only on the whole
        assert kinds[begin : begin + 60].sum() == pytest.approx(60 * share, abs=1)
    for update in laid:
        assert update.rows.max() < (len(GOLD) if update.labelled else len(PLAIN))


@pytest.mark.parametrize("why", ["no text", "no teacher"])
def test_without_text_or_teacher_all_updates_are_labelled(why):
    text, distils = (NONE, True) if why == "no text" else (PLAIN, False)
    laid = lay({"updates": 40}, text, distils=distils, unlabelled_ratio=1.0)
    assert all(update.labelled for update in laid)
    assert len(lay({"epochs": 2}, text, distils=distils, unlabelled_ratio=1.0)) == 2 * BATCHES


def test_text_without_labels_has_the_teacher_alone():
    laid = lay({"updates": 50}, PLAIN, unlabelled_ratio=1.0, anneal=Anneal.model_validate({"from": 0.5, "to": 0.0}))
    assert {update.teacher_weight for update in laid if not update.labelled} == {1.0}
    assert max(update.teacher_weight for update in laid if update.labelled) == 0.5


def test_the_teacher_s_weight_is_linear_from_the_first_update_to_the_last():
    assert weights(lay({"updates": 5})) == [1.0, 0.75, 0.5, 0.25, 0.0]
    anneal = Anneal.model_validate({"from": 0.2, "to": 0.8})
    assert weights(lay({"updates": 4}, anneal=anneal)) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert weights(lay({"updates": 1})) == [1.0]


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_tau_is_per_cent_of_each_whole_epoch(ratio):
    """lambda = max(0, 1 - epoch * tau / 100), the same within an epoch, epochs counted on the labelled text."""
    anneal = Anneal.model_validate({"tau": 40})
    laid = lay({"epochs": 4}, PLAIN, anneal=anneal, unlabelled_ratio=ratio)
    found = [update.teacher_weight for update in laid if update.labelled]
    assert found == pytest.approx([1.0] * BATCHES + [0.6] * BATCHES + [0.2] * BATCHES + [0.0] * BATCHES)


def test_a_baseline_has_no_teacher():
    assert set(weights(lay({"updates": 9}, PLAIN, distils=False, unlabelled_ratio=1.0))) == {0.0}


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 2.0])
def test_epochs_count_passes_over_the_labelled_text(ratio):
    laid = lay({"epochs": 3}, PLAIN, unlabelled_ratio=ratio)
    assert len(laid) == round(3 * BATCHES * (1 + ratio))
    seen = np.bincount(np.concatenate([update.rows for update in laid if update.labelled]))
    assert set(seen.tolist()) == {3}


def test_with_epochs_all_objectives_have_the_same_number_of_updates():
    distilled = lay({"epochs": 3}, PLAIN, unlabelled_ratio=1.5, updates_per_batch=2.5)
    baseline = lay({"epochs": 3}, NONE, distils=False, updates_per_batch=2.5)
    assert len(distilled) == len(baseline) == math.ceil(3 * BATCHES * 2.5)
    assert all(update.labelled for update in baseline)
    passes = np.bincount(np.concatenate([update.rows for update in distilled if update.labelled]))
    assert set(passes.tolist()) == {3}
    assert len(lay({"updates": 17}, PLAIN, unlabelled_ratio=1.5, updates_per_batch=2.5)) == 17


def test_updates_are_counted_as_asked():
    assert len(lay({"updates": 17}, PLAIN, unlabelled_ratio=2.0)) == 17


def rows_of(laid: list[Update]) -> list[tuple]:
    return [(update.labelled, update.rows.tolist(), update.teacher_weight) for update in laid]


def test_a_plan_is_a_function_of_its_seed():
    first, again, other = (rows_of(lay({"updates": 60}, PLAIN, unlabelled_ratio=1.0, seed=seed)) for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_text_without_labels_leaves_the_labelled_batches_as_they_are():
    """Objectives with and without it are compared on the same labelled batches, in the same order."""
    mixed = [rows for labelled, rows, _ in rows_of(lay({"updates": 60}, PLAIN, unlabelled_ratio=1.0)) if labelled]
    alone = [rows for _, rows, _ in rows_of(lay({"updates": 30}))]
    assert mixed == alone


def test_all_objectives_see_the_same_batches():
    assert [u.rows.tolist() for u in lay({"updates": 30})] == [
        u.rows.tolist() for u in lay({"updates": 30}, distils=False)
    ]


def test_no_labelled_sentence_is_an_error():
    with pytest.raises(DataError, match="no labelled sentence"):
        plan(settings(updates=1), NONE, PLAIN, 0, distils=True, unlabelled_ratio=1.0)


def test_an_item_is_its_update_s_batch_whenever_it_is_asked_for():
    from test_batches import source_of

    pools = Pool([source_of("a", [2, 1, 3])]), Pool([source_of("b", [4, 1], labelled=False, seed=1)])
    laid = plan(settings(updates=4), pools[0].lengths, pools[1].lengths, 0, distils=True, unlabelled_ratio=1.0)
    updates = Updates(*pools, laid, loss_per="sentence")
    assert len(updates) == 4
    assert [("labels" in updates[number], updates[number]["teacher_weight"]) for number in (1, 0)] == [
        (False, 1.0),
        (True, 1.0),
    ]
    assert updates[2]["vectors"].equal(updates[2]["vectors"])
