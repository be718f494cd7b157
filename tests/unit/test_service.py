"""The service over HTTP: the labels of `Tagger`, and an answer to everything that is sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi", reason="no fastapi here: the service is not tested")

import numpy as np
from running_service import JSON, Running, serving
from test_splitting import SCRIPTS
from tiny_taggers import exported
from uvicorn.server import ServerState

from tagdistill import Tagger
from tagdistill.errors import TagdistillError
from tagdistill.serving import connection, descriptors
from tagdistill.serving.app import Service
from tagdistill.serving.limits import Limits
from tagdistill.serving.server import Server, listening
from tagdistill.tagger.records import record
from tagdistill.tagger.results import Tagged

SECRET = "Geheimnis"
TAG = b"POST /v1/tag HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


class Slow:
    """A tagger that takes its time, and fails at some texts."""

    task, labels, decode = "ner", ("O",), "constrained"

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, texts, **options):
        self.free.wait(10)
        time.sleep(self.seconds)
        self.calls.append([str(text) for text in texts])
        if any("defect" in text for text in texts):
            raise ValueError(f"cannot be labelled: {texts}")
        return [Tagged(text, (), (), (), ()) for text in texts]


@pytest.fixture(scope="module")
def tagger(tmp_path_factory) -> Tagger:
    return Tagger.from_pretrained(exported(tmp_path_factory.mktemp("student")), threads=1)


@pytest.fixture(scope="module")
def running(tagger):
    with serving(tagger) as found:
        yield found


@pytest.fixture
def slow():
    return Slow()


def raw(running: Running, sent: bytes, wait: float = 5.0) -> bytes:
    """Return all that comes back for some bytes, until the connection ends."""
    with running.connect() as link:
        link.settimeout(wait)
        link.sendall(sent)
        found = b""
        while part := link.recv(65536):
            found += part
        return found


def ended(link: socket.socket) -> bool:
    """Return whether a connection ends before anything comes."""
    try:
        return link.recv(1) == b""
    except ConnectionResetError:  # with something unread
        return True


def healthy(link: socket.socket) -> bool:
    """Return whether a connection is answered, which stays open; header and body may come in two parts."""
    link.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    found = b""
    while not found.endswith(b"}"):
        part = link.recv(65536)
        if not part:
            return False
        found += part
    return found.startswith(b"HTTP/1.1 200 ")


def test_the_labels_are_those_of_the_tagger_in_any_script(running, tagger):
    texts = [*SCRIPTS.values(), "Angela Merkel war in Paris.\nEr 𝔸 nicht.", "", "a\0b", ["Ada", "in", "Paris"], []]
    status, answer = running.tag(texts, k_best=2, marginals=True)
    assert status == 200
    expected = json.loads(json.dumps([record(x) for x in tagger(texts, k_best=2, marginals=True)]))
    for ours, theirs in zip(answer["results"], expected, strict=True):
        marginals = ours.pop("marginals"), theirs.pop("marginals")
        np.testing.assert_allclose(*marginals, atol=1e-4)
        assert ours["labels"] == theirs["labels"] and ours["tokens"] == theirs["tokens"]
        assert [x["labels"] for x in ours["taggings"]] == [x["labels"] for x in theirs["taggings"]]
        for span in ours["spans"]:
            assert ours["text"][span["start"] : span["end"]] == span["text"]


def test_options_are_those_of_the_tagger(running, tagger):
    texts = ["Angela Merkel war in Paris. " * 3]
    for constrained in (None, True, False):
        (found,) = running.tag(texts, constrained=constrained)[1]["results"]
        assert found["labels"] == list(tagger(texts, constrained=constrained)[0].labels)
        assert "taggings" not in found and "marginals" not in found
    one = running.tag(texts[0])[1]["results"]
    assert len(one) == 1 and one[0]["text"] == texts[0]
    assert running.tag([]) == (200, {"results": []})


def test_requests_at_the_same_time_get_their_own_answers(running):
    found: dict[int, object] = {}

    def ask(number: int) -> None:
        found[number] = running.tag([f"{number} a", f"{number} b"], marginals=number % 2 == 0)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (status, answer) in found.items():
        assert status == 200 and [x["text"] for x in answer["results"]] == [f"{number} a", f"{number} b"]
        assert all(("marginals" in x) == (number % 2 == 0) for x in answer["results"])


def test_what_the_process_says_of_itself(running, tagger):
    assert json.loads(running.ask("GET", "/health")[2]) == {"status": "ok"}
    assert json.loads(running.ask("GET", "/ready")[2]) == {"status": "ready"}
    model = json.loads(running.ask("GET", "/v1/model")[2])
    assert (model["task"], model["labels"], model["decode"]) == ("ner", list(tagger.labels), "constrained")
    before = running.metric("tagdistill_words_total"), running.metric('tagdistill_requests_total{status="200"}')
    running.tag("Ada Lovelace was here")
    after = running.metric("tagdistill_words_total"), running.metric('tagdistill_requests_total{status="200"}')
    assert (after[0] - before[0], after[1] - before[1]) == (4, 1)
    description = json.loads(running.ask("GET", "/openapi.json")[2])
    assert {"/v1/tag", "/v1/model", "/health", "/ready", "/metrics"} == set(description["paths"])
    assert "429" in description["paths"]["/v1/tag"]["post"]["responses"]


def test_no_other_site_may_ask_or_show_it(running):
    for path in ("/", "/health", "/nothing"):
        _, headers, _ = running.ask("GET", path, headers={"Origin": "http://evil.example"})
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert running.ask("OPTIONS", "/v1/tag", headers={"Origin": "http://evil.example"})[0] == 405


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(running, kind):
    status, _, answer = running.ask("POST", "/v1/tag", b'{"texts": "a"}', {"Content-Type": kind} if kind else {})
    assert status == 415 and json.loads(answer)["error"]["field"] == "Content-Type"


def test_what_is_not_there_is_told_in_json(running):
    assert json.loads(running.ask("GET", "/nothing")[2])["error"]["code"] == "http"
    status, headers, _ = running.ask("GET", "/v1/tag")
    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/v1/model", "/openapi.json", "/page.js"])
def test_head_is_answered_as_get_is_without_the_body(running, path):
    got, headed = running.ask("GET", path), running.ask("HEAD", path)
    assert (headed[0], headed[2]) == (200, b"") and headed[1]["content-type"] == got[1]["content-type"]
    assert path == "/metrics" or headed[1]["content-length"] == str(len(got[2]))
    assert set(running.ask("POST", path)[1]["allow"].split(", ")) == {"GET", "HEAD"}
    assert running.ask("HEAD", "/v1/tag")[0] == 405 and running.ask("HEAD", "/nothing")[0] == 404


def test_no_path_is_redirected(running):
    status, headers, answer = running.ask("POST", "/v1/tag/", b'{"texts": "a"}', JSON)
    assert (status, json.loads(answer)["error"]["code"]) == (404, "http") and "location" not in headers


def test_an_encoded_body_is_refused_as_one(running):
    body = gzip.compress(b'{"texts": "a"}')
    status, _, answer = running.ask("POST", "/v1/tag", body, JSON | {"Content-Encoding": "gzip"})
    error = json.loads(answer)["error"]
    assert (status, error["field"], error["message"]) == (415, "Content-Encoding", "the body is encoded as 'gzip'")
    plain = running.ask("POST", "/v1/tag", b'{"texts": "a"}', JSON | {"Content-Encoding": "identity"})
    assert plain[0] == 200


@pytest.mark.parametrize("host", ["a..b", ".x", "a" * 64 + ".example"])
def test_a_host_that_can_be_no_name_is_told(host):
    with pytest.raises(TagdistillError, match="no such address") as told:
        listening(host, 0)
    assert told.value.where == f"--host {host}"


def test_ten_thousand_texts_are_too_many(running):
    status, answer = running.tag(["a"] * 10_000)
    assert (status, answer["error"]["field"]) == (413, "texts")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(running):
    most = running.service.limits.body_bytes
    said = raw(running, TAG + f"Content-Length: {10**15}\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 413 ") and b"connection: close" in said.lower()
    part = b"%x\r\n" % (most // 4) + b" " * (most // 4) + b"\r\n"
    chunked = raw(running, TAG + b"Transfer-Encoding: chunked\r\n\r\n" + part * 6 + b"0\r\n\r\n")
    assert chunked.startswith(b"HTTP/1.1 413 ") and b"bytes" in chunked
    assert running.tag("a")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        TAG + b"Content-Length: -1\r\n\r\n",
        TAG + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
        TAG + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused(running, sent):
    assert raw(running, sent).startswith(b"HTTP/1.1 4")
    assert running.tag("a")[0] == 200


def test_a_slow_body_is_refused(slow):
    with serving(slow, Limits(body=0.2)) as running:
        said = raw(running, TAG + b"Content-Length: 30\r\n\r\n{")
        assert said.startswith(b"HTTP/1.1 408 ") and b"0.2 seconds" in said


def test_connections_on_which_nothing_happens_are_ended(slow, monkeypatch):
    monkeypatch.setattr(connection, "IDLE", 0.1)
    with serving(slow) as running:
        assert raw(running, b"") == b""
        assert raw(running, b"GET / HTTP/1.1\r\nX: ") == b""


def test_a_new_connection_gets_the_place_of_the_one_that_waits_longest(slow):
    with serving(slow, Limits(connections=3)) as running, ExitStack() as stack:
        silent = [stack.enter_context(running.connect()) for _ in range(3)]
        silent[0].sendall(TAG + b"Content-Length: 30\r\n\r\n{")  # nor does a part of a request keep the place
        assert healthy(silent[2])  # it is read by now
        assert json.loads(running.ask("GET", "/health")[2]) == {"status": "ok"}
        assert ended(silent[0])
        assert healthy(silent[1])
        silent += [stack.enter_context(running.connect()) for _ in range(2)]
        assert ended(silent[2])  # the other one's turn began again with its answer
        assert healthy(silent[1])


class Link:
    aborted = False  # nobody is told of it yet

    def get_extra_info(self, name):
        return ("127.0.0.1", 1) if name in ("sockname", "peername") else None

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        self.aborted = True


def test_a_connection_that_was_ended_takes_no_place_before_its_end_is_told(slow):
    config, state, room = Server(Service(slow, Limits())).config, ServerState(), connection.Room(2)
    loop = asyncio.new_event_loop()
    links = [Link() for _ in range(4)]
    made = [connection.Connection(config, state, {}, _loop=loop, room=room) for _ in links]
    for each, link in zip(made[:3], links, strict=False):
        each.connection_made(link)
    assert [link.aborted for link in links[:3]] == [True, False, False]
    made[1].connection_lost(ConnectionResetError())
    made[3].connection_made(links[3])
    assert [link.aborted for link in links] == [True, False, False, False]
    assert state.connections == {*made[2:]}
    loop.close()


def test_a_request_at_work_keeps_its_place(slow):
    with serving(slow, Limits(connections=1)) as running:
        slow.free.clear()
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(running.tag("a")[0]))
        thread.start()
        while not running.service.accepted:
            time.sleep(0.002)
        for _ in range(3):
            assert raw(running, b"") == b""
        slow.free.set()
        thread.join()
        assert found == [200] and running.tag("b")[0] == 200


def test_there_are_no_more_connections_than_files_may_be_opened(monkeypatch):
    limits = [(256, 512)]
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(descriptors.resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert descriptors.connection_limit(100) == 100 and len(limits) == 1
    assert descriptors.connection_limit(200) == 200 and limits[-1] == (328, 512)
    assert descriptors.connection_limit(1000) == 384 and limits[-1] == (512, 512)
    limits.append((64, 64))
    assert descriptors.connection_limit(1000) == 1
    limits.append((64, descriptors.resource.RLIM_INFINITY))
    assert descriptors.connection_limit(1000) == 1000 and limits[-1][0] == 1128


def test_a_client_that_does_not_read_its_answer_is_left(slow, monkeypatch):
    monkeypatch.setattr(connection, "IDLE", 0.1)
    with serving(slow) as running, running.connect() as link:
        text = json.dumps({"texts": ["x" * 20_000] * 5}).encode()
        request = TAG + f"Content-Length: {len(text)}\r\n\r\n".encode() + text
        with pytest.raises(OSError):  # a reset, or a broken pipe
            for _ in range(400):
                link.sendall(request)


def test_a_full_queue_is_told_when_to_come_again(slow):
    with serving(slow, Limits(wait=0.0)) as running:
        slow.free.clear()
        first = threading.Thread(target=running.tag, args=("first",))
        first.start()
        while not running.service.queue.waiting:
            time.sleep(0.002)
        status, headers, answer = running.ask("POST", "/v1/tag", b'{"texts": "second"}', JSON)
        assert (status, json.loads(answer)["error"]["code"]) == (429, "busy") and int(headers["retry-after"]) >= 1
        slow.free.set()
        first.join()
        assert running.tag("third")[0] == 200


def test_a_request_that_takes_too_long_is_answered(slow):
    with serving(slow, Limits(reply=0.1)) as running:
        slow.free.clear()
        status, answer = running.tag("a")
        assert (status, answer["error"]["code"]) == (503, "timeout")
        slow.free.set()


def test_the_work_of_a_client_that_went_away_is_dropped(slow):
    with serving(slow) as running:
        running.service.queue.rate = 1.0  # one text at a time
        slow.free.clear()
        body = json.dumps({"texts": ["a"] * 50}).encode()
        with running.connect() as link:
            link.sendall(TAG + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            while not running.service.accepted:
                time.sleep(0.002)
        while not running.metric("tagdistill_gone_clients_total"):
            time.sleep(0.005)
        slow.free.set()
        running.service.queue.rate = 1e6
        assert running.tag("b")[0] == 200
        assert sum(texts.count("a") for texts in slow.calls[2:]) <= 1  # the first two calls warm it up
        assert running.service.accepted == running.service.answered


def test_one_text_that_fails_takes_no_other_with_it_and_is_not_logged(slow, caplog):
    with serving(slow) as running, caplog.at_level(logging.INFO):
        running.service.queue.rate = 1e6
        slow.free.clear()
        found: dict[str, tuple[int, object]] = {}

        def ask(text: str) -> None:
            found[text] = running.tag(text)

        threads = [threading.Thread(target=ask, args=(text,)) for text in ("a", f"defect {SECRET}", "b")]
        for thread in threads:
            thread.start()
        while running.service.accepted < 3:
            time.sleep(0.002)
        slow.free.set()
        for thread in threads:
            thread.join()
        assert {text: status for text, (status, _) in found.items()} == {"a": 200, f"defect {SECRET}": 500, "b": 200}
        assert running.ask("GET", "/health")[0] == 200
    assert "ValueError, a bug in tagdistill" in caplog.text and SECRET not in caplog.text
    assert SECRET not in json.dumps(found[f"defect {SECRET}"][1])


def test_a_defect_of_the_application_is_answered_and_logged_without_the_text(slow, caplog, monkeypatch):
    with serving(slow) as running:
        monkeypatch.setattr(running.service.queue, "submit", lambda job: [][job.texts[0]])
        status, answer = running.tag(SECRET)
    assert (status, answer["error"]["code"]) == (500, "defect")
    assert "TypeError, a bug in tagdistill" in caplog.text and SECRET not in caplog.text


def test_what_was_accepted_is_answered_before_the_end(slow):
    found: list[int] = []
    with serving(slow) as running:
        running.service.queue.rate = 1e3
        slow.seconds = 0.02
        threads = [threading.Thread(target=lambda: found.append(running.tag(["a"] * 3)[0])) for _ in range(8)]
        for thread in threads:
            thread.start()
        while running.service.accepted < 4:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert running.service.accepted == running.service.answered == found.count(200) >= 4


def test_what_cannot_be_labelled_in_time_is_refused_at_the_end(slow):
    found: list[tuple[int, object]] = []
    with serving(slow, Limits(stop=0.2)) as running:
        slow.free.clear()
        thread = threading.Thread(target=lambda: found.append(running.tag("a")))
        thread.start()
        while not running.service.accepted:
            time.sleep(0.001)
    thread.join()
    slow.free.set()
    assert found[0][0] == 503 and found[0][1]["error"]["code"] == "stopping"


def test_a_body_that_still_comes_is_not_waited_for_at_the_end(slow):
    with serving(slow) as running:
        link = running.connect()
        link.sendall(TAG + b"Content-Length: 30\r\n\r\n{")
        while not running.service.app._reading:
            time.sleep(0.001)
        begin = time.monotonic()
    assert time.monotonic() - begin < running.service.limits.body
    with link:
        assert link.recv(65536).startswith(b"HTTP/1.1 503 ")


def test_a_thread_that_has_ended_is_seen(slow):
    with serving(slow) as running:
        ended = SimpleNamespace(is_alive=lambda: False, abandon=lambda: None)
        running.service.queue.closed, running.service.worker = False, ended
        assert running.ask("GET", "/health")[0] == running.ask("GET", "/ready")[0] == 503
        assert running.tag("a")[0] == 503
