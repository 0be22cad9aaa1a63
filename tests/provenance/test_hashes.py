"""The cache of digests, against hashlib after every kind of writing that keeps a file's looks."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissent.files import sha256
from dissent.provenance import hashes
from dissent.provenance.hashes import CACHE, file_sha256, remember
from dissent.provenance.snakemake_internals import METADATA, write_metadata

LARGE = 100


@pytest.fixture(autouse=True)
def small_files_are_cached(project, monkeypatch):
    monkeypatch.setattr(hashes, "CACHED_FROM_BYTES", LARGE)


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The files whose content is read from now on."""
    read = []

    def counted(path):
        read.append(str(path))
        return sha256(path)

    monkeypatch.setattr(hashes, "sha256", counted)
    return read


def digest(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def large(letter: str) -> bytes:
    return letter.encode() * LARGE


def put_times_back(path: Path, status: os.stat_result) -> None:
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def write_in_place(path: Path, other: Path, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(data)


def write_in_place_and_put_times_back(path: Path, other: Path, data: bytes) -> None:
    before = path.stat()
    write_in_place(path, other, data)
    put_times_back(path, before)


def replace_and_put_times_back(path: Path, other: Path, data: bytes) -> None:
    before = path.stat()
    Path("new").write_bytes(data)
    os.replace("new", path)
    put_times_back(path, before)


def delete_and_write(path: Path, other: Path, data: bytes) -> None:
    # The new file is often given the same inode.
    before = path.stat()
    path.unlink()
    path.write_bytes(data)
    put_times_back(path, before)


def swap(path: Path, other: Path, data: bytes) -> None:
    path.rename("between")
    other.rename(path)
    Path("between").rename(other)


def copy(path: Path, other: Path, data: bytes) -> None:
    shutil.copy2(other, path)


def link(path: Path, other: Path, data: bytes) -> None:
    os.link(path, "link")
    write_in_place_and_put_times_back(Path("link"), other, data)
    Path("link").unlink()


def set_old_time(path: Path, other: Path, data: bytes) -> None:
    os.utime(path, (946684800, 946684800))


def job_begins() -> float:
    Path("marker").write_text("begun")
    return Path("marker").stat().st_mtime


def job_ends(path: Path | str, start: float) -> None:
    """As Snakemake ends a job: touch the output, and note its time."""
    os.utime(path)
    write_metadata(str(path), {"starttime": start, "endtime": Path(path).stat().st_mtime})


def touch_by_snakemake(path: Path, other: Path, data: bytes) -> None:
    # As with --touch: whatever was done before, and without a recorder.
    job_ends(path, job_begins())


def remake_by_snakemake(path: Path, other: Path, data: bytes) -> None:
    start = job_begins()
    path.unlink()
    path.write_bytes(data)
    file_sha256(path)
    job_ends(path, start)


def damage_cache(path: Path, other: Path, data: bytes) -> None:
    for entry in CACHE.glob("*"):
        entry.write_bytes(b"{half")


def shrink(path: Path, other: Path, data: bytes) -> None:
    os.truncate(path, LARGE - 1)


def grow(path: Path, other: Path, data: bytes) -> None:
    path.write_bytes(data * 2)


OPERATIONS = [
    *(write_in_place, write_in_place_and_put_times_back, replace_and_put_times_back),
    *(delete_and_write, swap, copy, link, set_old_time, touch_by_snakemake, remake_by_snakemake),
    *(damage_cache, shrink, grow),
]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(OPERATIONS), st.booleans(), st.sampled_from("abc"), st.booleans()
        ),
        max_size=8,
    )
)
def test_whatever_is_done_to_files_the_digest_is_hashlibs(steps):
    for folder in (METADATA, CACHE):
        shutil.rmtree(folder, ignore_errors=True)
    one, two = Path("one"), Path("two")
    for path in (one, two):
        path.write_bytes(large("a"))
    assert file_sha256(one) == digest(one)
    for operation, of_one, letter, hash_between in steps:
        operation(*((one, two) if of_one else (two, one)), large(letter))
        if hash_between:
            assert [file_sha256(one), file_sha256(two)] == [digest(one), digest(two)]
    assert [file_sha256(one), file_sha256(two)] == [digest(one), digest(two)]


@pytest.mark.parametrize("first", OPERATIONS)
@pytest.mark.parametrize("second", [None, touch_by_snakemake, set_old_time])
def test_no_single_way_of_writing_gets_past_a_warm_cache(first, second):
    one, two = Path("one"), Path("two")
    one.write_bytes(large("a"))
    two.write_bytes(large("b"))
    assert [file_sha256(one), file_sha256(two)] == [digest(one), digest(two)]
    first(one, two, large("c"))
    if second:
        second(one, two, large("c"))
    assert [file_sha256(one), file_sha256(two)] == [digest(one), digest(two)]


def test_large_files_are_read_once_and_small_ones_each_time(reads):
    for name, data in {"a": large("a"), "b": large("b"), "small": large("c")[:-1]}.items():
        Path(name).write_bytes(data)
    for _ in range(3):
        for name in ("a", "b", "small"):
            assert file_sha256(name) == digest(name)
    assert file_sha256(Path("a")) == digest("a")
    assert reads == ["a", "b", "small", "small", "small"]


def test_a_file_changed_in_place_with_its_size_and_times_put_back_is_read_again(reads):
    Path("file").write_bytes(large("a"))
    before = file_sha256("file")
    write_in_place_and_put_times_back(Path("file"), Path("file"), large("b"))
    assert file_sha256("file") == digest("file") != before
    assert reads == ["file", "file"]


def test_an_output_hashed_during_its_job_is_not_read_again_after_snakemakes_touch(reads):
    start = job_begins()
    Path("file").write_bytes(large("a"))
    file_sha256("file")
    job_ends("file", start)
    assert [file_sha256("file") for _ in range(3)] == [digest("file")] * 3
    assert reads == ["file"]
    # Its times are known from here on, so that metadata are not needed any more.
    shutil.rmtree(METADATA)
    file_sha256("file")
    assert reads == ["file"]


@pytest.mark.parametrize("change", [replace_and_put_times_back, grow, copy])
def test_an_output_replaced_or_resized_after_the_recorder_hashed_it_is_read_again(change):
    """As by a script that outlives the recorder."""
    Path("other").write_bytes(large("b") + b"b")
    start = job_begins()
    Path("file").write_bytes(large("a"))
    file_sha256("file")
    change(Path("file"), Path("other"), large("b"))
    job_ends("file", start)
    assert file_sha256("file") == digest("file")


def test_a_file_written_to_while_it_is_read_is_read_again(monkeypatch):
    def read_and_change(path):
        found = sha256(path)
        Path(path).write_bytes(large("b"))
        monkeypatch.setattr(hashes, "sha256", sha256)
        return found

    Path("file").write_bytes(large("a"))
    monkeypatch.setattr(hashes, "sha256", read_and_change)
    assert file_sha256("file") == hashlib.sha256(large("a")).hexdigest()
    assert file_sha256("file") == hashlib.sha256(large("b")).hexdigest()


def test_a_touch_that_snakemake_did_not_note_makes_the_file_read_again(reads):
    start = job_begins()
    Path("file").write_bytes(large("a"))
    file_sha256("file")
    job_ends("file", start)
    os.utime("file")
    assert file_sha256("file") == digest("file")
    assert reads == ["file", "file"]


def test_a_remembered_digest_counts_without_reading_until_the_file_is_written_to(reads):
    Path("file").write_bytes(large("a"))
    remember("file", "given", Path("file").stat())
    assert file_sha256("file") == "given"
    assert reads == []
    write_in_place_and_put_times_back(Path("file"), Path("file"), large("b"))
    assert file_sha256("file") == digest("file")


def test_nothing_is_remembered_of_a_small_file():
    Path("file").write_bytes(large("a")[:-1])
    remember("file", "given", Path("file").stat())
    assert file_sha256("file") == digest("file")
    assert not CACHE.exists()


@pytest.mark.parametrize("garbage", [b"", b"\0" * 50, b'{"sha256": "', b"\xff\xfe"])
def test_a_damaged_cache_is_as_none(reads, garbage):
    Path("file").write_bytes(large("a"))
    file_sha256("file")
    (entry,) = CACHE.iterdir()
    entry.write_bytes(garbage)
    assert file_sha256("file") == file_sha256("file") == digest("file")
    assert reads == ["file", "file"]


def test_content_is_read_when_any_later_writing_would_show_in_the_files_times(monkeypatch):
    ages = []

    def aged(path):
        ages.append(time.time() - Path(path).stat().st_ctime)
        return sha256(path)

    monkeypatch.setattr(hashes, "sha256", aged)
    for letter in "abc":
        Path("file").write_bytes(large(letter))
        file_sha256("file")
    # Linux takes the time of a file from a clock that ticks every 10 ms at the slowest.
    assert len(ages) == 3
    assert min(ages) > 0.01


def test_a_link_is_as_the_file_it_leads_to():
    Path("file").write_bytes(large("a"))
    Path("link").symlink_to("file")
    assert file_sha256("link") == digest("file")
    write_in_place_and_put_times_back(Path("file"), Path("file"), large("b"))
    assert file_sha256("link") == digest("file")


def test_a_missing_file_is_said_to_be_missing_though_it_was_known():
    Path("file").write_bytes(large("a"))
    file_sha256("file")
    Path("file").unlink()
    with pytest.raises(FileNotFoundError):
        file_sha256("file")


@pytest.mark.parametrize("obstacle", ["a file in place of the folder", "a folder in the entry's"])
def test_a_cache_that_cannot_be_written_fails_nobody(obstacle):
    path = Path("file")
    path.write_bytes(large("a"))
    if obstacle.startswith("a file"):
        CACHE.parent.mkdir()
        CACHE.write_text("in the way")
    else:
        entry = CACHE / f"{hashlib.sha256(b'file').hexdigest()}.json"
        (entry / "in the way").mkdir(parents=True)
    remember(path, digest(path), path.stat())
    assert file_sha256(path) == digest(path)
    path.write_bytes(large("b"))
    assert file_sha256(path) == digest(path)
