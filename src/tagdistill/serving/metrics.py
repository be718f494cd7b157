"""What the service counts, in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from tagdistill.serving.queue import Queue

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        into = self.registry
        self._requests = Counter(
            "tagdistill_requests", "Requests to label texts, by HTTP status", ["status"], registry=into
        )
        self._seconds = Histogram(
            "tagdistill_request_seconds", "From a request to its answer", buckets=SECONDS, registry=into
        )
        self._gone = Counter("tagdistill_gone_clients", "Clients that went away before their answer", registry=into)
        self._texts = Counter("tagdistill_texts", "Labelled texts", registry=into)
        self._words = Counter("tagdistill_words", "Labelled words", registry=into)

    def watch(self, queue: Queue) -> None:
        """Show what waits in a queue."""
        into = self.registry
        waiting = Gauge(
            "tagdistill_waiting_requests", "Accepted requests with texts that are not labelled yet", registry=into
        )
        waiting.set_function(lambda: len(queue.jobs))
        Gauge("tagdistill_waiting_seconds", "Estimated seconds of accepted work", registry=into).set_function(
            lambda: queue.waiting
        )

    def answered(self, status: int, seconds: float) -> None:
        """Count a request to label texts."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def gone(self) -> None:
        """Count a client that went away."""
        self._gone.inc()

    def labelled(self, *, texts: int, words: int) -> None:
        """Count labelled texts."""
        self._texts.inc(texts)
        self._words.inc(words)

    def text(self) -> bytes:
        """Return all of it, for Prometheus."""
        return generate_latest(self.registry)
