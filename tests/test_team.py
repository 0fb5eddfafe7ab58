"""Several processes at one fit, in the places that torchrun gives them (test_ranking.py has torchrun itself)."""

import os
import socket
import subprocess
import sys

import torch
from safetensors.torch import load_file

from panda_core.__main__ import main


def start(workers: int, *arguments: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(workers), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "panda_core", *arguments]
    return [
        subprocess.Popen(
            command, env=os.environ | shared | {"RANK": str(i), "LOCAL_RANK": str(i)}, stderr=subprocess.PIPE
        )
        for i in range(workers)
    ]


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
    for worker in together:
        said = worker.communicate(timeout=300)[1]
        assert worker.returncode == 0, said.decode()
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_a_killed_worker_ends_the_others_with_one_sentence(tmp_path):
    first, second = start(2, "fit", "--layer", "5", "--samples", "100000", "--out", str(tmp_path / "never.safetensors"))
    said = b""
    while b"sampling" not in said:
        piece = os.read(first.stderr.fileno(), 1000)
        assert piece, said.decode()
        said += piece
    second.kill()
    second.communicate()
    said += first.communicate(timeout=300)[1]
    assert first.returncode == 1
    assert said.decode().rpartition("panda_core: ")[2] == (
        "Another worker ended before the samples were drawn. Nothing was written; the same command starts again.\n"
    )
    assert b"Traceback" not in said and not list(tmp_path.iterdir())
