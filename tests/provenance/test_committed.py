"""What git is found to have of files, in repositories made for it."""

from pathlib import Path

import pytest

from dissent.commandline import InputError
from dissent.provenance import committed
from own_git import git

NAMES = [
    *("Snakefile", "workflow/rules/a.smk", "config/demo.yaml", "src/toy/a b.py", "ü.txt"),
    *('"quoted".py', "back\\slash.py", "two\nlines.py", "dvc.lock", "README.md", "docs/a.svg"),
    *("tests/test_a.py", "workflow/README.md"),
]
EXEMPT = {"dvc.lock", "README.md", "docs/a.svg", "tests/test_a.py", "workflow/README.md"}


@pytest.fixture(params=["the repository", "a folder in it"])
def repository(request, project, monkeypatch) -> Path:
    """A project all of which is committed; it is the working directory."""
    git("init", "--quiet")
    if request.param != "the repository":
        Path("inner").mkdir()
        Path("beside.py").write_text("of another project")
        monkeypatch.chdir("inner")
    for name in NAMES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"content of {name}")
    Path("link").symlink_to("./Snakefile")
    git("add", "--all", ".")
    git("commit", "--quiet", "--message", "first")
    return Path.cwd()


def test_of_committed_files_nothing_is_said(repository):
    assert committed.tracked_files() == dict.fromkeys([*NAMES, "link"], True)
    assert committed.uncommitted(committed.tracked_files()) == []


@pytest.mark.parametrize("hide", [None, "--assume-unchanged", "--skip-worktree"])
@pytest.mark.parametrize("change", ["edited", "deleted", "a folder now"])
def test_every_edited_file_is_found_though_gits_index_is_told_to_look_away(
    repository, hide, change
):
    for name in NAMES:
        if hide:
            git("update-index", hide, "--", name)
        Path(name).unlink()
        if change == "edited":
            Path(name).write_text(f"Content of {name}")
        elif change == "a folder now":
            Path(name).mkdir()
    tracked = committed.tracked_files()
    assert tracked == dict.fromkeys(NAMES, False) | {"link": True}
    edited = committed.uncommitted(tracked)
    assert sorted(edited) == sorted(set(NAMES) - EXEMPT)


def test_a_link_to_something_else_and_a_file_only_staged_are_not_committed(repository):
    Path("link").unlink()
    Path("link").symlink_to("Snakefile")
    Path("new.py").write_text("new")
    git("add", "--all", ".")
    assert sorted(committed.uncommitted(committed.tracked_files())) == ["link", "new.py"]


def test_the_config_that_was_named_and_what_it_names_have_to_be_committed(
    repository, make_job, make_record
):
    Path("config/mine.yaml").write_text(
        "run: mine\nmodels: config/mine.csv\n"
        f"data: [{{location: scans.csv}}, config, not-there.csv, {'long' * 100}, 1]\n"
    )
    for name in ("config/mine.csv", "scans.csv"):
        Path(name).write_text("of mine")
    # What a job reads is a leaf of its chain, which may be pinned instead.
    reading = make_job(make_record(), inputs={"scans.csv": "scans.csv"})
    files = committed.config_files("config/mine.yaml", [reading])
    assert committed.uncommitted(committed.tracked_files(), files) == [
        "config/mine.yaml",
        "config/mine.csv",
    ]
    git("add", "--all", ".")
    git("commit", "--quiet", "--message", "second")
    assert committed.uncommitted(committed.tracked_files(), files) == []
    there = [str(repository / "config/mine.yaml")]
    assert committed.uncommitted(committed.tracked_files(), there) == []


def test_no_config_that_was_not_named_is_asked_for():
    assert committed.config_files(None, []) == []


def test_without_a_commit_git_itself_says_why(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    with pytest.raises(InputError, match=r"\(fatal: not a git repository"):
        committed.tracked_files()
    git("init", "--quiet")
    with pytest.raises(InputError, match=r"\(fatal: Not a valid object name HEAD"):
        committed.tracked_files()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(InputError, match=r"safe\.directory"):
        committed.tracked_files()
    monkeypatch.setenv("PATH", str(project))
    with pytest.raises(InputError, match=r"\(it cannot be run, No such file"):
        committed.tracked_files()
