"""How long does an edit take? Head and tail of every family at its real size, with random weights.

`python -m benchmarks.tail_families [NETWORK ...] [--device cuda] [--dtype float16] [--batches 1 4 16]` prints a table:
the tail for so many edits of one picture (which share its styles) beside that for as many different pictures.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch

from panda_core.generators.biggan import BigGAN
from panda_core.generators.pggan import PGGAN
from panda_core.generators.split import SplitGenerator
from panda_core.generators.stylegan1 import StyleGAN1
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.generators.stylegan3 import StyleGAN3, plan_bands

BLOCKS = [(False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8)]
BLOCKS_128 = [*BLOCKS, (True, 8, 4), (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1)]
BLOCKS_256 = [*BLOCKS, (True, 8, 8), (False, 8, 8), *BLOCKS_128[5:]]
BLOCKS_512 = [*BLOCKS_256, (False, 1, 1), (True, 1, 1)]


def widths(resolution: int, base: int) -> list[int]:
    """Channels at 4, 8, ... pixels, as published: base / resolution, at most 512."""
    return [min(base // 2**k, 512) for k in range(2, resolution.bit_length())]


def stylegan3(resolution: int, kernel: int) -> StyleGAN3:
    base, most = (32768, 512) if kernel == 3 else (65536, 1024)
    channels = [round(min(base / 2 / band.cutoff, most)) for band in plan_bands(resolution, 14)][:-1]
    channels.append(channels[-1])
    return StyleGAN3(resolution, channels, kernel=kernel, is_radial=kernel == 1)


NETWORKS: dict[str, Callable[[], SplitGenerator]] = {
    "pggan-1024": lambda: PGGAN(widths(1024, 16384)),
    "stylegan1-1024": lambda: StyleGAN1(widths(1024, 16384)),
    "stylegan2-256": lambda: StyleGAN2(widths(256, 32768)),
    "stylegan2-1024": lambda: StyleGAN2(widths(1024, 32768)),
    "stylegan3-t-256": lambda: stylegan3(256, 3),
    "stylegan3-t-1024": lambda: stylegan3(1024, 3),
    "stylegan3-r-1024": lambda: stylegan3(1024, 1),
    "biggan-deep-128": lambda: BigGAN(BLOCKS_128),
    "biggan-deep-256": lambda: BigGAN(BLOCKS_256),
    "biggan-deep-512": lambda: BigGAN(BLOCKS_512),
}


def clock(work: Callable[[], object], device: torch.device, repeats: int) -> tuple[float, float]:
    """Median and spread (largest minus smallest) in seconds, after one run that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), max(times[1:]) - min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--layers", nargs="+", type=int, help="default: all editable ones")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if unknown := set(args.networks) - NETWORKS.keys():
        parser.error(f"unknown network {', '.join(sorted(unknown))}; known are {', '.join(NETWORKS)}")
    print(f"{args.device} {args.dtype}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("network            layer  features          head ms     | per batch: edits of one picture ms, pictures ms")
    for name in args.networks or ["stylegan2-256"]:
        torch.manual_seed(0)
        generator = NETWORKS[name]().eval().requires_grad_(False).to(args.device)
        autocast = torch.autocast(args.device.type, getattr(torch, args.dtype), enabled=args.dtype != "float32")
        one = generator.sample([0], 0.7, 0 if generator.n_classes else None)
        with torch.inference_mode(), autocast:
            for layer in args.layers or generator.editable_layers:
                median, spread = clock(lambda: generator.head(one, layer), args.device, args.repeats)  # noqa: B023
                shape = "x".join(map(str, generator.layers[layer]))
                line = f"{name:18} {layer:5}  {shape:16} {median * 1e3:7.0f} ± {spread * 1e3:<4.0f}|"
                for n in args.batches:
                    cut = generator.head(one, layer)
                    edits = cut.with_features(cut.features.expand(n, -1, -1, -1).contiguous())
                    many = generator.sample(range(n), 0.7, 0 if generator.n_classes else None)
                    pictures = generator.head(many, layer)
                    for batch in (edits, pictures):
                        median, spread = clock(lambda: generator.tail(batch), args.device, args.repeats)  # noqa: B023
                        line += f" {median * 1e3:7.0f} ± {spread * 1e3:<4.0f}"
                    line += "|"
                print(line, flush=True)
        if args.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(args.device)
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # of the process: one network a run
        print(f"{name}: peak memory {peak / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
