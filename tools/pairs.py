"""What the trainer learns from: pictures of a world, each with a local swap, drawn all the time.

Every picture z comes with a partner, which differs from it in the factors of one part only, and with the picture of a
point t between them.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.worlds import World
from tools.worlds.drawing import constant


class Batch(NamedTuple):
    """n pairs: first the picture, then its swap."""

    latents: Tensor  # [n, 2, z_dim]: of the picture, of its partner
    t: Tensor  # [n]: how far the swap goes
    pictures: Tensor  # [n, 2, 3, size, size] in [-1, 1]: the picture, and t of the way to its partner
    weight: Tensor  # [n, 2, 1, size, size]: how much each pixel counts, by the world's `heavy`

    @classmethod
    def empty(cls, n: int, z_dim: int, size: int, device: torch.device) -> "Batch":
        shapes = (n, 2, z_dim), (n,), (n, 2, 3, size, size), (n, 2, 1, size, size)
        return cls(*(torch.zeros(shape, device=device) for shape in shapes))


def new_latents(world: World, n: int, z_dim: int, rng: torch.Generator) -> Tensor:
    """[n, z_dim], with the world's rare thing in up to 45 % of them: what few pictures have, a network leaves out."""
    if world.rare is None:
        return torch.randn(n, z_dim, device=rng.device, generator=rng)
    z = torch.randn(2 * n, z_dim, device=rng.device, generator=rng)
    there = world.factors_of_latents(z)[:, world.factor_names.index(world.rare)] > world.presence[world.rare]
    order = torch.argsort((~there).int(), stable=True)  # those with it first
    count, rows = there.sum(), torch.arange(n, device=z.device)
    kept = count.clamp(max=int(0.45 * n))
    return z[order[torch.where(rows < kept, rows, rows + (count - kept).clamp(max=n))]]


def swapped_latents(world: World, z: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Partners of z [B, z_dim] that differ in one part's factors, and the point t of the way to them.

    In the normalised latent, the coordinates along the rows of M are the factors; those of the part are drawn anew, and
    what M does not see is rescaled so that the norm stays sqrt(z_dim).
    Returns: partner, between, both [B, z_dim] and normalised; t [B] in [0.35, 1.15].
    """
    (B, D), M = z.shape, world.directions_like(z)
    unit = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    c = unit @ M.t()
    rest = unit - c @ M
    belongs = tuple(tuple(factor.part == part for factor in world.factors) for part in world.swapped)
    belongs, often = constant(belongs, z.device, torch.bool), constant(tuple(world.swapped.values()), z.device, z.dtype)
    parts = torch.multinomial(often, B, replacement=True, generator=rng)
    drawn = torch.where(belongs[parts], torch.randn(c.shape, device=z.device, generator=rng), c)
    t = 0.35 + 0.8 * torch.rand(B, device=z.device, generator=rng)

    def latent(c: Tensor) -> Tensor:
        room = (D - c.square().sum(1, keepdim=True)).clamp_min(0.05 * D)
        return c @ M + rest * (room / rest.square().sum(1, keepdim=True)).sqrt()

    return latent(drawn), latent(c + t[:, None] * (drawn - c)), t


def swap_mask(pictures: Tensor, cells: int) -> Tensor:
    """Cells of a layer's grid where pictures and their swaps [n, 2, 3, h, w] differ, with a soft border,
    [n, 1, cells, cells]."""
    differ = ((pictures[:, 0] - pictures[:, 1]).abs().amax(dim=1, keepdim=True) > 0.04).float()
    share = (4 * F.adaptive_avg_pool2d(differ, cells)).clamp(0, 1)
    return 0.5 * share + 0.5 * F.max_pool2d(share, 3, 1, 1)


class Pool:
    """Pairs in memory, in 8 bits; the oldest are drawn anew.

    Args:
        count: pairs kept; a multiple of `fresh`.
        fresh: pairs drawn at once.
        size: pixels of the pictures.
        seed: of everything random in it.
    """

    def __init__(
        self, world: World, count: int, fresh: int, z_dim: int, size: int, device: torch.device, seed: int = 0
    ):
        if count % fresh:
            raise ValueError(f"count is {count}; it must be a multiple of fresh, which is {fresh}.")
        self.world, self.fresh, self.size = world, fresh, size
        self.rng = torch.Generator(device).manual_seed(seed)
        self.latents = torch.zeros(count, 2, z_dim, device=device)
        self.t = torch.zeros(count, device=device)
        self.u = torch.zeros(count, 2, len(world.factors), device=device)
        self.pictures = torch.zeros(count, 2, 3, size, size, dtype=torch.uint8, device=device)
        self.weight = torch.zeros(count, 2, 1, size, size, dtype=torch.uint8, device=device)  # in tenths
        self.heavy = constant(tuple(1.0 + world.heavy.get(part, 0) for part in world.parts), device, torch.float32)
        self.oldest = 0

    def fill(self) -> None:
        """Draw all pairs: needed once, before the first batch."""
        for _ in range(0, len(self.t), self.fresh):
            self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Draw the oldest pairs anew."""
        z = new_latents(self.world, self.fresh, self.latents.shape[2], self.rng)
        partner, between, t = swapped_latents(self.world, z, self.rng)
        rows = slice(self.oldest, self.oldest + self.fresh)
        self.latents[rows], self.t[rows] = torch.stack([z, partner], dim=1), t
        self.u[rows] = self.world.factors_of_latents(torch.stack([z, between], dim=1).flatten(0, 1)).unflatten(
            0, (-1, 2)
        )
        self._draw(rows)
        self.oldest = rows.stop % len(self.t)

    def _draw(self, rows: slice) -> None:
        images, masks = self.world.render(self.u[rows].flatten(0, 1), self.size, 1)
        self.pictures[rows] = ((images + 1) * 127.5).round().byte().unflatten(0, (-1, 2))
        weight = torch.einsum("bmhw,m->bhw", masks, self.heavy)
        self.weight[rows] = (10 * weight).round().byte().unflatten(0, (-1, 2))[:, :, None]

    def take(self, batch: Batch) -> None:
        """Write pairs chosen at random into a batch, at its own size."""
        rows = torch.randint(len(self.t), (len(batch.t),), device=self.t.device, generator=self.rng)
        k = self.size // batch.pictures.shape[-1]
        batch.latents.copy_(self.latents[rows])
        batch.t.copy_(self.t[rows])
        batch.pictures.copy_(F.avg_pool3d(self.pictures[rows].float(), (1, k, k)) / 127.5 - 1)
        batch.weight.copy_(F.avg_pool3d(self.weight[rows].float(), (1, k, k)) / 10)

    def state(self) -> dict:
        """All but the pictures, which `restore` draws again."""
        return {"latents": self.latents, "t": self.t, "u": self.u, "oldest": self.oldest, "rng": self.rng.get_state()}

    @torch.no_grad()
    def restore(self, state: dict) -> None:
        """Go on from a `state`. Raises: ValueError if it is that of another pool."""
        for name in ("latents", "t", "u"):
            mine = getattr(self, name)
            if state[name].shape != mine.shape:
                raise ValueError(f"{name} is {list(state[name].shape)}; this pool's is {list(mine.shape)}.")
            mine.copy_(state[name])
        for first in range(0, len(self.t), self.fresh):
            self._draw(slice(first, first + self.fresh))
        self.oldest = state["oldest"]
        self.rng.set_state(state["rng"])
