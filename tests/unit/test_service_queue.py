"""Which requests are accepted, and in which order their texts are labelled."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("fastapi", reason="no fastapi here: the service is not tested")

from tagdistill.serving.limits import Limits
from tagdistill.serving.metrics import Metrics
from tagdistill.serving.queue import PORTION, TEXT_BYTES, Job, Queue
from tagdistill.serving.refusals import Refusal
from tagdistill.serving.requests import Options
from tagdistill.serving.worker import Worker
from tagdistill.tagger.results import Tagged

RATE = 1000.0  # bytes a second
TEXT = "x" * (100 - TEXT_BYTES)  # 0.1 seconds


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def job(count: int, name: str = "", text: str = TEXT, **options) -> Job:
    made = Job([text] * count, Options(**options), lambda job: None)
    made.name = name
    return made


def queue(clock: Clock | None = None, **limits) -> Queue:
    found = Queue(Limits(**{"wait": 0.5, "stop": 8.0, **limits}), clock or Clock())
    found.rate = RATE
    return found


def order(found: Queue) -> list[str]:
    """Return the jobs of all texts, one by one."""
    names = []
    while found.jobs:
        names += [job.name for job, _ in found.take().texts]
    return names


def test_a_small_request_passes_a_large_one_that_has_just_come():
    found = queue(wait=9.0)
    for each in (job(3, "large"), job(1, "small")):
        found.submit(each)
    assert order(found) == ["small", "large", "large", "large"]


def test_a_large_request_that_has_waited_its_own_time_is_passed_by_none():
    clock = Clock()
    found = queue(clock, wait=9.0)
    found.submit(job(3, "large"))
    clock.now = 0.15  # the small one takes 0.1, the large one 0.3
    found.submit(job(1, "passes"))
    clock.now = 0.25
    found.submit(job(1, "comes too late"))
    assert order(found) == ["passes", "large", "large", "large", "comes too late"]


def test_texts_that_take_a_portion_are_labelled_together_if_their_options_are_equal():
    found = queue(wait=9.0)
    short = "x" * (int(PORTION * RATE / 5) - TEXT_BYTES)  # five fill a portion
    for each in (job(3, "a", short), job(1, "b", short, marginals=True), job(4, "c", short)):
        found.submit(each)
    portions = [[job.name for job, _ in found.take().texts] for _ in range(3)]
    assert portions == [["b"], ["a", "a", "a", "c", "c"], ["c", "c"]]
    assert found.jobs == []


def test_what_would_wait_too_long_is_refused_and_told_when_to_come_again():
    found = queue()
    for number in range(6):
        found.submit(job(1, str(number)))
    with pytest.raises(Refusal) as refused:
        found.submit(job(1))
    assert (refused.value.status, refused.value.code) == (429, "busy")
    assert refused.value.retry_after == pytest.approx(0.6) and refused.value.headers() == {"retry-after": "1"}
    assert len(order(found)) == 6


def test_what_is_being_labelled_counts_as_waiting():
    found = queue()
    found.submit(job(1, text="x" * 600))
    found.take()
    with pytest.raises(Refusal):
        found.submit(job(1))
    assert found.waiting == pytest.approx((600 + TEXT_BYTES) / RATE)


@pytest.mark.parametrize("text", ["fine", "defect"])
def test_what_is_answered_waits_no_longer(text):
    class Tagger:
        def __call__(self, texts, **options):
            if any("defect" in text for text in texts):
                raise ValueError("cannot be labelled")
            return [Tagged(text, (), (), (), ()) for text in texts]

    found, waiting = queue(wait=9.0), []
    for name in ("first", "second"):
        made = job(1, name, text)
        made.done = lambda job: waiting.append((job.name, found.waiting))
        found.submit(made)
    found.close()
    Worker(Tagger(), found, Metrics()).run()
    rest = made.sizes[0] / RATE if text == "defect" else 0.0  # of two that fail together, each is labelled alone
    assert waiting[0] == ("first", pytest.approx(rest)) and waiting[1] == ("second", 0.0)


def test_no_more_is_accepted_than_can_be_labelled_before_the_process_must_end():
    found = queue(wait=100.0, stop=1.0)
    found.submit(job(15))  # nothing waits: it is accepted however long it takes
    with pytest.raises(Refusal):
        found.submit(job(1))


def test_k_best_labellings_count_as_more_work():
    assert sum(job(1, k_best=10).sizes) > 1.2 * sum(job(1).sizes)


def test_the_rate_follows_what_is_measured():
    found = queue()
    for _ in range(100):
        found.measured(500.0, 0.1)
    assert found.rate == pytest.approx(5000, rel=1e-3)


def test_a_closed_queue_gives_what_it_has_and_accepts_nothing():
    found = queue()
    found.submit(job(1, "last"))
    found.close()
    with pytest.raises(Refusal) as refused:
        found.submit(job(1))
    assert (refused.value.status, refused.value.code) == (503, "stopping")
    assert order(found) == ["last"] and found.take() is None


def test_a_request_whose_client_has_gone_is_not_labelled():
    found = queue(wait=9.0)
    gone, other = job(2, "gone"), job(2, "other")
    found.submit(gone)
    found.submit(other)
    found.take()
    gone.cancelled = True
    assert order(found).count("gone") == 0 and other.taken == 2


def test_the_worker_waits_for_work_and_for_the_end():
    found = queue()
    taken = []
    thread = threading.Thread(target=lambda: taken.extend([found.take(), found.take()]))
    thread.start()
    found.submit(job(1))
    while not taken and found.jobs:
        pass
    found.close()
    thread.join(5)
    assert [portion is None for portion in taken] == [False, True]
