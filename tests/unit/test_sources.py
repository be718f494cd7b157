"""Downloads against a server on this machine: complete or absent, pinned, and with errors that say what to do."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tagdistill.data import sources
from tagdistill.data.treebanks import CODES, Treebank
from tagdistill.errors import ConfigError, DataError, TagdistillError
from tagdistill.settings import Language

GOOD = b"# sent_id = 1\n1\tOui\t_\tINTJ\t_\t_\t0\troot\t_\t_\n\n"
FRENCH = "/UD_French-Sequoia/r2.15/fr_sequoia-ud-train.conllu"


class Server:
    """What the test put at a path: the body, (status, body), or a body that breaks off."""

    def __init__(self):
        self.files: dict[str, bytes | int] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []


@pytest.fixture
def server(monkeypatch):
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.asked.append(self.path)
            body = state.files.get(self.path, 404)
            if isinstance(body, int):
                self.send_error(body)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path in state.broken else body)

        def log_message(self, *args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("TAGDISTILL_UD_URL", f"http://127.0.0.1:{web.server_port}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # pooch waits between its attempts
    yield state
    web.shutdown()
    web.server_close()
    thread.join()


def french(**changes):
    return Language(**{"source": "ud", "treebank": "French-Sequoia", "release": "r2.15", **changes})


def get(out, split="train", **changes):
    return sources.fetch(french(**changes), split, out, language="fr")


def test_a_first_download_records_the_checksum(server, tmp_path, caplog):
    server.files[FRENCH] = GOOD
    out = tmp_path / "ud" / "train.conllu"
    with caplog.at_level("INFO"):
        assert get(out) == out
    digest = hashlib.sha256(GOOD).hexdigest()
    assert out.read_bytes() == GOOD and digest in caplog.text and out.stat().st_mode & 0o044 == 0o044
    assert (tmp_path / "ud" / "train.conllu.sha256").read_text() == f"{digest}  train.conllu\n"
    assert sorted(p.name for p in out.parent.iterdir()) == ["train.conllu", "train.conllu.sha256"]


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    server.files[FRENCH] = GOOD
    get(tmp_path / "t")
    get(tmp_path / "t")
    assert server.asked == [FRENCH]


def test_a_file_that_was_changed_here_is_fetched_again(server, tmp_path):
    server.files[FRENCH] = GOOD
    get(tmp_path / "t").write_bytes(b"half")
    assert get(tmp_path / "t").read_bytes() == GOOD


def test_the_recorded_checksum_is_enforced(server, tmp_path):
    server.files[FRENCH] = GOOD
    get(tmp_path / "t").unlink()
    server.files[FRENCH] = GOOD + GOOD
    with pytest.raises(TagdistillError, match="checksum") as caught:
        get(tmp_path / "t")
    assert "t.sha256" in caught.value.hint and [p.name for p in tmp_path.iterdir()] == ["t.sha256"]


def test_the_checksum_of_the_config_comes_first(server, tmp_path):
    server.files[FRENCH] = GOOD
    right, wrong = hashlib.sha256(GOOD).hexdigest(), "0" * 64
    with pytest.raises(TagdistillError, match=wrong):
        get(tmp_path / "t", sha256={"train": wrong})
    assert list(tmp_path.iterdir()) == []
    assert get(tmp_path / "t", sha256={"train": right}).read_bytes() == GOOD
    with pytest.raises(TagdistillError, match=wrong):  # not the one that was recorded
        get(tmp_path / "t", sha256={"train": wrong})
    assert (tmp_path / "t").read_bytes() == GOOD


def test_a_spoilt_record_is_named(server, tmp_path):
    (tmp_path / "t.sha256").write_text("oops\n")
    with pytest.raises(DataError, match="no SHA-256"):
        get(tmp_path / "t")
    assert server.asked == []


def test_a_missing_file_is_asked_for_once_and_says_what_to_check(server, tmp_path):
    with pytest.raises(TagdistillError, match=r"no such file: fr_sequoia-ud-dev\.conllu") as caught:
        get(tmp_path / "t", "dev")
    assert len(server.asked) == 1 and "splits: [test]" in caught.value.hint and "source: path" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_server_error_is_tried_again_and_then_named(server, tmp_path):
    server.files[FRENCH] = 503
    with pytest.raises(TagdistillError, match="answered 503") as caught:
        get(tmp_path / "t")
    assert len(server.asked) == 3 and "TAGDISTILL_UD_URL" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_breaks_off_leaves_nothing(server, tmp_path):
    server.files[FRENCH] = GOOD * 100
    server.broken.add(FRENCH)
    with pytest.raises(TagdistillError, match="no complete answer"):
        get(tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down(monkeypatch, tmp_path):
    monkeypatch.setenv("TAGDISTILL_UD_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(TagdistillError, match="no complete answer"):
        get(tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_a_login_page_is_not_taken_for_a_treebank(server, tmp_path):
    server.files[FRENCH] = b"<html>please log in</html>"
    with pytest.raises(TagdistillError, match="not CoNLL-U"):
        get(tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_old_releases_have_files_without_the_treebank_name(server, tmp_path):
    server.files["/UD_Indonesian-GSD/r2.1/id-ud-train.conllu"] = GOOD
    assert get(tmp_path / "t", treebank="Indonesian-GSD", release="r2.1").read_bytes() == GOOD
    assert server.asked[0].endswith("/id_gsd-ud-train.conllu")


@pytest.mark.parametrize(
    ("treebank", "release", "names"),
    [
        ("French-Sequoia", "r2.15", ["fr_sequoia-ud-test.conllu"]),
        ("UD_Norwegian-Bokmaal", "r2.2", ["no_bokmaal-ud-test.conllu"]),
        ("Upper_Sorbian-UFAL", "r2.10", ["hsb_ufal-ud-test.conllu"]),
        ("Slovenian-SSJ", "r1.4", ["sl_ssj-ud-test.conllu", "sl-ud-test.conllu"]),
        ("English-EWT", "15d613d844", ["en_ewt-ud-test.conllu", "en-ud-test.conllu"]),
        ("Abaza-ATB", "r2.14", ["abq_atb-ud-test.conllu"]),
    ],
)
def test_file_names_follow_treebank_and_release(treebank, release, names):
    found = Treebank.of(french(treebank=treebank, release=release, code="abq"), "x").files("test")
    assert [path.rsplit("/", 1)[1] for path in found] == names
    assert found[0].startswith(f"UD_{treebank.removeprefix('UD_')}/{release}/")


def test_the_table_of_codes_is_well_formed():
    assert len(CODES) > 100 and len(set(CODES.values())) == len(CODES)
    assert all(code.isalpha() and code.islower() and len(code) in (2, 3) for code in CODES.values())


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"release": "master"}, "languages.fr.release"),
        ({"release": None}, "languages.fr.release"),
        ({"treebank": None}, "languages.fr.treebank"),
        ({"treebank": "French"}, "languages.fr.treebank"),
        ({"treebank": "../x-y"}, "languages.fr.treebank"),
    ],
)
def test_what_is_not_pinned_is_refused_before_any_request(server, tmp_path, changes, key):
    with pytest.raises(ConfigError) as caught:
        get(tmp_path / "t", **changes)
    assert caught.value.where == key and server.asked == []


def test_a_path_is_used_in_place(tmp_path):
    (tmp_path / "a.conll").write_text("a O\n")
    language = Language(train="a.conll", dev="b.conll", test=".")
    out = tmp_path / "out"
    assert sources.fetch(language, "train", out, root=tmp_path) == tmp_path / "a.conll" and not out.exists()
    for split, what in (("dev", "no such file"), ("test", "is a folder")):
        with pytest.raises(DataError, match=what) as caught:
            sources.fetch(language, split, out, language="fr", root=tmp_path)
        assert caught.value.where == f"languages.fr.{split}" and "root" in caught.value.hint
    with pytest.raises(ConfigError, match="no 'unlabelled' split"):
        sources.fetch(language, "unlabelled", out)


def test_a_split_with_a_path_beats_the_source(server, tmp_path):
    (tmp_path / "plain.txt").write_text("un texte\n")
    language = french(unlabelled={"path": "plain.txt", "format": "text"})
    assert sources.fetch(language, "unlabelled", tmp_path / "x", root=tmp_path) == tmp_path / "plain.txt"
    assert server.asked == []


def test_the_demo_needs_no_file(tmp_path):
    assert sources.fetch(Language(source="demo"), "train", tmp_path / "x", language="en") is None


def test_licences_are_named_where_known():
    assert sources.licence(Language(licence="CC BY 4.0")) == "CC BY 4.0"
    assert "UD_French-Sequoia/blob/r2.15/LICENSE" in sources.licence(french())
    assert "CC0" in sources.licence(Language(source="demo")) and sources.licence(Language()) is None
