"""Archives that mean harm, or are broken: nothing but the one file that was asked for is ever written."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagdistill.data.archives import extract, tar_member
from tagdistill.errors import DataError


def packed(path, members, **modes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            item = zipfile.ZipInfo(name)
            item.compress_type = zipfile.ZIP_DEFLATED
            item.external_attr = modes.get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(item, body)
    return path


def test_a_member_is_written_where_it_is_asked_for(tmp_path):
    archive = packed(tmp_path / "a.zip", {"x/y.txt": b"body", "other": b""})
    extract(archive, "x/y.txt", tmp_path / "out" / "file")
    assert (tmp_path / "out" / "file").read_bytes() == b"body"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]


@pytest.mark.parametrize("name", ["../escape", "/tmp/escape", "x/../../escape", "C:\\escape"])
def test_the_names_in_an_archive_are_no_paths(tmp_path, name):
    archive = packed(tmp_path / "a.zip", {name: b"harm", "good": b"body"})
    extract(archive, "good", tmp_path / "in" / "file")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "file", "in"]
    extract(archive, name, tmp_path / "in" / "file")  # even by its own name it goes where we say
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "file", "in"]


def test_a_member_may_lie_in_any_folder_but_only_once(tmp_path):
    archive = packed(tmp_path / "a.zip", {"deep/er/file": b"body", "deep/other-file": b"", "profile": b""})
    extract(archive, "file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"body"
    archive = packed(tmp_path / "b.zip", {"a/file": b"", "b/file": b""})
    with pytest.raises(DataError, match="has 2 files 'file'"):
        extract(archive, "file", tmp_path / "out")


def test_a_link_in_an_archive_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", {"link": b"/etc/passwd"}, link=stat.S_IFLNK | 0o777)
    with pytest.raises(DataError, match="is a link or a folder"):
        extract(archive, "link", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_member_that_grows_too_large_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", {"big": bytes(5_000_000)})
    assert archive.stat().st_size < 10_000
    with pytest.raises(DataError, match="unpacks to more than 1,000,000 bytes"):
        extract(archive, "big", tmp_path / "file", limit=1_000_000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_a_member_that_lies_about_its_size_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", {"big": bytes(5_000_000)})
    data = archive.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(data)
    with pytest.raises(DataError):
        extract(archive, "big", tmp_path / "file", limit=1_000_000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_a_member_that_is_not_there_is_named_with_those_that_are(tmp_path):
    archive = packed(tmp_path / "a.zip", {"x/esp.train": b""})
    with pytest.raises(DataError, match=r"no file 'x/esp\.trian'") as caught:
        extract(archive, "x/esp.trian", tmp_path / "file")
    assert "Did you mean 'x/esp.train'?" in caught.value.hint


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=30), place=st.integers(0, 200))
def test_no_damage_to_a_zip_crashes(tmp_path, data, place):
    whole = packed(tmp_path / "a.zip", {"m": b"body" * 20}).read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[:place] + data + whole[place + len(data) :])
    try:
        extract(tmp_path / "b.zip", "m", tmp_path / "file")
    except DataError:
        assert not list(tmp_path.glob(".file*"))


def tar(**kinds):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, (kind, body) in kinds.items():
            item = tarfile.TarInfo(f"deep/{name}")
            item.type, item.size, item.linkname = kind, len(body), "/etc/passwd"
            archive.addfile(item, io.BytesIO(body))
    data.seek(0)
    return data


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_only_regular_files_of_a_tar_are_read(kind):
    with pytest.raises(DataError, match="no file 'train'"), tar_member(tar(train=(kind, b"")), "train", "x.tar.gz"):
        pass


def test_a_file_that_a_tar_has_twice_is_refused():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for folder, body in (("a", b"one"), ("b", b"two!")):
            item = tarfile.TarInfo(f"{folder}/train")
            item.size = len(body)
            archive.addfile(item, io.BytesIO(body))
    data.seek(0)
    with pytest.raises(DataError, match="has 2 files 'train'"), tar_member(data, "train", "x.tar.gz"):
        pass


def test_a_file_of_a_tar_above_the_limit_is_not_read():
    whole = tar(train=(tarfile.REGTYPE, bytes(100)))
    with pytest.raises(DataError, match="no file 'train'"), tar_member(whole, "train", "x.tar.gz", limit=99):
        pass
    whole.seek(0)
    with tar_member(whole, "train", "x.tar.gz", limit=100) as file:
        assert file.read() == bytes(100)
