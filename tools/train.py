"""Train a bundled generator on a world, in slices of any length.

    python -m tools.train --world scenes --minutes 8       # again and again: it goes on where the last slice stopped
    python -m tools.train --world portraits --unaligned    # on that world's twin in which nothing has a usual place
    python -m tools.train --world scenes --start FILE.safetensors      # a new run from weights, at the full rate again

The folder of a run (runs/NAME) gets checkpoint.pt (weights, their running mean, optimisers, random numbers), log.jsonl
and pairs.png (rows alternate true pictures and the generator's). Ctrl-C and SIGTERM end a slice like its time does.

Fitting. The world knows which picture belongs to which latent, so G is fitted to (z, picture) pairs, at 64, then 128
pixels (on a GPU 256): an L1 with more weight on small parts, on image differences, and at a quarter of the size. At
first with squares beside it: L1 alone never finds what few pictures have, squares alone are soft.

Local swaps. An edit must change a thing, not tint it. So inside the region where the swap (tools/pairs.py) differs from
the picture, the features at layer 3, 5 or 7 go t of the way to those of the partner, under the *styles of the picture*,
and the tail must draw the picture between. So what a part looks like is carried by the features at its place, and
moving them in a straight line moves the part.

Speed. Muon for the modulated convolutions, Adam for the rest. On a GPU a step is one CUDA graph for each swap layer and
size, in bfloat16; so are CPUs that have it (avx512_bf16).
"""

import argparse
import json
import math
import signal
import threading
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from panda_core.checkpoints.load import is_own, one_sentence, read_metadata
from panda_core.generators.split import Cut, Latents
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.images import grid
from panda_core.runtime.allocator import keep_freed_memory
from tools.fast_stylegan2 import FastStyleGAN2
from tools.muon import Muon
from tools.pairs import Batch, Pool, swap_mask
from tools.worlds import WORLDS, World


@dataclass(frozen=True)
class Settings:
    """Everything that a run is made of; kept in its checkpoint."""

    channels: tuple[int, ...] = (192, 192, 192, 96, 48, 32, 16)  # at 4, 8, 16, ... pixels
    z_dim: int = 64
    w_dim: int = 192
    mapping_layers: int = 2
    mapping_width: int = 512
    total_minutes: float = 600.0
    stages: tuple[tuple[int, float], ...] = ((64, 0.0), (128, 0.6))  # (pixels, from this share of the time)
    batch: int = 16  # pictures, each with its swap
    fresh: int = 8  # of them newly drawn; the others come from the pool
    pool: int = 512
    learning_rate: float = 5e-3
    mapping_rate: float = 2000.0  # of its stored weights, relative: they are 100 times as large (multiplier 0.01)
    muon_rate: float = 8.0  # of the convolutions, relative
    warm_up: int = 200  # steps of a stage in which the rate rises
    ema: float = 0.998
    settle_from: float = 0.7  # share of the time after which L1 alone sharpens what squares have found
    swap_layers: tuple[int, ...] = (3, 5, 7)
    held_out: int = 64  # pictures, of seeds 0, 1, 2, ..., that the mean is compared with
    seed: int = 1000  # of what it learns from

    def __post_init__(self):
        resolution, largest = 4 * 2 ** (len(self.channels) - 1), self.stages[-1][0]
        if largest > resolution:
            raise ValueError(
                f"stages go to {largest} pixels; the network's {len(self.channels)} sizes to {resolution}."
            )


def settings_for(device: torch.device) -> Settings:
    """Ten hours of two cores to 128 pixels, or nine minutes of a GPU to 256."""
    if device.type == "cpu":
        return Settings()
    return Settings(
        channels=(256, 256, 256, 128, 64, 32, 16),
        total_minutes=9.0,
        stages=((64, 0.0), (128, 0.15), (256, 0.4)),
        batch=64,
        fresh=32,
        pool=2048,
        muon_rate=3.0,
        settle_from=0.5,
        held_out=256,
    )


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Of activations: bfloat16 where the hardware multiplies it."""
    fast = device.type == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


def device_name(device: torch.device) -> str:
    """For the model card."""
    if device.type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}"
    return f"{torch.get_num_threads()} CPU core(s)"


def last_layer(size: int) -> int:
    """The layer after which the running RGB image has this size."""
    return 2 * int(math.log2(size)) - 3


def fit_loss(made: Tensor, true: Tensor, weight: Tensor, squares: float) -> Tensor:
    """L1 on the picture, on its differences, and on a quarter of its size; and `squares` times squares, since L1 alone,
    with the median as its minimum, leaves out what is there in a few pictures only."""
    error = made - true
    plain = (weight * (error.abs() + squares * error.square())).mean()
    edges = (weight[..., 1:] * error.diff(dim=-1).abs()).mean() + (weight[..., 1:, :] * error.diff(dim=-2).abs()).mean()
    return plain + 0.5 * edges + F.avg_pool2d(error, 4).abs().mean()


def draw(fast: FastStyleGAN2, batch: Batch, layer: int, last: int) -> Tensor:
    """The pictures, then their swaps, [2n, 3, h, w], by the layers up to `last`, swapped at `layer`."""
    n, kernels = len(batch.t), fast.kernels(last)
    cut = fast.advance(fast.start(batch.latents.transpose(0, 1).flatten(0, 1)), layer, kernels)
    Z, Z_partner = cut.features[:n], cut.features[n:]
    mask = swap_mask(batch.pictures, Z.shape[-1])
    swapped = Z + (batch.t[:, None, None, None] * mask).to(Z.dtype) * (Z_partner - Z)
    both = torch.cat([Z, swapped]).contiguous(memory_format=torch.channels_last)
    carry = {key: torch.cat([value[:n], value[:n]]) for key, value in cut.carry.items()}
    return fast.advance(Cut(both, layer, carry), last, kernels).carry["rgb"]


class Run:
    """One training run in a folder. It goes on from the folder's checkpoint, if there is one.

    Args:
        settings, start: of a new run; `start` are weights, as in `StyleGAN2.state_dict()`.
        dtype: of the activations, and in which Muon works.
    Raises: ValueError if the folder's run is on another world.
    """

    def __init__(
        self,
        folder: Path,
        world: World,
        settings: Settings,
        device: torch.device,
        dtype: torch.dtype,
        start: dict[str, Tensor] | None = None,
    ):
        saved = folder / "checkpoint.pt"
        state = torch.load(saved, map_location="cpu", weights_only=True) if saved.exists() else None
        if state:
            if state["world"] != world.name:
                raise ValueError(f"{saved} is of the world {state['world']}; choose another folder for {world.name}.")
            settings = Settings(**state["settings"])
        self.folder, self.world, self.settings, self.device = folder, world, settings, device
        self.largest = settings.stages[-1][0]
        self.generator = _new_generator(settings).to(device)
        if start:
            self.generator.load_state_dict(start)
        self.fast = FastStyleGAN2(self.generator, dtype)
        self.mean = deepcopy(self.generator).requires_grad_(False)
        self.adam, self.muon = self._optimisers(dtype)
        self.pool = Pool(world, settings.pool, settings.fresh, settings.z_dim, self.largest, device, settings.seed)
        self.step, self.minutes, self.size, self.stage_step = 0, 0.0, 0, 0
        self.graphs: dict[tuple, torch.cuda.CUDAGraph] = {}
        self.loss = torch.zeros((), device=device)  # of the last step
        if state:
            self._restore(state)
        else:
            self.pool.fill()
        z = self.mean.sample(range(settings.held_out)).z
        chunks = [world.render(world.factors_of_latents(part), self.largest, 1).images for part in z.split(32)]
        self.held_out = z, torch.cat(chunks)

    def _optimisers(self, dtype: torch.dtype) -> tuple[torch.optim.Adam, Muon]:
        """Every group has its rate in a tensor, which a captured graph reads, and its rate relative to the run's."""
        G, cuda = self.generator, self.device.type == "cuda"
        mapping, kernels = list(G.mapping.parameters()), [conv.weight for conv in G.convs]
        known = {id(p) for p in [*mapping, *kernels]}
        rest = [p for p in G.parameters() if id(p) not in known]

        def group(parameters: list, relative: float) -> dict:
            return {"params": parameters, "lr": torch.zeros((), device=self.device), "relative": relative}

        groups = [group(rest, 1.0), group(mapping, self.settings.mapping_rate)]
        adam = torch.optim.Adam(groups, lr=torch.zeros(()), betas=(0.9, 0.99), fused=True, capturable=cuda)
        muon = Muon([group(kernels, self.settings.muon_rate)], torch.zeros(()), dtype=dtype)
        return adam, muon

    def _restore(self, state: dict) -> None:
        self.generator.load_state_dict(state["generator"])
        self.mean.load_state_dict(state["mean"])
        self.adam.load_state_dict(state["adam"])
        self.muon.load_state_dict(state["muon"])
        for group in (*self.adam.param_groups, *self.muon.param_groups):
            group["lr"] = group["lr"].to(self.device)  # loading leaves it where the file was read to
        self.pool.restore(state["pool"])
        self.step, self.minutes, self.stage_step = state["step"], state["minutes"], state["stage_step"]
        if state["size"]:
            self._use_size(state["size"])

    def save(self) -> None:
        """Write the checkpoint; the one before stays until this one is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "world": self.world.name,
            "settings": asdict(self.settings),
            "generator": self.generator.state_dict(),
            "mean": self.mean.state_dict(),
            "adam": self.adam.state_dict(),
            "muon": self.muon.state_dict(),
            "pool": self.pool.state(),
            "device": device_name(self.device),
            "step": self.step,
            "minutes": self.minutes,
            "size": self.size,
            "stage_step": self.stage_step,
        }
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")

    def _use_size(self, size: int) -> None:
        self.size = size
        self.graphs.clear()
        self.batch = Batch.empty(self.settings.batch, self.settings.z_dim, size, self.device)

    def train_step(self, progress: float) -> None:
        """One step, at this share of the whole time."""
        settings = self.settings
        size = [pixels for pixels, start in settings.stages if progress >= start][-1]
        if size != self.size:
            self._use_size(size)
            self.stage_step = 0
        self._set_rate(progress)
        if self.step % (self.largest // size) == 0:  # drawing costs the same at every size, learning does not
            self.pool.refresh()
        self.pool.take(self.batch)
        layers = [layer for layer in settings.swap_layers if layer < last_layer(size)]
        self._learn(layers[self.step % len(layers)], 0.0 if progress >= settings.settle_from else 1.0)
        self.step += 1
        self.stage_step += 1
        kept = min(settings.ema, self.stage_step / (self.stage_step + 9))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.generator.parameters()):
                mean.lerp_(now, 1 - kept)

    def _set_rate(self, progress: float) -> None:
        """A rise over the first steps of each stage; half a cosine over the last 70 % of the time."""
        warm = min(1.0, (self.stage_step + 1) / self.settings.warm_up)
        decay = 0.5 * (1 + math.cos(math.pi * max(0.0, (progress - 0.3) / 0.7)))
        rate = self.settings.learning_rate * warm * (0.02 + 0.98 * decay)
        for group in (*self.adam.param_groups, *self.muon.param_groups):
            group["lr"].fill_(rate * group["relative"])

    def _learn(self, layer: int, squares: float) -> None:
        """One update from the batch: as a graph on a GPU."""
        if self.device.type == "cpu":
            return self._update(layer, squares)
        key = layer, squares
        if key not in self.graphs:
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(2):  # what is made at first use must be there before the capture
                    self._update(*key)
            torch.cuda.current_stream().wait_stream(aside)
            self.graphs[key] = torch.cuda.CUDAGraph()
            shared = next((graph.pool() for k, graph in self.graphs.items() if k != key), None)
            with torch.cuda.graph(self.graphs[key], pool=shared):
                self._update(*key)
        self.graphs[key].replay()

    def _update(self, layer: int, squares: float) -> None:
        made = draw(self.fast, self.batch, layer, last_layer(self.size))
        true, weight = (x.transpose(0, 1).flatten(0, 1) for x in (self.batch.pictures, self.batch.weight))
        loss = fit_loss(made, true, weight, squares)
        self.loss.copy_(loss.detach())
        for optimiser in (self.adam, self.muon):
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in (self.adam, self.muon):
            optimiser.step()

    @torch.no_grad()
    def compare(self) -> float:
        """Held-out L1 of the mean, by the module's own forward at the size of now; and pairs.png of seeds 0 to 31."""
        z, pictures = self.held_out
        true = F.avg_pool2d(pictures, self.largest // self.size)
        heads = [self.mean.head(Latents(part), last_layer(self.size)) for part in z.split(32)]
        made = torch.cat([cut.carry["rgb"] for cut in heads])
        rows = [both[first : first + 8] for first in range(0, min(32, len(z)), 8) for both in (true, made)]
        grid(torch.cat(rows), 8).save(self.folder / "pairs.png")
        return (made - true).abs().mean().item()

    def report(self, milliseconds: float) -> None:
        """Checkpoint, pairs and a line in the log. Raises: FloatingPointError if the loss is not finite."""
        if not torch.isfinite(self.loss):
            raise FloatingPointError(f"The loss is {self.loss} at step {self.step}; the last checkpoint is intact.")
        self.save()
        line = {"step": self.step, "minutes": round(self.minutes, 2), "size": self.size, "ms": round(milliseconds, 1),
                "loss": round(self.loss.item(), 4), "held_out_l1": round(self.compare(), 5)}  # fmt: skip
        print(json.dumps(line), flush=True)
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def run(self, minutes: float, report_every: float, stop: threading.Event) -> None:
        """Train until `minutes` or the run are over, or `stop` is set; report every so many minutes, and at the end."""
        began = last = reported = time.monotonic()
        step = self.step
        while not stop.is_set() and last - began < 60 * minutes and self.minutes < self.settings.total_minutes:
            self.train_step(self.minutes / self.settings.total_minutes)
            if self.device.type == "cuda" and self.step % 50 == 0:
                torch.cuda.synchronize()  # or the clock would run ahead of the work
            now = time.monotonic()
            self.minutes, last = self.minutes + (now - last) / 60, now
            if now - reported >= 60 * report_every:
                self.report(1000 * (now - reported) / (self.step - step))
                last = reported = time.monotonic()
                step = self.step
        if self.step > step:
            self.report(1000 * (last - reported) / (self.step - step))


def _new_generator(settings: Settings) -> StyleGAN2:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = StyleGAN2(
            settings.channels, settings.z_dim, settings.w_dim, settings.mapping_layers, settings.mapping_width
        )
    for rgb in generator.to_rgb[1:]:
        rgb.weight.data.zero_()  # a new resolution starts as the enlarged old one
    return generator


def settings_of_weights(settings: Settings, weights: dict[str, Tensor]) -> Settings:
    """The settings, with the shape of a network whose weights these are.

    Raises: ValueError if they are not those of a StyleGAN2 of ours.
    """
    try:
        count = sum(key.endswith(".noise_strength") for key in weights)
        return replace(
            settings,
            channels=tuple(len(weights[f"convs.{i}.bias"]) for i in range(0, count, 2)),
            z_dim=weights["mapping.layers.0.weight"].shape[1],
            w_dim=len(weights["w_avg"]),
            mapping_layers=sum(key.startswith("mapping.layers.") and key.endswith(".weight") for key in weights),
            mapping_width=weights["mapping.layers.0.weight"].shape[0],
        )
    except KeyError as error:
        raise ValueError(f"There is no {error} among the weights; a StyleGAN2 of this trainer is needed.") from error


def load_network(path: Path) -> tuple[StyleGAN2, str]:
    """The network of a run's checkpoint.pt (its running mean) or of a safetensors file, without the sizes that were
    never trained; and how it was made, as far as the file says.

    A size that was never trained still has the zeros that its RGB layer began with: it only enlarges the picture.

    Raises: ValueError if the file is neither; OSError if it cannot be read.
    """
    if path.suffix == ".pt":
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights, settings = state["mean"], Settings(**state["settings"])
        how = f"{state['step']:,} steps of {settings.batch} pairs, {state['minutes']:.0f} minutes of {state['device']}"
    else:
        with one_sentence(path):
            weights, how = load_file(path), read_metadata(path).get("how", "") if is_own(path) else ""
    weights = {key: tensor.float() for key, tensor in weights.items()}
    settings = settings_of_weights(Settings(stages=((4, 0.0),)), weights)  # which every network has
    trained = max(k for k in range(len(settings.channels)) if weights[f"to_rgb.{k}.weight"].any())
    kept = settings.channels[: trained + 1]
    network = _new_generator(replace(settings, channels=kept))
    network.load_state_dict({key: weights[key] for key in network.state_dict()})
    return network.eval().requires_grad_(False), how


def stages_of_text(text: str) -> tuple[tuple[int, float], ...]:
    """ "64:0,128:0.6" -> ((64, 0.0), (128, 0.6)). Raises: ArgumentTypeError if it is not such a list."""
    try:
        stages = tuple((int(pixels), float(share)) for pixels, share in (s.split(":") for s in text.split(",")))
    except ValueError:
        stages = ()
    sizes, shares = [pixels for pixels, _ in stages], [share for _, share in stages]
    if not stages or any(size not in (16, 32, 64, 128, 256) for size in sizes) or shares[0] != 0:
        raise argparse.ArgumentTypeError(
            f"{text!r}; it must be like 64:0,128:0.6: pixels (16 to 256), share from which on"
        )
    if sizes != sorted(set(sizes)) or shares != sorted(set(shares)):
        raise argparse.ArgumentTypeError(f"{text!r}; pixels and shares must rise")
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--world", choices=WORLDS, required=True)
    parser.add_argument("--unaligned", action="store_true", help="the world's pictures turned, zoomed and moved")
    parser.add_argument("--run", type=Path, help="folder of the run; default: runs/NAME of the world")
    parser.add_argument("--minutes", type=float, default=math.inf, help="length of this slice; default: to the end")
    parser.add_argument(
        "--total-minutes", type=float, help="length of the whole run: the rate falls, sizes grow over it"
    )
    parser.add_argument(
        "--stages", type=stages_of_text, help="of a new run: as in 64:0,128:0.6, share of time behind pixels"
    )
    parser.add_argument("--start", type=Path, help="safetensors file of weights from which a new run goes on")
    parser.add_argument("--learning-rate", type=float, help="of a new run, at its highest")
    parser.add_argument("--report-every", type=float, default=2.0, help="minutes between checkpoints")
    arguments = parser.parse_args()
    world = WORLDS[arguments.world].unaligned() if arguments.unaligned else WORLDS[arguments.world]
    folder = arguments.run or Path("runs") / world.name
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    settings, weights = settings_for(device), None
    if arguments.stages:
        settings = replace(settings, stages=arguments.stages)
    if arguments.learning_rate:
        settings = replace(settings, learning_rate=arguments.learning_rate)
    try:
        if arguments.start:
            if (folder / "checkpoint.pt").exists():
                raise ValueError(
                    f"{folder} has a checkpoint; leave out --start to go on, or name a new folder by --run."
                )
            weights = {key: tensor.float() for key, tensor in load_file(arguments.start).items()}
            settings = settings_of_weights(settings, weights)
        run = Run(folder, world, settings, device, fastest_dtype(device), weights)
    except SafetensorError as error:
        parser.error(f"{arguments.start} cannot be read as safetensors: {error}.")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if arguments.total_minutes:
        run.settings = replace(run.settings, total_minutes=arguments.total_minutes)
    if run.minutes >= run.settings.total_minutes:
        parser.error(f"The run in {folder} is over, after {run.minutes:.0f} minutes; --total-minutes makes it longer.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run.run(arguments.minutes, arguments.report_every, stop)


if __name__ == "__main__":
    main()
