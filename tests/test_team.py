"""Several processes at one job, as torchrun starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from panda_core.__main__ import main

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def start(workers: int, *arguments: str) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, str(workers), "-m", "panda_core", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def test_two_processes_learn_what_one_does_to_the_last_bit(tmp_path):
    """Three batches for two workers, and fewer appearances than channels: every pass that a fit can make."""
    fit = ["fit", "--layer", "2", "--appearances", "20", "--samples", "70", "--out"]
    together = start(2, *fit, str(tmp_path / "two.safetensors"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # products over several threads are summed in another order
    try:
        assert main([*fit, str(tmp_path / "one.safetensors")]) == 0
    finally:
        torch.set_num_threads(threads)
    _, said = together.communicate(timeout=120)
    assert together.returncode == 0, said.decode()
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_worker_ends_the_run_with_one_sentence(tmp_path):
    run = start(2, "fit", "--layer", "5", "--samples", "100000", "--out", str(tmp_path / "never.safetensors"))
    said = b""
    while b"sampling" not in said:
        piece = os.read(run.stderr.fileno(), 1000)
        assert piece, said.decode()
        said += piece
    workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    said += run.communicate(timeout=120)[1]
    assert run.returncode != 0
    lines = said.decode().replace("\r", "\n").split("\n")
    assert [line for line in lines if line.startswith("panda_core:")] == [
        "panda_core: Another worker ended before the samples were drawn. Nothing was written; "
        "the same command starts again."
    ]
    assert not list(tmp_path.iterdir())
