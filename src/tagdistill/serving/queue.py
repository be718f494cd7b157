"""The work that waits: which requests are accepted, and which of their texts are labelled next."""

from __future__ import annotations

import threading
import time
from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.serving.refusals import Refusal, stopping
from tagdistill.serving.requests import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tagdistill.serving.limits import Limits

PORTION = 0.08  # estimated seconds of the texts that are labelled together: what arrives waits no longer for its turn
TEXT_BYTES = 8  # beside its own, what a text counts
K_BEST = 30  # so many best labellings double the work
FIRST_RATE = 20_000.0  # bytes a second, until it is measured
SHARE = 0.1  # of the newest measurement in the rate


@dataclass(eq=False)
class Job:
    """A request on its way: its texts, and the answers to them."""

    texts: list[str | Sequence[str]]
    options: Options
    done: Callable[[Job], None]  # called once, by the worker, when it is answered or has failed
    sizes: list[float] = field(init=False)  # bytes, weighted by what is asked
    left: float = field(init=False)  # of the texts that are not taken
    due: float = 0.0  # by which the queue is ordered
    taken: int = 0  # texts
    answers: list[bytes] = field(default_factory=list)
    failure: Refusal | None = None
    cancelled: bool = False

    def __post_init__(self) -> None:
        weight = 1 + self.options.k_best / K_BEST
        self.sizes = [weight * _size(text) for text in self.texts]
        self.left = sum(self.sizes)


class Portion(NamedTuple):
    """Texts that are labelled together, with the same options."""

    options: Options
    texts: list[tuple[Job, int]]  # the place of each in its job
    size: float


NOTHING = Portion(Options(), [], 0)


class Queue:
    """Accepted requests, in the order of arrival + own time: a small one passes a large one that has just come.

    One that has waited as long as it takes itself is passed by no newer one. Times are estimated by the bytes of the
    texts, at the rate at which the worker labels.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self.clock = limits, clock
        self.rate = FIRST_RATE
        self.jobs: list[Job] = []
        self.running = NOTHING  # that is being labelled
        self.closed = False
        self._changed = threading.Condition()

    @property
    def waiting(self) -> float:
        """Estimated seconds of all work that was accepted."""
        with self._changed:
            return self._seconds(self.jobs)

    def submit(self, job: Job) -> None:
        """Accept a request. Raises Refusal if it would wait too long, or if the service is stopping."""
        with self._changed:
            if self.closed:
                raise stopping()
            own = job.left / self.rate
            job.due = self.clock() + own
            before = self._seconds([other for other in self.jobs if other.due <= job.due])
            all_work = self._seconds(self.jobs)
            if all_work and (before > self.limits.wait or all_work + own > self.limits.stop):
                hint = "Send it again after the seconds of Retry-After."
                raise Refusal(429, "busy", "the queue is full", hint=hint, retry_after=before)
            insort(self.jobs, job, key=lambda other: other.due)
            self._changed.notify()

    def take(self) -> Portion | None:
        """Wait for work, and return what is labelled next; None: the queue is closed and empty."""
        with self._changed:
            self.running = NOTHING
            while True:
                self.jobs = [job for job in self.jobs if not job.cancelled]
                if self.jobs:
                    break
                if self.closed:
                    return None
                self._changed.wait()
            portion = self._portion()
            self.jobs = [job for job in self.jobs if job.taken < len(job.texts)]
            self.running = portion
            return portion

    def labelled(self, portion: Portion) -> None:
        """Count these texts, of those taken last, as waiting no longer: whoever has an answer may ask at once."""
        with self._changed:
            done = set(portion.texts)
            left = [each for each in self.running.texts if each not in done]
            self.running = self.running._replace(texts=left, size=sum(job.sizes[place] for job, place in left))

    def measured(self, size: float, seconds: float) -> None:
        """Learn from a portion how fast the worker is."""
        with self._changed:
            self.rate += SHARE * (size / max(seconds, 1e-6) - self.rate)

    def close(self) -> None:
        """Accept nothing more; what was accepted is still labelled."""
        with self._changed:
            self.closed = True
            self._changed.notify()

    def abandon(self) -> list[Job]:
        """Return the requests that are not labelled completely, and forget those that wait."""
        with self._changed:
            found = dict.fromkeys([*(job for job, _ in self.running.texts), *self.jobs])
            self.jobs = []
            return list(found)

    def _portion(self) -> Portion:
        options, size = self.jobs[0].options, 0.0
        most = self.rate * PORTION
        chosen: list[tuple[Job, int]] = []
        for job in self.jobs:
            while job.options == options and job.taken < len(job.texts):
                if chosen and size + job.sizes[job.taken] > most:
                    return Portion(options, chosen, size)
                size += job.sizes[job.taken]
                job.left -= job.sizes[job.taken]
                chosen.append((job, job.taken))
                job.taken += 1
        return Portion(options, chosen, size)

    def _seconds(self, jobs: list[Job]) -> float:
        return (self.running.size + sum(job.left for job in jobs)) / self.rate


def _size(text: str | Sequence[str]) -> int:
    if isinstance(text, str):
        return TEXT_BYTES + len(text.encode())
    return TEXT_BYTES + sum(len(word.encode()) + 1 for word in text)
