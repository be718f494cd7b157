"""Data sets from a server on this machine: pinned, checked, and with errors that say what to do."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from web import serving

from tagdistill.data.readers.read import read
from tagdistill.data.sources import download
from tagdistill.data.sources import fetch as sources
from tagdistill.data.sources.catalogue import conll2002, ud, wikiann
from tagdistill.data.sources.catalogue.ud import CODES, Treebank
from tagdistill.data.sources.source import Source, fetched_sources, licence, load_source
from tagdistill.errors import ConfigError, DataError, TagdistillError
from tagdistill.settings.language import Language
from tagdistill.settings.names import SOURCES, names_in, summaries_in

GOOD = b"# sent_id = 1\n1\tOui\t_\tINTJ\t_\t_\t0\troot\t_\t_\n\n"
FRENCH = "/UD_French-Sequoia/r2.15/fr_sequoia-ud-train.conllu"
README = "/UD_French-Sequoia/r2.15/README.md"
KEPT = "ud/French-Sequoia/r2.15/train.conllu"
COMMIT = "0123456789" * 4


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT", 0.0)
    with serving() as web:
        for source in fetched_sources():
            monkeypatch.setenv(f"TAGDISTILL_{source.upper()}_URL", f"{web.url}/")
        yield web


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def french(**changes):
    return Language(**{"source": "ud", "treebank": "French-Sequoia", "release": "r2.15", **changes})


def get(folder, split="train", language="fr", **changes):
    return sources.fetch(french(**changes), split, folder, language=language)


def files(folder):
    """Return all files below a folder but the empty ones that guard against two jobs at once."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


def lock(folder):
    return (folder / "checksums.sha256").read_text()


# -- every source


@pytest.mark.parametrize("name", names_in(SOURCES))
def test_a_source_is_known_by_its_module(name):
    source, settings = load_source(name), Language(source=name)
    assert isinstance(source, Source) and not (source.own and source.fetched)
    assert summaries_in(SOURCES)[name], "config/README.md shows the first line of its docstring"
    if source.fetched:  # by the settings of this source below, or by the language alone
        pinned = {"ud": french(), "hub": hub()}.get(name, settings)
        assert source.raw_path(pinned, "train", "es").startswith(f"{name}/"), "downloads lie in a folder of that name"
        assert licence(pinned)
    else:
        assert source.raw_path(settings, "train", "es") is None


def test_reading_a_config_imports_no_library_of_downloads_or_tables():
    code = "import sys, tagdistill.data.sources.source as s; s.fetched_sources(); import tagdistill.experiment.config; "
    code += "print({'requests', 'pooch', 'pyarrow', 'filelock'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- one file, whatever the source


def test_a_first_download_records_the_checksum(server, tmp_path, caplog):
    server.files[FRENCH] = GOOD
    with caplog.at_level("INFO"):
        out = get(tmp_path)
    assert out == tmp_path / KEPT and out.read_bytes() == GOOD and out.stat().st_mode & 0o044 == 0o044
    assert sha256(GOOD) in caplog.text and "licence: see https://github.com/UniversalDependencies" in caplog.text
    assert lock(tmp_path) == f"{sha256(GOOD)}  {KEPT}\n"
    assert files(tmp_path) == ["checksums.sha256", KEPT]


def test_the_lock_file_is_what_sha256sum_reads(server, tmp_path):
    server.files |= {FRENCH: GOOD, FRENCH.replace("train", "dev"): GOOD * 2}
    get(tmp_path)
    get(tmp_path, "dev")
    checked = subprocess.run(["sha256sum", "-c", "checksums.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stdout.count(": OK") == 2


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    server.files[FRENCH] = GOOD
    get(tmp_path)
    asked = server.asked.count(FRENCH)
    get(tmp_path)
    assert server.asked.count(FRENCH) == asked == 1


def test_a_file_that_was_changed_here_is_fetched_again(server, tmp_path):
    server.files[FRENCH] = GOOD
    get(tmp_path).write_bytes(b"half")
    assert get(tmp_path).read_bytes() == GOOD


def test_the_recorded_checksum_is_enforced_and_both_sums_are_named(server, tmp_path):
    server.files[FRENCH] = GOOD
    get(tmp_path).unlink()
    server.files[FRENCH] = GOOD + GOOD
    with pytest.raises(TagdistillError, match=f"is {sha256(GOOD + GOOD)}, but should be {sha256(GOOD)}") as caught:
        get(tmp_path)
    assert f"remove the line of {KEPT} from {tmp_path / 'checksums.sha256'}" in caught.value.hint
    assert files(tmp_path) == ["checksums.sha256"]
    (tmp_path / "checksums.sha256").write_text("")  # as the message says
    assert get(tmp_path).read_bytes() == GOOD + GOOD and sha256(GOOD + GOOD) in lock(tmp_path)


def test_the_checksum_of_the_config_comes_first(server, tmp_path):
    server.files[FRENCH] = GOOD
    wrong = "0" * 64
    with pytest.raises(TagdistillError, match=f"should be {wrong}") as caught:
        get(tmp_path, sha256={"train": wrong})
    assert "`sha256: {SPLIT: ...}`" in caught.value.hint and files(tmp_path) == []
    assert get(tmp_path, sha256={"train": sha256(GOOD)}).read_bytes() == GOOD
    assert files(tmp_path) == [KEPT]  # the config has it: nothing to record


def test_a_spoilt_lock_file_is_named_by_its_line(server, tmp_path):
    (tmp_path / "checksums.sha256").write_text(f"{'0' * 64}  a\noops\n")
    with pytest.raises(DataError, match="not a SHA-256") as caught:
        get(tmp_path)
    assert caught.value.where == f"{tmp_path / 'checksums.sha256'}:2" and server.asked == []


def test_an_answer_that_breaks_off_leaves_no_file_and_is_continued(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "CHUNK", 16)
    server.files[FRENCH] = GOOD * 100
    server.breaks[FRENCH] = 3
    with pytest.raises(TagdistillError, match="no complete answer"):
        get(tmp_path)
    assert not (tmp_path / KEPT).exists() and not (tmp_path / "checksums.sha256").exists()
    begun = len(server.ranges)
    assert get(tmp_path).read_bytes() == GOOD * 100 and len(server.ranges) == begun + 1


def test_parts_of_two_versions_are_never_joined(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "CHUNK", 16)
    server.files[FRENCH] = GOOD * 100
    server.breaks[FRENCH] = 3
    with pytest.raises(TagdistillError):
        get(tmp_path)
    server.files[FRENCH] = GOOD * 90
    assert get(tmp_path).read_bytes() == GOOD * 90


def test_a_server_that_is_down_is_named_with_the_way_around_it(monkeypatch, tmp_path):
    monkeypatch.setenv("TAGDISTILL_UD_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT", 0.0)
    with pytest.raises(TagdistillError, match="no complete answer") as caught:
        get(tmp_path)
    assert "source: path" in caught.value.hint and "mirror" in caught.value.hint and files(tmp_path) == []


def test_a_mirror_without_a_scheme_is_named_and_an_empty_one_is_none(monkeypatch):
    monkeypatch.setenv("TAGDISTILL_UD_URL", "mirror.example/ud")
    with pytest.raises(ConfigError, match=r"TAGDISTILL_UD_URL: 'mirror\.example/ud' is no address"):
        _ = ud.HOST.url
    monkeypatch.setenv("TAGDISTILL_UD_URL", "")
    assert ud.HOST.url == ud.HOST.address


# -- Universal Dependencies


def test_the_licence_is_the_one_that_the_readme_names(server, tmp_path):
    server.files |= {FRENCH: GOOD, README: b"# Summary\n\nLicense: LGPL-LR\nIncludes text: yes\n"}
    out = get(tmp_path)
    assert licence(french(), out) == "LGPL-LR"
    assert licence(french(licence="other"), out) == "other"


def test_a_missing_file_says_what_to_check(server, tmp_path):
    with pytest.raises(TagdistillError, match=r"no such file: fr_sequoia-ud-dev\.conllu") as caught:
        get(tmp_path, "dev")
    assert len(server.asked) == 1 and "splits: [test]" in caught.value.hint and "source: path" in caught.value.hint
    assert files(tmp_path) == []


def test_a_login_page_is_not_taken_for_a_treebank(server, tmp_path):
    server.files[FRENCH] = b"<html>please log in</html>"
    with pytest.raises(TagdistillError, match="not conllu"):
        get(tmp_path)
    assert files(tmp_path) == []


def test_old_releases_have_files_without_the_treebank_name(server, tmp_path):
    server.files["/UD_Indonesian-GSD/r2.1/id-ud-train.conllu"] = GOOD
    assert get(tmp_path, treebank="Indonesian-GSD", release="r2.1").read_bytes() == GOOD
    assert server.asked[0].endswith("/id_gsd-ud-train.conllu")


def test_a_split_can_be_cut_from_another_one(server, tmp_path):
    server.files[FRENCH] = GOOD * 3
    settings = french(dev={"of": "train", "take": "2:"})
    out = sources.fetch(settings, "dev", tmp_path, language="fr")
    assert out == tmp_path / KEPT
    assert len(list(read(out, settings, settings.split("dev"), name="dev"))) == 1


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


# -- CoNLL-2002


def packed(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return data.getvalue()


CONLL2002 = "/packages/corpora/conll2002.zip"
SPANISH = {"conll2002/esp.train": b"Oui I O\n", "conll2002/esp.testa": b"Non I O\n", "conll2002/ned.testb": b"Ja J O\n"}


def test_conll_2002_comes_out_of_one_archive(server, tmp_path):
    server.files[CONLL2002] = data = packed(**SPANISH)
    settings = Language(source="conll2002", sha256={"archive": sha256(data)})
    train = sources.fetch(settings, "train", tmp_path, language="es")
    assert train == tmp_path / "conll2002/es/train.conll" and train.read_bytes() == b"Oui I O\n"
    assert sources.fetch(settings, "dev", tmp_path, language="es").read_bytes() == b"Non I O\n"
    dutch = settings.model_copy(update={"code": "nl"})
    assert sources.fetch(dutch, "test", tmp_path, language="dutch").read_bytes() == b"Ja J O\n"
    assert server.asked == [CONLL2002]
    assert [s.tokens for s in read(train, settings)] == [["Oui"]]
    assert "research use" in licence(settings)


def test_another_archive_than_the_known_one_is_refused(server, tmp_path):
    server.files[CONLL2002] = data = packed(**SPANISH)
    with pytest.raises(TagdistillError, match=f"is {sha256(data)}, but should be {conll2002.SHA256}") as caught:
        sources.fetch(Language(source="conll2002"), "train", tmp_path, language="es")
    assert "archive" in caught.value.hint and files(tmp_path) == []


@pytest.mark.parametrize(("language", "split"), [("de", "train"), ("es", "unlabelled")])
def test_conll_2002_has_two_languages_and_three_splits(server, tmp_path, language, split):
    with pytest.raises(ConfigError, match="CoNLL-2002 has no"):
        sources.fetch(Language(source="conll2002"), split, tmp_path, language=language)
    assert server.asked == []


# -- WikiAnn


def tarred(**members: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, body in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(body)
            archive.addfile(item, io.BytesIO(body))
    return data.getvalue()


def test_wikiann_is_an_archive_of_archives(server, tmp_path):
    inner = tarred(train=b"mt:Iva\tO\n", test=b"mt::\tO\n", extra=b"mt:b\tO\n")
    server.files["/panx_dataset.zip"] = packed(**{"mt.tar.gz": inner, "deeper/en.tar.gz": inner})
    settings = Language(source="wikiann", sha256={"archive": sha256(inner)})
    out = sources.fetch(settings, "test", tmp_path, language="mt")
    assert out == tmp_path / "wikiann/mt.tar.gz" == sources.fetch(settings, "train", tmp_path, language="mt")
    assert [s.tokens for s in read(out, settings, name="test")] == [[":"]]
    assert [s.tokens for s in read(out, settings, name="unlabelled")] == [["b"]]
    unknown = Language(source="wikiann")
    assert sources.fetch(unknown, "train", tmp_path, language="en").read_bytes() == inner
    assert server.asked == ["/panx_dataset.zip"]
    assert "wikiann/panx_dataset.zip" in lock(tmp_path) and "not stated" in licence(settings)


def test_an_archive_of_a_known_language_must_be_the_known_one(server, tmp_path):
    server.files["/panx_dataset.zip"] = packed(**{"mt.tar.gz": tarred(train=b"mt:a\tO\n")})
    with pytest.raises(TagdistillError, match=f"should be {wikiann.SHA256['mt']}") as caught:
        sources.fetch(Language(source="wikiann"), "train", tmp_path, language="mt")
    assert "mt.tar.gz" in caught.value.where and not (tmp_path / "wikiann/mt.tar.gz").exists()
    with pytest.raises(DataError, match=r"no file 'xx\.tar\.gz'"):
        sources.fetch(Language(source="wikiann"), "train", tmp_path, language="xx")


def test_a_login_page_is_not_taken_for_an_archive(server, tmp_path):
    server.files["/panx_dataset.zip"] = b"<html>please log in</html>"
    with pytest.raises(TagdistillError, match="not zip"):
        sources.fetch(Language(source="wikiann"), "train", tmp_path, language="en")
    assert files(tmp_path) == []


# -- the hub


def table(rows: int, *, names=("O", "B-PER", "I-PER")) -> bytes:
    data = pa.table({"tokens": [[f"t{n}", "x"] for n in range(rows)], "ner_tags": [[1, 2]] * rows})
    if names:
        feature = {"feature": {"names": list(names), "_type": "ClassLabel"}, "_type": "Sequence"}
        metadata = {"info": {"features": {"ner_tags": feature, "tokens": {"feature": {"dtype": "string"}}}}}
        data = data.replace_schema_metadata({b"huggingface": json.dumps(metadata).encode()})
    sink = io.BytesIO()
    pq.write_table(data, sink)
    return sink.getvalue()


def on_hub(server, commit=COMMIT, *, sums=True, **shards: bytes):
    siblings = [{"rfilename": ".gitattributes"}, {"rfilename": "README.md"}]
    for name, data in shards.items():
        server.files[f"/datasets/an/ner/resolve/{commit}/{name}"] = data
        siblings.append(
            {"rfilename": name, "lfs": {"sha256": sha256(data), "size": len(data)}} if sums else {"rfilename": name}
        )
    server.files[f"/api/datasets/an/ner/revision/{commit}?blobs=true"] = json.dumps({"siblings": siblings}).encode()
    server.files[f"/datasets/an/ner/resolve/{commit}/README.md"] = (
        b"---\nlanguage:\n- fa\nlicense:\n- cc-by-nc-4.0\n---\n"
    )


def hub(**changes):
    return Language(**{"source": "hub", "dataset": "an/ner", "revision": COMMIT, **changes})


@pytest.mark.parametrize(
    ("name", "split", "changes"),
    [
        ("fa/train-00000-of-00001.parquet", "train", {"subset": "fa"}),
        ("fa/validation-00000-of-00001.parquet", "dev", {"subset": "fa"}),
        ("data/test-00000-of-00001-0a1b2c.parquet", "test", {}),
        ("fa/dev/0000.parquet", "dev", {"subset": "fa"}),
        ("train.parquet", "train", {}),
        ("fa/extra-00000-of-00001.parquet", "unlabelled", {"subset": "fa"}),
    ],
)
def test_a_split_on_the_hub_is_found_by_the_hub_s_own_names(server, tmp_path, name, split, changes):
    others = {"fab/train-00000-of-00001.parquet": table(9)} if changes else {}
    on_hub(server, **{name: table(2), "other/latest.parquet": table(1), **others})
    settings = hub(**changes)
    out = sources.fetch(settings, split, tmp_path, language="fa")
    assert out == tmp_path / "hub/an/ner" / COMMIT / (settings.subset or "") / f"{split}.parquet"
    assert [s.tags for s in read(out, settings, name="train")] == [["B-PER", "I-PER"]] * 2
    assert licence(settings, out) == "cc-by-nc-4.0"


def test_shards_become_one_file(server, tmp_path):
    shards = {f"fa/train-0000{n}-of-00002.parquet": table(n + 2) for n in range(2)}
    on_hub(server, sums=False, **shards)
    settings = hub(subset="fa")
    out = sources.fetch(settings, "train", tmp_path, language="fa")
    assert [s.tokens[0] for s in read(out, settings)] == ["t0", "t1", "t0", "t1", "t2"]
    assert lock(tmp_path).count("train.parquet.parts/000") == 2


def test_one_checksum_for_several_shards_is_refused(server, tmp_path):
    on_hub(server, **{f"fa/train-0000{n}-of-00002.parquet": table(n + 2) for n in range(2)})
    with pytest.raises(ConfigError, match=r"languages\.fa\.sha256\.train: the split has 2 files"):
        sources.fetch(hub(subset="fa", sha256={"train": "0" * 64}), "train", tmp_path, language="fa")


def test_the_checksum_that_the_hub_gives_is_enforced(server, tmp_path):
    on_hub(server, **{"fa/train-00000-of-00001.parquet": table(2)})
    server.files[f"/datasets/an/ner/resolve/{COMMIT}/fa/train-00000-of-00001.parquet"] = table(3)
    with pytest.raises(TagdistillError, match=f"should be {sha256(table(2))}"):
        sources.fetch(hub(subset="fa"), "train", tmp_path, language="fa")
    assert files(tmp_path) == []


def test_what_the_hub_has_not_is_said_with_what_it_has(server, tmp_path):
    on_hub(server, **{f"{x}/train-00000-of-00001.parquet": table(1) for x in ("fa", "he")})
    with pytest.raises(TagdistillError, match="no Parquet files of the split 'dev'") as caught:
        sources.fetch(hub(subset="fa"), "dev", tmp_path, language="fa")
    assert "he/train-00000" in caught.value.hint
    with pytest.raises(TagdistillError, match="in several subsets") as caught:
        sources.fetch(hub(), "train", tmp_path, language="fa")
    assert "fa, he" in caught.value.hint
    with pytest.raises(TagdistillError, match="no such data set at this commit"):
        sources.fetch(hub(dataset="an/other"), "train", tmp_path, language="fa")
    server.files[f"/api/datasets/an/ner/revision/{COMMIT}?blobs=true"] = b"<html>"
    with pytest.raises(TagdistillError, match="no list of files"):
        sources.fetch(hub(), "train", tmp_path, language="fa")
    assert files(tmp_path) == []


# -- what is refused before any request


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (french(release="master"), "release"),
        (french(release=None), "release"),
        (french(treebank=None), "treebank"),
        (french(treebank="French"), "treebank"),
        (french(treebank="../x-y"), "treebank"),
        (french(treebank="French-Sequoia/../x"), "treebank"),
        (hub(revision="main"), "revision"),
        (hub(revision="0123456"), "revision"),
        (hub(revision=None), "revision"),
        (hub(dataset="../../etc"), "dataset"),
        (hub(dataset="name"), "dataset"),
        (hub(subset="../x"), "subset"),
        (hub(subset="a/b"), "subset"),
        (Language(source="wikiann", code="../fa"), "code"),
    ],
)
def test_what_is_not_pinned_or_leaves_its_folder_is_refused(server, tmp_path, settings, key):
    with pytest.raises(ConfigError) as caught:
        sources.fetch(settings, "train", tmp_path, language="fr")
    assert caught.value.where == f"languages.fr.{key}" and server.asked == [] and files(tmp_path) == []


# -- files of one's own


def test_a_path_is_used_in_place(tmp_path):
    (tmp_path / "a.conll").write_text("a O\n")
    language = Language(train="a.conll", dev="b.conll", test=".")
    assert sources.fetch(language, "train", tmp_path / "out", root=tmp_path) == tmp_path / "a.conll"
    assert not (tmp_path / "out").exists()
    for split, what in (("dev", "no such file"), ("test", "is a folder")):
        with pytest.raises(DataError, match=what) as caught:
            sources.fetch(language, split, tmp_path / "out", language="fr", root=tmp_path)
        assert caught.value.where == f"languages.fr.{split}" and "root" in caught.value.hint
    with pytest.raises(ConfigError, match="no 'unlabelled' split"):
        sources.fetch(language, "unlabelled", tmp_path / "out")


ASKED = [name for name in names_in(SOURCES) if load_source(name).where_to_ask]


@pytest.mark.parametrize("source", ASKED)
def test_what_may_not_be_passed_on_says_where_to_ask(tmp_path, source):
    where = load_source(source).where_to_ask
    assert "may not be passed on" in where and "https://" in where
    (tmp_path / "train.txt").write_text("a O\n")
    language = Language(source=source, train="train.txt", dev="dev.txt")
    assert sources.fetch(language, "train", tmp_path, root=tmp_path) == tmp_path / "train.txt"
    for split in ("dev", "test"):
        with pytest.raises(TagdistillError) as caught:
            sources.fetch(language, split, tmp_path, language="en", root=tmp_path)
        assert where in caught.value.hint
    assert "research use" in licence(language)


def test_a_split_with_a_path_beats_the_source(server, tmp_path):
    (tmp_path / "plain.txt").write_text("un texte\n")
    language = french(unlabelled={"path": "plain.txt", "format": "text"})
    assert sources.fetch(language, "unlabelled", tmp_path / "x", root=tmp_path) == tmp_path / "plain.txt"
    assert server.asked == []


def test_the_demo_needs_no_file(tmp_path):
    assert sources.fetch(Language(source="demo"), "train", tmp_path / "x", language="en") is None


def test_licences_are_named_where_known():
    assert licence(Language(licence="CC BY 4.0")) == "CC BY 4.0"
    assert "UD_French-Sequoia/blob/r2.15/LICENSE" in licence(french())
    assert "huggingface.co/datasets/an/ner" in licence(hub())
    assert "CC0" in licence(Language(source="demo")) and licence(Language()) is None
