"""Folders for what jobs keep as they go."""

import sys
from types import SimpleNamespace

import pytest

from dissent import parts
from dissent.parts import folder_of


@pytest.fixture(autouse=True)
def taken_anew():
    parts._code.cache_clear()
    yield
    parts._code.cache_clear()


def test_a_folder_is_of_all_that_decides(tmp_path, monkeypatch):
    first = folder_of("fine-tuning", {"steps": 3})
    assert folder_of("fine-tuning", {"steps": 3}) == first
    assert folder_of("fine-tuning", {"steps": 4}) != first
    assert folder_of("scratch", {"steps": 3}) != first
    monkeypatch.setitem(sys.modules, "elsewhere", SimpleNamespace(__file__=None))
    assert folder_of("fine-tuning", {"steps": 3}) == first


def test_what_other_code_made_is_not_taken(tmp_path, monkeypatch):
    source = tmp_path / "made.py"
    source.write_text("steps = 3")
    monkeypatch.setitem(sys.modules, "dissent.made", SimpleNamespace(__file__=str(source)))
    first = folder_of("fine-tuning")
    source.write_text("steps = 4")
    assert folder_of("fine-tuning") == first, "what is loaded is what the file was"
    parts._code.cache_clear()
    assert folder_of("fine-tuning") != first
