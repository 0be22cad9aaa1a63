import os
import subprocess
import sys

import pytest
import torch

from dissent import gpu_slots
from dissent.commandline import InputError
from dissent.gpu_slots import VISIBLE, device_for, taken, visible

HOLDER = """
import sys
from pathlib import Path
from dissent.gpu_slots import taken
print(taken(sys.argv[2].split(","), Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """Start other jobs of this user, which take a GPU until they end."""
    started = []

    def start(devices):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), ",".join(devices)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": "src"},
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_jobs_beside_each_other_get_different_gpus_and_give_them_back(hold, tmp_path, monkeypatch):
    first, of_first = hold(["0", "1"])
    _, of_second = hold(["0", "1"])
    assert (of_first, of_second) == ("0", "1")

    def once_more(_):
        first.kill()
        first.wait()

    monkeypatch.setattr(gpu_slots, "sleep", once_more)
    monkeypatch.setattr(gpu_slots, "_held", [])
    assert taken(["0", "1"], tmp_path) == "0"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("2, 3", ["2", "3"]),
        ("", []),
        ("-1", []),
        ("GPU-8932f937,MIG-1/2", ["GPU-8932f937", "MIG-1/2"]),
    ],
)
def test_cuda_visible_devices_says_which_there_are(monkeypatch, named, expected):
    monkeypatch.setenv(VISIBLE, named)
    assert visible() == expected


def test_without_it_all_are_there(monkeypatch):
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert visible() == ["0", "1", "2"]


def test_a_job_sees_its_own_gpu_alone(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "4,5")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpu_slots, "_held", [])
    assert device_for(1).type == "cuda"
    assert os.environ[VISIBLE] == "4"


def test_a_job_that_asks_for_none_gets_the_cpu():
    assert device_for(0).type == "cpu"


def test_jobs_of_slurm_have_gpus_of_their_own_that_are_called_alike(hold, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert hold(["0"])[1] == "0"
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    monkeypatch.setattr(gpu_slots, "_held", [])
    assert taken(["0"], tmp_path) == "0"


@pytest.mark.parametrize("named", ["", "0"])
def test_a_job_that_finds_none_fails_with_one_sentence(monkeypatch, tmp_path, named):
    monkeypatch.setenv(VISIBLE, named)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu_slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpu_slots, "_held", [])
    with pytest.raises(InputError, match="asks for a GPU, and torch finds none") as refused:
        device_for(1)
    assert "\n" not in str(refused.value)
