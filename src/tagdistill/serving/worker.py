"""The thread that labels."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from tagdistill.serving.guard import log_defect
from tagdistill.serving.refusals import defect, stopping
from tagdistill.tagger.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.serving.metrics import Metrics
    from tagdistill.serving.queue import Job, Portion, Queue
    from tagdistill.serving.refusals import Refusal
    from tagdistill.serving.requests import Options
    from tagdistill.tagger.tagger import Tagger
    from tagdistill.tagger.texts import Input

WARM_UP = ["Angela Merkel was in Paris. " * 4] * 8


class Worker(threading.Thread):
    """Labels what waits in a queue, until that is closed and empty."""

    def __init__(self, tagger: Tagger, queue: Queue, metrics: Metrics) -> None:
        super().__init__(name="tagger", daemon=True)
        self.tagger, self.queue, self.metrics = tagger, queue, metrics

    def warm_up(self) -> None:
        """Label some text, so that the first request is no slower than others, and its time can be estimated."""
        self.tagger(WARM_UP)
        size, begin = sum(map(len, WARM_UP)), time.perf_counter()
        self.tagger(WARM_UP)
        self.queue.rate = size / (time.perf_counter() - begin)

    def run(self) -> None:
        """Label until the queue is closed and empty."""
        while (portion := self.queue.take()) is not None:
            begin = time.perf_counter()
            self._label(portion)
            self.queue.measured(portion.size, time.perf_counter() - begin)

    def abandon(self) -> None:
        """Answer what is not labelled yet as refused."""
        for job in self.queue.abandon():
            _fail(job, stopping())

    def _label(self, portion: Portion) -> None:
        try:
            answers = self._answers([job.texts[place] for job, place in portion.texts], portion.options)
        except Exception as error:
            if len(portion.texts) > 1:  # the others are not lost for one
                for each in portion.texts:
                    self._label(portion._replace(texts=[each]))
                return
            log_defect(error)
            self.queue.labelled(portion)
            _fail(portion.texts[0][0], defect())
            return
        self.queue.labelled(portion)
        for (job, _), answer in zip(portion.texts, answers, strict=True):
            job.answers.append(answer)
            if len(job.answers) == len(job.texts) and job.failure is None:
                job.done(job)

    def _answers(self, texts: Sequence[Input], options: Options) -> list[bytes]:
        k_best, marginals, constrained = options
        found = self.tagger(list(texts), k_best=k_best, marginals=marginals, constrained=constrained)
        words = sum(len(tagged.words) for tagged in found)
        self.metrics.labelled(texts=len(found), words=words)
        return [json.dumps(record(tagged), ensure_ascii=False).encode() for tagged in found]


def _fail(job: Job, why: Refusal) -> None:
    if job.failure is None and len(job.answers) < len(job.texts):
        job.failure, job.cancelled = why, True
        job.done(job)
