"""A TopK sparse autoencoder on the features of one layer: "why not an SAE?"

As published (Makhzani & Frey, 2014; Gao et al., 2024): z ≈ b + D topk(E(z - b)), unit columns in D, here of 1,024 with
16 active, trained on the fibres of Z by Adam. Adapted: a GAN's features instead of a language model's. An edit adds one
column of D inside the part that covers the change best, as PandA adds an appearance, so that only the dictionary
differs; candidates are the 36 columns whose activity lies there most.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from panda_core.method.editing import add_appearance

from .base import LEARNED_ON, Aim, Candidate, Candidates, Ground, of_features, single_parts

SIZE, ACTIVE, STEPS, BATCH, PICTURES = 1024, 16, 600, 1024, 256


class SparseAutoencoder(nn.Module):
    """Fibres [n, C] -> codes [n, size], at most `active` of each > 0 -> fibres."""

    def __init__(self, fibres: Tensor, size: int, active: int):
        super().__init__()
        rng = torch.Generator().manual_seed(LEARNED_ON)
        self.active = active
        self.decoder = nn.Parameter(F.normalize(torch.randn(size, fibres.shape[1], generator=rng), dim=1))
        self.encoder = nn.Parameter(self.decoder.detach().clone())
        self.threshold = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(fibres.mean(dim=0))

    def encode(self, fibres: Tensor) -> Tensor:
        found = (fibres - self.bias) @ self.encoder.t() + self.threshold
        top = found.topk(self.active, dim=1)
        return torch.zeros_like(found).scatter(1, top.indices, top.values.clamp_min(0))

    def forward(self, fibres: Tensor) -> Tensor:
        return self.encode(fibres) @ self.decoder + self.bias


@torch.inference_mode(False)
def train(fibres: Tensor, size: int = SIZE, active: int = ACTIVE, steps: int = STEPS) -> SparseAutoencoder:
    """Fitted to fibres [n, C]; the same for the same fibres."""
    fibres = fibres.clone()
    rng = torch.Generator().manual_seed(LEARNED_ON)
    model = SparseAutoencoder(fibres, size, active)
    adam = torch.optim.Adam(model.parameters(), lr=2e-3)
    scale = (fibres - fibres.mean(dim=0)).square().mean()
    with torch.enable_grad():
        for _ in range(steps):
            x = fibres[torch.randint(len(fibres), (min(BATCH, len(fibres)),), generator=rng)]
            loss = (model(x) - x).square().mean() / scale
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                model.decoder.copy_(F.normalize(model.decoder, dim=1))
    return model.requires_grad_(False)


def learn(ground: Ground) -> Candidates:
    layer = sorted(ground.factors)[len(ground.factors) // 2]
    factors = ground.factors[layer]
    Z = ground.cuts(PICTURES, layer).features
    fibres = Z.flatten(2).mT.reshape(-1, Z.shape[1])
    model = train(fibres)
    codes = model.encode(fibres[: 64 * Z[0, 0].numel()]).reshape(-1, Z[0, 0].numel(), SIZE)  # of 64 pictures
    activity = codes.mean(dim=0)  # [S, size]
    flat = codes.flatten(0, 1)
    sizes = flat.sum(dim=0) / (flat > 0).sum(dim=0).clamp_min(1)  # of a column where it is active at all

    def candidates(aim: Aim) -> Iterator[Candidate]:
        p = factors.scaled_parts[:, single_parts(factors, aim.differs)[0]]
        total = activity.sum(dim=0)
        share = torch.where(total > total.median(), p @ activity / total.clamp_min(1e-9), -1.0)
        for f in share.topk(min(36, SIZE)).indices.tolist():
            d, size = model.decoder[f], float(sizes[f])
            edit = of_features(lambda Z, s, d=d, size=size: add_appearance(Z, d, p, s * size))
            yield Candidate(f"column {f}, layer {layer}", layer, edit, 8.0)

    return candidates
