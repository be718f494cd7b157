"""What the service takes at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of size, in texts and characters, and of time, in seconds."""

    texts: int = 1000  # of a request
    text_characters: int = 20_000  # of a text: while it is labelled, all others wait
    characters: int = 100_000  # of a request
    k_best: int = 10
    wait: float = 0.2  # of a request before its turn, as estimated; with more, it is refused
    stop: float = 8.0  # from the signal until what was accepted is labelled; so much work is accepted at most
    body: float = 10.0  # to receive a request
    reply: float = 30.0  # from a request until its answer
    connections: int = 1000

    @property
    def body_bytes(self) -> int:
        """The longest body: JSON may write a character outside the basic plane as 12 bytes."""
        return 12 * self.characters + 16 * self.texts + 4096
