"""One file out of an archive, and no way for the archive to say where anything is written."""

import io
import re
import tarfile
import zipfile

import numpy as np
import pytest

from dissent.archives import unpack_member
from dissent.commandline import InputError

CONTENT = np.random.default_rng(0).bytes(300_000)

MEMBERS = {
    "a/b/model.csv": CONTENT,
    "other.csv": b"other",
    "../evil": b"evil",
    "/absolute": b"evil",
}


def make_zip(path, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.mkdir("folder")


def make_tar(path, mode):
    with tarfile.open(path, mode) as archive:
        for name, content in MEMBERS.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        kinds = {"link": "SYM", "hard": "LNK", "device": "CHR", "pipe": "FIFO", "folder": "DIR"}
        for name, kind in kinds.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = getattr(tarfile, f"{kind}TYPE"), "other.csv"
            archive.addfile(entry)


ARCHIVES = {
    "zip": make_zip,
    "stored.zip": lambda path: make_zip(path, zipfile.ZIP_STORED),
    **{end: lambda path, end=end: make_tar(path, f"w:{end}") for end in ("", "gz", "bz2", "xz")},
}


@pytest.fixture(params=ARCHIVES)
def archive(request, tmp_path):
    # The name says nothing of the kind.
    ARCHIVES[request.param](tmp_path / "archive")
    return tmp_path / "archive"


def test_a_member_is_unpacked_and_nothing_else(archive, tmp_path):
    unpack_member(archive, "a/b/model.csv", tmp_path / "new" / "out.csv")
    assert (tmp_path / "new" / "out.csv").read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["archive", "new", "out.csv"]


@pytest.mark.parametrize("member", ["../evil", "a/../../evil", "/absolute", "..", "/"])
def test_a_name_that_leads_out_of_the_archive_is_refused(archive, tmp_path, member):
    refused(archive, member, tmp_path, "leads out of the archive")


@pytest.mark.parametrize("member", ["link", "hard", "device", "pipe", "folder", "folder/"])
def test_what_is_no_plain_file_is_refused(archive, tmp_path, member):
    here = "is a link, folder or device|has no"
    refused(archive, member, tmp_path, here if member not in ("link",) else "is a link")


@pytest.mark.parametrize("member", ["model.csv", "a/b/modle.csv", "./a/b/model.csv"])
def test_an_absent_member_is_told_with_what_is_close(archive, tmp_path, member):
    refused(archive, member, tmp_path, f"has no '{re.escape(member)}', but 'a/b/model.csv'")


def refused(archive, member, folder, words):
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match=words) as caught:
        unpack_member(archive, member, folder / "out.csv")
    assert str(caught.value).startswith(str(archive)) and "\n" not in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def test_of_two_members_of_one_name_the_last_counts(tmp_path):
    with tarfile.open(tmp_path / "archive", "w") as archive:
        for content in (b"old", b"new"):
            entry = tarfile.TarInfo("model.csv")
            entry.size = 3
            archive.addfile(entry, io.BytesIO(content))
    unpack_member(tmp_path / "archive", "model.csv", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"new"


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path):
    make_zip(tmp_path / "inner")
    with tarfile.open(tmp_path / "archive", "w") as archive:
        archive.add(tmp_path / "inner", "inner.zip")
    assert zipfile.is_zipfile(tmp_path / "archive")
    unpack_member(tmp_path / "archive", "inner.zip", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "inner").read_bytes()


def test_no_damage_makes_a_traceback_or_half_a_file(archive, tmp_path):
    whole = archive.read_bytes()
    random = np.random.default_rng(0)
    for place in [*random.integers(len(whole), size=20), *range(0, 400, 20)]:
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        for damaged in (flipped, whole[:place]):
            archive.write_bytes(damaged)
            try:
                unpack_member(archive, "a/b/model.csv", tmp_path / "out")
            except InputError as error:
                assert str(error).startswith(str(archive)) and "\n" not in str(error)
                assert not (tmp_path / "out").exists()
            else:
                assert (tmp_path / "out").stat().st_size == len(CONTENT)
                (tmp_path / "out").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


@pytest.mark.parametrize("content", [b"", b"id,predicted\n1,2\n", CONTENT])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "archive").write_bytes(content)
    refused(tmp_path / "archive", "a", tmp_path, "give a zip or tar archive")


def test_an_encrypted_or_missing_archive_is_told(tmp_path):
    make_zip(tmp_path / "archive")
    encrypted = (tmp_path / "archive").read_bytes()
    # The flag of each entry, in its own header and in the archive's table.
    encrypted = re.sub(
        rb"(PK\x03\x04..)\x00", lambda match: match[1] + b"\x01", encrypted, flags=re.S
    )
    encrypted = re.sub(
        rb"(PK\x01\x02....)\x00", lambda match: match[1] + b"\x01", encrypted, flags=re.S
    )
    (tmp_path / "archive").write_bytes(encrypted)
    refused(tmp_path / "archive", "other.csv", tmp_path, "is encrypted")
    with pytest.raises(InputError, match=r"No such file or directory: '.*/nowhere'"):
        unpack_member(tmp_path / "nowhere", "a", tmp_path / "out")
