"""Train the bundled generator on the portrait world, in slices of any length.

    python -m tools.train_portraits --minutes 8        # again and again: it goes on where the last slice stopped

Fitting. The world knows which portrait belongs to which latent, so G is first fitted to (z, render) pairs, at 32, then
64, then 128 pixels: an L1 with more weight on eyes, mouth and other fine parts, on image differences, and at a quarter
size. With squares beside it until the last tenth: L1 alone never finds what few portraits have, squares alone are soft.

Local swaps. An edit must change a thing, not tint it. So every portrait z comes with a partner that differs from it in
the factors of one part only, and with the picture of a point t between them. Inside the region where that picture
differs from the portrait, the features at an 8 x 8 or 16 x 16 layer go t of the way to those of the partner, under the
*styles of the portrait*, and the tail must draw the picture between. So what a part looks like is carried by the
features at its place, and moving them in a straight line moves the part.

Adversary. With a GPU, the second half of the time adds a discriminator (non-saturating loss, R1; tools/adversary.py)
that sees the portraits and the swaps.
"""

import argparse
import json
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from panda_core.generators.split import Cut, Latents
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.images import grid
from panda_core.runtime.allocator import keep_freed_memory
from tools import portraits
from tools.adversary import Adversary

HEAVY = {"eyes": 4, "brows": 4, "nose": 4, "mouth": 4, "glasses": 4, "object": 12}  # part -> more weight than the rest
SWAPPED = {"eyes": 3, "mouth": 2, "glasses": 2, "background": 1, "skin": 1, "hair": 1, "brows": 1, "nose": 1,
           "clothes": 1, "hat": 1, "object": 3}  # part -> how often; few pixels learn slowly  # fmt: skip
OBJECT = [factor.name for factor in portraits.FACTORS].index("object")


@dataclass
class Settings:
    """Everything that a run is made of; kept in its checkpoint."""

    channels: tuple[int, ...] = (192, 192, 128, 64, 32, 16)
    z_dim: int = 64
    w_dim: int = 128
    mapping_layers: int = 2
    mapping_rate: float = 2000.0  # of its stored weights, relative: they are 100 times as large (multiplier 0.01)
    total_minutes: float = 105.0
    stages: tuple[tuple[int, float], ...] = ((64, 0.0), (128, 0.6))  # (pixels, from this share of the time)
    batch: int = 12  # portraits, each with its swap
    learning_rate: float = 5e-3
    ema: float = 0.998
    fresh: float = 0.25  # share of the pictures of a step that are newly drawn; the rest come from the pool
    pool: int = 8192  # portraits and their swaps
    supersample: int = 1
    swap_layers: tuple[int, ...] = (3, 5)
    settle_from: float = 0.9  # share of the time after which L1 alone sharpens what squares have found
    adversarial_from: float = 1.0  # share of the time after which the discriminator joins in; 1: never
    fit_weight: float = 1.0  # of the fitting loss from then on, beside the adversary's
    seed: int = 0


def settings_for(device: torch.device, total_minutes: float) -> Settings:
    """64 to 128 pixels by fitting alone on a CPU; up to 256 pixels and an adversary on a GPU."""
    if device.type == "cpu":
        return Settings(total_minutes=total_minutes)
    return Settings(
        channels=(256, 256, 192, 96, 48, 24, 16),
        total_minutes=total_minutes,
        stages=((64, 0.0), (128, 0.15), (256, 0.4)),
        batch=32,
        fresh=1.0,
        supersample=2,
        adversarial_from=0.5,
    )


def swapped_latents(z: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Partners of z that differ in one part's factors, and the point t of the way to them.

    In the normalised latent, the coordinates along the rows of M are the factors; those of the part are drawn anew, and
    what M does not see is rescaled so that the norm stays sqrt(z_dim).
    Returns: partner, between, both [B, z_dim] and normalised; t [B] in [0.35, 1.15].
    """
    B, D = z.shape
    M = torch.from_numpy(portraits.directions(D)).to(z)
    unit = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    c = unit @ M.t()
    rest = unit - c @ M
    often = torch.tensor([float(n) for n in SWAPPED.values()])
    parts = torch.multinomial(often, B, replacement=True, generator=rng)
    belongs = torch.tensor([[factor.part == part for factor in portraits.FACTORS] for part in SWAPPED]).to(z.device)
    drawn = torch.where(belongs[parts], torch.randn(c.shape, generator=rng).to(z), c)
    t = (0.35 + 0.8 * torch.rand(B, generator=rng)).to(z)

    def latent(c: Tensor) -> Tensor:
        room = (D - c.square().sum(1, keepdim=True)).clamp_min(0.05 * D)
        return c @ M + rest * (room / rest.square().sum(1, keepdim=True)).sqrt()

    return latent(drawn), latent(c + t[:, None] * (drawn - c)), t


class Pool:
    """Portraits and swaps in memory (z, partner, t; two pictures, weights of their pixels), replaced oldest first."""

    def __init__(self, settings: Settings, size: int, device: torch.device, seed: int):
        self.settings, self.size, self.device = settings, size, device
        self.rng = torch.Generator().manual_seed(seed)
        self.render = torch.compile(lambda u: portraits.render(u, size, settings.supersample))
        N = settings.pool
        self.latents = torch.empty(N, 2, settings.z_dim, device=device)
        self.t = torch.empty(N, device=device)
        self.pictures = torch.empty(N, 2, 3, size, size, dtype=torch.uint8, device=device)
        self.weight = torch.empty(N, 2, size, size, dtype=torch.uint8, device=device)  # in tenths
        self.heavy = torch.tensor([1.0 + HEAVY.get(part, 0) for part in portraits.PARTS], device=device)
        self.filled = self.next = 0
        self.owed = 0.0

    def new_latents(self, n: int) -> Tensor:
        """[n, z_dim], half of them of portraits with an object behind, which a third of all have: one thing at one side
        is in an eighteenth of the portraits, and the network leaves it out before it has learnt in which."""
        z = torch.randn(4 * n, self.settings.z_dim, generator=self.rng)
        there = portraits.factors_of_latents(z)[:, OBJECT] > portraits.PRESENCE
        return torch.cat([z[there][: n // 2], z[~there]])[:n].to(self.device)

    @torch.no_grad()
    def draw_new(self, n: int = 16) -> None:
        z = self.new_latents(n)
        partner, between, t = swapped_latents(z, self.rng)
        made = self.render(portraits.factors_of_latents(torch.stack([z, between], dim=1).flatten(0, 1)))
        rows = torch.arange(self.next, self.next + n) % len(self.t)
        self.latents[rows], self.t[rows] = torch.stack([z, partner], dim=1), t
        self.pictures[rows] = ((made.images + 1) * 127.5).round().byte().unflatten(0, (n, 2))
        weight = torch.einsum("bmhw,m->bhw", made.masks, self.heavy)
        self.weight[rows] = (10 * weight).round().byte().unflatten(0, (n, 2))
        self.next = int(rows[-1] + 1) % len(self.t)
        self.filled = min(self.filled + n, len(self.t))

    def batch(self, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """latents [n, 2, z_dim]: portrait, partner; t [n]; pictures [n, 2, 3, size, size]: portrait, swap, in [-1, 1];
        and the weight of each pixel, [n, 2, 1, size, size], by HEAVY."""
        self.owed += n * self.settings.fresh
        while self.owed >= 16 or self.filled < 1024:
            self.draw_new()
            self.owed = max(0.0, self.owed - 16)
        rows = torch.randint(self.filled, (n,), generator=self.rng)
        pictures = self.pictures[rows].float() / 127.5 - 1
        return self.latents[rows], self.t[rows], pictures, self.weight[rows].float()[:, :, None] / 10


def swap_mask(pictures: Tensor, cells: int) -> Tensor:
    """Cells of the layer's grid where a portrait and its swap differ, with a soft border, [n, 1, cells, cells]."""
    differ = ((pictures[:, 0] - pictures[:, 1]).abs().amax(dim=1, keepdim=True) > 0.04).float()
    share = (4 * F.adaptive_avg_pool2d(differ, cells)).clamp(0, 1)
    return 0.5 * share + 0.5 * F.max_pool2d(share, 3, 1, 1)


def fit_loss(made: Tensor, true: Tensor, weight: Tensor, squares: float) -> Tensor:
    """L1 on the picture, on its differences, and on a quarter of its size; and `squares` times squares, since L1 alone,
    with the median as its minimum, leaves out what is there in a few portraits only."""
    error = made - true
    plain = (weight * (error.abs() + squares * error.square())).mean()
    edges = (weight[..., 1:] * error.diff(dim=-1).abs()).mean() + (weight[..., 1:, :] * error.diff(dim=-2).abs()).mean()
    return plain + 0.5 * edges + F.avg_pool2d(error, 4).abs().mean()


def draw(generator: StyleGAN2, latents: Tensor, t: Tensor, mask: Tensor, layer: int, last: int) -> Tensor:
    """The portraits, then their swaps, [2n, 3, h, w], by the layers up to `last`."""
    n = len(t)
    cut = generator.head(Latents(latents.transpose(0, 1).flatten(0, 1)), layer)
    Z, Z_partner = cut.features[:n], cut.features[n:]
    swapped = Z + (t[:, None, None, None] * mask) * (Z_partner - Z)
    carry = {key: torch.cat([value[:n], value[:n]]) for key, value in cut.carry.items()}
    return generator.advance(Cut(torch.cat([Z, swapped]), layer, carry), last).carry["rgb"]


def device_name(device: torch.device) -> str:
    """For the model card."""
    if device.type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}"
    return f"{torch.get_num_threads()} CPU core(s)"


def last_layer(size: int) -> int:
    """The layer after which the running RGB image has this size."""
    return 2 * int(np.log2(size)) - 3


class Run:
    """One training run in a folder: checkpoint.pt, log.jsonl, samples-*.png."""

    def __init__(self, folder: Path, settings: Settings, device: torch.device):
        self.folder, self.device = folder, device
        folder.mkdir(parents=True, exist_ok=True)
        saved = folder / "checkpoint.pt"
        state = torch.load(saved, map_location="cpu", weights_only=True) if saved.exists() else None
        if state:
            settings = Settings(**state["settings"] | {"total_minutes": settings.total_minutes})
        self.settings = settings
        torch.manual_seed(settings.seed)
        self.generator = StyleGAN2(settings.channels, settings.z_dim, settings.w_dim, settings.mapping_layers).to(
            device
        )
        for rgb in self.generator.to_rgb[1:]:
            rgb.weight.data.zero_()  # a new resolution starts as the enlarged old one
        mapping = list(self.generator.mapping.parameters())
        known = {id(p) for p in mapping}
        rest = [p for p in self.generator.parameters() if id(p) not in known]
        groups = [{"params": rest, "scale": 1.0}, {"params": mapping, "scale": settings.mapping_rate}]
        self.optimiser = torch.optim.Adam(groups, lr=settings.learning_rate, betas=(0.9, 0.99))
        self.mean = deepcopy(self.generator).requires_grad_(False)
        self.adversary = Adversary(settings.channels, device, settings.learning_rate / 2)
        self.step, self.minutes = 0, 0.0
        if state:
            self.generator.load_state_dict(state["generator"])
            self.mean.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.adversary.restore(state["adversary"])
            self.step, self.minutes = state["step"], state["minutes"]
        self.size, self.stage_step, self.pool = 0, 0, None

    def save(self) -> None:
        state = {
            "settings": asdict(self.settings),
            "generator": self.generator.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "adversary": self.adversary.state(),
            "device": device_name(self.device),
            "step": self.step,
            "minutes": self.minutes,
        }
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")

    def enter_stage(self, progress: float) -> None:
        size = [pixels for pixels, start in self.settings.stages if progress >= start][-1]
        if size == self.size:
            return
        self.size, self.stage_step = size, 0
        drawn = max(size, 64)
        if self.pool is None or self.pool.size != drawn:
            self.pool = Pool(self.settings, drawn, self.device, seed=1000 + self.step)
        self.loss_of = torch.compile(self._loss)

    def _loss(
        self, latents: Tensor, t: Tensor, pictures: Tensor, weight: Tensor, squares: float, layer: int, size: int
    ) -> tuple[Tensor, Tensor]:
        mask = swap_mask(pictures, self.generator.layers[layer][1])
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            made = draw(self.generator, latents, t, mask, layer, last_layer(size))
        made = made.float()
        true, weight = (x.transpose(0, 1).flatten(0, 1) for x in (pictures, weight))
        return fit_loss(made, true, weight, squares), made

    def learning_rate(self, progress: float) -> float:
        warm = min(1.0, (self.stage_step + 1) / 200)
        decay = 0.5 * (1 + math.cos(math.pi * max(0.0, (progress - 0.3) / 0.7)))
        return self.settings.learning_rate * warm * (0.02 + 0.98 * decay)

    def train_step(self, progress: float) -> float:
        settings = self.settings
        latents, t, pictures, weight = self.pool.batch(settings.batch)
        if self.size < self.pool.size:
            k = self.pool.size // self.size
            pictures, weight = F.avg_pool3d(pictures, (1, k, k)), F.avg_pool3d(weight, (1, k, k))
        layer = settings.swap_layers[self.step % len(settings.swap_layers)]
        settling = progress >= settings.settle_from
        if settling:  # an object drawn where there is none counts now as much as one left out
            weight = weight.clamp_max(1.0 + max(HEAVY[part] for part in HEAVY if part != "object"))
        loss, made = self.loss_of(latents, t, pictures, weight, 0.0 if settling else 1.0, layer, self.size)
        if progress >= settings.adversarial_from and self.size == self.generator.resolution:
            self.adversary.step(pictures.flatten(0, 1), made)
            loss = settings.fit_weight * loss + 0.1 * self.adversary.generator_loss(made)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"The loss is {loss.item()} at step {self.step}; the last checkpoint is intact.")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(progress) * group["scale"]
        self.optimiser.step()
        kept = min(settings.ema, (self.stage_step + 1) / (self.stage_step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.generator.parameters()), 1 - kept)
        self.step += 1
        self.stage_step += 1
        return loss.item()

    @torch.no_grad()
    def samples(self) -> float:
        """A sheet in pairs of rows for seeds 0 to 15, render above and generator below; returns their L1."""
        z = np.stack([np.random.RandomState(seed).randn(self.settings.z_dim) for seed in range(16)]).astype(np.float32)
        z = torch.from_numpy(z).to(self.device)
        cut = self.mean.head(Latents(z), last_layer(self.size))
        made = cut.carry["rgb"].float()
        true = portraits.render(portraits.factors_of_latents(z), self.size, 2).images
        rows = torch.cat([true[:8], made[:8], true[8:], made[8:]])
        rows = F.interpolate(rows, size=128, mode="bicubic", align_corners=False)
        grid(rows, 8).save(self.folder / f"samples-{int(self.minutes):04d}.png")
        return (made - true).abs().mean().item()

    def log(self, **values: float) -> None:
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")

    def run(self, minutes: float, sheet_every: float) -> None:
        began = last = time.monotonic()
        next_sheet = self.minutes + sheet_every
        losses: list[float] = []
        while time.monotonic() - began < 60 * minutes and self.minutes < self.settings.total_minutes:
            progress = self.minutes / self.settings.total_minutes
            self.enter_stage(progress)
            losses.append(self.train_step(progress))
            now = time.monotonic()
            self.minutes, last = self.minutes + (now - last) / 60, now
            if self.minutes >= next_sheet:
                next_sheet = self.minutes + sheet_every
                self.log(step=self.step, minutes=round(self.minutes, 2), size=self.size,
                         loss=round(float(np.mean(losses)), 4), held_out_l1=round(self.samples(), 4))  # fmt: skip
                losses = []
                self.save()
        self.save()
        if self.size:
            self.log(
                step=self.step, minutes=round(self.minutes, 2), size=self.size, held_out_l1=round(self.samples(), 4)
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, default=Path("runs/portraits"), help="folder of the run")
    parser.add_argument("--minutes", type=float, default=8.0, help="length of this slice")
    parser.add_argument("--total-minutes", type=float, default=105.0, help="length of the whole run")
    parser.add_argument("--sheet-every", type=float, default=4.0, help="minutes between sheets of samples")
    arguments = parser.parse_args()
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    Run(arguments.run, settings_for(device, arguments.total_minutes), device).run(
        arguments.minutes, arguments.sheet_every
    )


if __name__ == "__main__":
    main()
