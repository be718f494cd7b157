"""Where files lie."""

from __future__ import annotations

DOWNLOADS = "resources/data"
VECTORS = "resources/vectors"
