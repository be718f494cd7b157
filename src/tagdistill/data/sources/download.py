"""Downloads over HTTP: complete or absent, tried again, and continued where the server allows it."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import discard
from tagdistill.data.sources.remote import NotThere
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from requests import Response

log = logging.getLogger(__name__)
ATTEMPTS = 3
WAIT = 1.0  # seconds before the second attempt, twice as long before each one after
TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 16  # bytes
REPORT_SECONDS = 15
GONE = (404, 410)
TRANSIENT = (408, 429)  # besides 5xx: statuses that another attempt may not meet


def download(url: str, target: Path, headers: Mapping[str, str] | None = None) -> None:
    """Write the answer of a URL to `target`, after redirects.

    What arrived before an interruption stays in a hidden file beside it. This call or a later one continues from there
    if the server says that its file is still the same one, and starts again otherwise. Raises NotThere, or
    TagdistillError once all attempts failed.
    """
    from requests import RequestException

    part = Part(url, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _once(part, headers or {})
            break
        except RequestException as error:
            if (status := _status(error)) in GONE:
                raise NotThere(url) from error
            transient = status is None or status >= 500 or status in TRANSIENT
            if attempt == ATTEMPTS or not transient:
                raise _failed(url, error) from error
            log.info("%s: %s; trying again", url, _reason(error))
            time.sleep(WAIT * 2 ** (attempt - 1))
    part.finish()


class Part:
    """The bytes that have arrived so far, and the mark that the server gives the version of their file."""

    def __init__(self, url: str, target: Path) -> None:
        self.url, self.target = url, target
        self.path = target.with_name(f".{target.name}.part")
        self.record = target.with_name(f".{target.name}.part.json")

    def begun(self) -> tuple[int, str]:
        """Return how many bytes are there and the file's mark; (0, "") where nothing can be continued."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            mark = record["mark"] if record["url"] == self.url else ""
            return (self.path.stat().st_size, mark) if mark else (0, "")
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""

    def remember(self, answer: Response) -> None:
        """Record the mark of the file that is about to arrive."""
        # A weak mark does not promise equal bytes, and so cannot be asked to continue by.
        mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        mark = "" if mark.startswith("W/") else mark
        self.record.write_text(json.dumps({"url": self.url, "mark": mark}), encoding="utf-8")

    def drop(self) -> None:
        """Remove what has arrived."""
        discard(self.path)
        discard(self.record)

    def finish(self) -> None:
        """Move the complete file to its place."""
        self.path.replace(self.target)
        self.drop()


def _once(part: Part, headers: Mapping[str, str]) -> None:
    import requests

    begun, mark = part.begun()
    request = {"Accept-Encoding": "identity", **headers}  # a packed answer could not be continued
    if begun:
        request |= {"Range": f"bytes={begun}-", "If-Range": mark}
    log.info("fetching %s%s", part.url, f" from byte {begun}" if begun else "")
    with requests.get(part.url, headers=request, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # there is nothing after what we have: it is another file, or all of it
            part.drop()
            raise requests.ConnectionError("nothing to continue")
        answer.raise_for_status()
        continued = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
        if answer.status_code == 206 and not continued:
            part.drop()
            raise requests.ConnectionError("another part than was asked for")
        if not continued:
            part.remember(answer)
        with part.path.open("ab" if continued else "wb") as file:
            for chunk in _progress(answer, part.target.name, begun if continued else 0):
                file.write(chunk)


def _progress(answer: Response, name: str, begun: int) -> Iterator[bytes]:
    """Yield the chunks; show a bar on a terminal, elsewhere log a line now and then."""
    length = answer.headers.get("Content-Length")
    total = begun + int(length) if length and length.isdigit() else None
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, initial=begun, desc=name, unit="B", unit_scale=True) as bar:
            for chunk in answer.iter_content(CHUNK):
                yield chunk
                bar.update(len(chunk))
        return
    done, last = begun, time.monotonic()
    for chunk in answer.iter_content(CHUNK):
        yield chunk
        done += len(chunk)
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            log.info("%s: %.1f%s MB", name, done / 1e6, f" of {total / 1e6:.1f}" if total else "")


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _reason(error: Exception) -> str:
    status = _status(error)
    return f"the server answered {status}" if status else f"no complete answer ({type(error).__name__})"


def _failed(url: str, error: Any) -> TagdistillError:
    return TagdistillError(
        _reason(error),
        where=url,
        hint="Try again later: what arrived is kept and continued. A mirror is TAGDISTILL_..._URL (config/README.md), "
        "a file of your own is `source: path`.",
    )
