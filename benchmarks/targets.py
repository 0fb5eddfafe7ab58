"""Which generator a benchmark runs on: one of the registry, a file, a stand-in of random weights, or a tiny one."""

import argparse
from pathlib import Path

import torch

from panda_core.catalogue import Catalogue, Loaded
from panda_core.checkpoints.load import load_generator
from panda_core.generators.biggan import BigGAN
from panda_core.generators.split import weights_hash
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.runtime.allocator import keep_freed_memory

STAND_INS = {  # published networks' shapes with random weights; the seed of the weights is 0
    "stylegan2-1024": lambda: StyleGAN2([min(2**15 // 2**k, 512) for k in range(2, 11)]),
    "biggan-deep-128": lambda: BigGAN(BLOCKS),
}
BLOCKS = [(False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8),
          (True, 8, 4), (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1)]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ("tiny", *STAND_INS)
    parser.add_argument("--generator", default="portraits", help=f"registry name, file, or {', '.join(names)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")


def prepare(args: argparse.Namespace) -> Loaded:
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    if args.generator == "tiny":
        generator = StyleGAN2.tiny(0)
    elif args.generator in STAND_INS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            generator = STAND_INS[args.generator]().eval().requires_grad_(False)
    elif Path(args.generator).is_file():
        generator = load_generator(args.generator).eval().requires_grad_(False)
    else:
        generator = Catalogue().generator(args.generator).generator
    return Loaded(generator.to(args.device), weights_hash(generator))
