"""Files of your own."""

from __future__ import annotations

from tagdistill.data.sources.source import OwnFiles

SOURCE = OwnFiles()
