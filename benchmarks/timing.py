"""What every benchmark here needs: a clock that waits for the device, and the line that says on what it ran."""

import os
import platform
import statistics
import time
from collections.abc import Callable

import torch


def measure(action: Callable[[], object], repeats: int = 15, warm_up: int = 3) -> tuple[float, float]:
    """(median, interquartile range) of the seconds that `action` takes."""
    for _ in range(warm_up):
        action()
    seconds = []
    for _ in range(repeats):
        synchronise()
        start = time.perf_counter()
        action()
        synchronise()
        seconds.append(time.perf_counter() - start)
    quarters = statistics.quantiles(seconds, n=4) if repeats > 1 else [seconds[0]] * 3
    return statistics.median(seconds), quarters[2] - quarters[0]


def alternate(actions: list[Callable[[], object]], repeats: int = 20) -> list[float]:
    """The fewest seconds that each action took, all in turns: what else runs on the machine then hits all alike."""
    fastest = [float("inf")] * len(actions)
    for _ in range(repeats + 1):
        for i, action in enumerate(actions):
            synchronise()
            start = time.perf_counter()
            action()
            synchronise()
            fastest[i] = min(fastest[i], time.perf_counter() - start)
    return fastest


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def machine(device: torch.device, dtype: torch.dtype = torch.float32) -> str:
    """Device, dtype, threads, load and versions, in one line for under a table."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    return (
        f"{device.type} ({name}), {str(dtype).removeprefix('torch.')}, {torch.get_num_threads()} threads of "
        f"{os.cpu_count()}, load {load}, torch {torch.__version__}, Python {platform.python_version()}"
    )


def milliseconds(timing: tuple[float, float]) -> str:
    return f"{1e3 * timing[0]:8.1f} ± {1e3 * timing[1]:.1f}"
