"""Downloads over HTTP: complete or absent, tried again, and continued where the server allows it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import discard, write_text
from tagdistill.data.sources.remote import NotThere
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from requests import Response

log = logging.getLogger(__name__)
ATTEMPTS = 3
WAIT = 1.0  # seconds before the second attempt, twice as long before each one after
TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 16  # bytes
KEPT = 16 << 20  # bytes between two records of what has arrived
REPORT_SECONDS = 15
GONE = (404, 410)
TRANSIENT = (408, 429)  # besides 5xx: statuses that another attempt may not meet


def download(url: str, target: Path, headers: Mapping[str, str] | None = None) -> None:
    """Write the answer of a URL to `target`, after redirects.

    What arrived before an interruption stays in a hidden file beside it. This call or a later one continues from there
    if it is what arrived and the server says that its file is still the same one, and starts again otherwise. Raises
    NotThere, or TagdistillError once all attempts failed.
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
    """The bytes that have arrived so far, and a record of them: a power cut may leave others in their place.

    It holds the mark that the server gives the version of its file, how many bytes are on the disk for certain, and
    their checksum.
    """

    def __init__(self, url: str, target: Path) -> None:
        self.url, self.target = url, target
        self.path = target.with_name(f".{target.name}.part")
        self.record = target.with_name(f".{target.name}.part.json")
        self.mark, self.size, self.digest = "", 0, hashlib.sha256()

    def begun(self) -> int:
        """Return how many bytes can be continued: those that the record knows, if they are what arrived, else 0."""
        self.mark, self.size, self.digest = "", 0, hashlib.sha256()
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            known = record["bytes"] if record["url"] == self.url and record["mark"] else 0
            if known and self._holds(known, record["sha256"]):
                self.mark, self.size = record["mark"], known
        except (OSError, ValueError, KeyError, TypeError):
            self.digest = hashlib.sha256()
        return self.size

    def _holds(self, known: int, sha256: str) -> bool:
        with self.path.open("r+b") as file:
            for begin in range(0, known, CHUNK):
                self.digest.update(file.read(min(CHUNK, known - begin)))
            file.truncate(known)
        whole = self.digest.hexdigest() == sha256
        if not whole:
            log.warning("%s: what had arrived of it is damaged: starting again", self.url)
            self.digest = hashlib.sha256()
        return whole

    def start(self, answer: Response) -> None:
        """Take the answer for the whole file, whatever has arrived before."""
        # A weak mark does not promise equal bytes, and so cannot be asked to continue by.
        mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        self.mark, self.size, self.digest = "" if mark.startswith("W/") else mark, 0, hashlib.sha256()
        self.drop()

    def write(self, chunks: Iterator[bytes]) -> None:
        """Add the chunks, and record now and then, and where they break off, what is there."""
        with self.path.open("ab") as file:
            recorded = self.size
            try:
                for chunk in chunks:
                    file.write(chunk)
                    self.size += len(chunk)
                    self.digest.update(chunk)
                    if self.size - recorded >= KEPT:
                        self._remember(file)
                        recorded = self.size
            except BaseException:
                with suppress(OSError, TagdistillError):  # then the last record stands
                    self._remember(file)
                raise

    def _remember(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        record = {"url": self.url, "mark": self.mark, "bytes": self.size, "sha256": self.digest.hexdigest()}
        write_text(self.record, json.dumps(record))

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

    begun = part.begun()
    request = {"Accept-Encoding": "identity", **headers}  # a packed answer could not be continued
    if begun:
        request |= {"Range": f"bytes={begun}-", "If-Range": part.mark}
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
            part.start(answer)
        part.write(_progress(answer, part.target.name, part.size))


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
