"""Downloads against a server on this machine: tried again, continued, redirected, and never half."""

from __future__ import annotations

import json

import pytest
from web import serving

from tagdistill.data.sources import download as downloads
from tagdistill.data.sources.download import NotThere, download
from tagdistill.errors import TagdistillError

BODY = bytes(range(256)) * 64


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "WAIT", 0.0)
    monkeypatch.setattr(downloads, "CHUNK", 256)  # what came of a chunk that breaks off is lost
    with serving() as server:
        server.files["/a"] = BODY
        yield server


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_leaves_nothing_beside_it(web, tmp_path):
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and names(tmp_path) == ["out"]
    assert web.asked == ["/a"] and web.headers[0]["Accept-Encoding"] == "identity"


def test_a_redirect_is_followed(web, tmp_path):
    web.moved |= {"/old": "/newer", "/newer": f"{web.url}/a"}
    download(f"{web.url}/old", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and web.asked == ["/old", "/newer", "/a"]


def test_a_redirect_in_a_circle_ends(web, tmp_path):
    web.moved |= {"/x": "/y", "/y": "/x"}
    with pytest.raises(TagdistillError, match="answered 302"):
        download(f"{web.url}/x", tmp_path / "out")


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_asked_for_once(web, tmp_path, status):
    web.files["/b"] = status
    with pytest.raises(NotThere):
        download(f"{web.url}/b", tmp_path / "out")
    assert web.asked == ["/b"] and names(tmp_path) == []


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (503, 3), (429, 3), (401, 1), (403, 1)])
def test_a_status_is_named_and_tried_again_where_it_may_pass(web, tmp_path, status, attempts):
    web.files["/b"] = status
    with pytest.raises(TagdistillError, match=f"answered {status}") as caught:
        download(f"{web.url}/b", tmp_path / "out")
    assert len(web.asked) == attempts and caught.value.where == f"{web.url}/b" and names(tmp_path) == []


def test_an_answer_that_breaks_off_is_continued(web, tmp_path):
    web.breaks["/a"] = 2
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and names(tmp_path) == ["out"]
    half = len(BODY) // 2
    assert web.ranges == [f"bytes={half}-", f"bytes={half + half // 2}-"]


def test_a_later_call_goes_on_where_the_last_one_was_interrupted(web, tmp_path):
    web.breaks["/a"] = 3
    with pytest.raises(TagdistillError, match="no complete answer"):
        download(f"{web.url}/a", tmp_path / "out")
    assert names(tmp_path) == [".out.part", ".out.part.json"]
    web.ranges.clear()
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and names(tmp_path) == ["out"]
    assert web.ranges == [f"bytes={len(BODY) - len(BODY) // 8}-"]


def test_another_file_at_the_address_starts_anew(web, tmp_path):
    web.breaks["/a"] = 3
    with pytest.raises(TagdistillError):
        download(f"{web.url}/a", tmp_path / "out")
    web.files["/a"] = BODY[::-1]
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY[::-1] and len(web.ranges) == 3


def test_a_part_of_another_address_is_not_continued(web, tmp_path):
    web.breaks["/a"] = 3
    with pytest.raises(TagdistillError):
        download(f"{web.url}/a", tmp_path / "out")
    web.files["/b"], ranges = b"other", len(web.ranges)
    download(f"{web.url}/b", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"other" and len(web.ranges) == ranges


@pytest.mark.parametrize("change", [{"continues": False}, {"weak": True}])
def test_where_parts_are_not_given_or_not_promised_it_starts_anew(web, tmp_path, change):
    vars(web).update(change)
    web.breaks["/a"] = 1
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and len(web.asked) == 2
    assert bool(web.ranges) == (not web.weak)


def test_a_spoilt_part_starts_anew(web, tmp_path):
    (tmp_path / ".out.part").write_bytes(b"old")
    (tmp_path / ".out.part.json").write_text("{")
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY


def zeros(part):
    part.write_bytes(part.read_bytes()[:-100] + bytes(100))


@pytest.mark.parametrize(
    "damage",
    [zeros, lambda part: part.write_bytes(b""), lambda part: part.write_bytes(bytes(100))],
    ids=["zeros", "empty", "short"],
)
def test_a_part_that_is_not_what_arrived_starts_anew(damage, web, tmp_path, caplog):
    web.breaks["/a"] = 3
    with pytest.raises(TagdistillError):
        download(f"{web.url}/a", tmp_path / "out")
    damage(tmp_path / ".out.part")  # as after a power cut; the server has the same file
    web.ranges.clear()
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and web.ranges == [] and names(tmp_path) == ["out"]
    assert "what had arrived of it is damaged" in caplog.text


def test_what_arrived_after_the_last_record_is_asked_for_again(web, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "KEPT", 5000)
    web.breaks["/a"] = 3
    record = tmp_path / ".out.part.json"
    kept = []
    write_text = downloads.write_text
    monkeypatch.setattr(downloads, "write_text", lambda *values: (write_text(*values), kept.append(values[1])))
    with pytest.raises(TagdistillError):
        download(f"{web.url}/a", tmp_path / "out")
    record.write_text(kept[0])  # a kill leaves this one, and more bytes
    assert json.loads(kept[0])["bytes"] == 5120 < (tmp_path / ".out.part").stat().st_size
    web.ranges.clear()
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and web.ranges == ["bytes=5120-"]


def test_a_part_longer_than_the_file_starts_anew(web, tmp_path):
    web.breaks["/a"] = 3
    with pytest.raises(TagdistillError):
        download(f"{web.url}/a", tmp_path / "out")
    (tmp_path / ".out.part").write_bytes(BODY * 2)
    web.files["/a"] = BODY  # the same mark: the server finds nothing after what is here
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY


def test_a_server_that_says_nothing_is_given_up_and_asked_again(web, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    web.silent["/a"] = 1
    download(f"{web.url}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY and web.asked == ["/a", "/a"]


def test_a_server_that_stays_silent_or_is_down_is_named(web, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    web.silent["/a"] = 9
    with pytest.raises(TagdistillError, match=r"no complete answer \(ReadTimeout\)"):
        download(f"{web.url}/a", tmp_path / "out")
    with pytest.raises(TagdistillError, match=r"no complete answer \(ConnectionError\)"):
        download("http://127.0.0.1:9/a", tmp_path / "out")
    assert names(tmp_path) == []


def test_headers_are_passed_on(web, tmp_path):
    download(f"{web.url}/a", tmp_path / "out", {"Authorization": "Bearer x"})
    assert web.headers[0]["Authorization"] == "Bearer x"
