"""The discriminator that sharpens the bundled generator: residual, with R1, as in StyleGAN2 (Karras et al., 2020)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ScaledConv(nn.Conv2d):
    """Convolution with an equalised learning rate: weights N(0, 1), scaled by 1/sqrt(fan in) when used."""

    def __init__(self, n_in: int, n_out: int, size: int):
        super().__init__(n_in, n_out, size, padding=size // 2)
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)
        self.gain = 1 / math.sqrt(n_in * size * size)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.gain, self.bias, padding=self.padding)


class Block(nn.Module):
    """Two convolutions and a halving of the size, beside a 1 x 1 skip."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.first, self.second = ScaledConv(n_in, n_in, 3), ScaledConv(n_in, n_out, 3)
        self.skip = ScaledConv(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.first(x), 0.2) * math.sqrt(2)
        y = F.avg_pool2d(F.leaky_relu(self.second(y), 0.2) * math.sqrt(2), 2)
        return (y + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Pictures [N, 3, size, size] -> logits [N]; `channels` at 4, 8, 16, ... pixels, as the generator's."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.from_rgb = ScaledConv(3, channels[-1], 1)
        self.blocks = nn.ModuleList(Block(a, b) for a, b in zip(channels[:0:-1], channels[-2::-1]))
        self.last = ScaledConv(channels[0] + 1, channels[0], 3)
        self.logit = ScaledConv(channels[0] * 16, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.leaky_relu(self.from_rgb(images), 0.2)
        for block in self.blocks:
            x = block(x)
        spread = x.float().var(dim=0, unbiased=False).add(1e-8).sqrt().mean()  # a batch of equals gives itself away
        x = torch.cat([x, spread.to(x).expand(len(x), 1, 4, 4)], dim=1)
        x = F.leaky_relu(self.last(x), 0.2)
        return self.logit(x.flatten(1)[:, :, None, None])[:, 0, 0, 0].float()


class Adversary:
    """A discriminator in training. One `step` of it, then `generator_loss` for the generator.

    Non-saturating logistic loss; R1 with weight `gamma` every `lazy` steps (Mescheder et al., ICML 2018).
    """

    def __init__(self, channels: tuple[int, ...], device: torch.device, rate: float, gamma: float = 1.0, lazy: int = 8):
        self.discriminator = Discriminator(channels).to(device)
        self.optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=(0.0, 0.99))
        self.gamma, self.lazy, self.steps = gamma, lazy, 0

    def step(self, real: Tensor, fake: Tensor) -> float:
        """One step on real and (detached) fake pictures; returns the logistic loss."""
        D = self.discriminator.requires_grad_(True)
        with torch.autocast(real.device.type, dtype=torch.bfloat16):
            loss = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
        penalty = 0.0
        if self.steps % self.lazy == 0:
            seen = real.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(D(seen).sum(), seen, create_graph=True)
            penalty = 0.5 * self.gamma * self.lazy * gradient.square().sum(dim=(1, 2, 3)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        self.optimiser.step()
        self.steps += 1
        return loss.item()

    def generator_loss(self, fake: Tensor) -> Tensor:
        D = self.discriminator.requires_grad_(False)
        with torch.autocast(fake.device.type, dtype=torch.bfloat16):
            return F.softplus(-D(fake)).mean()

    def state(self) -> dict:
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
        }

    def restore(self, state: dict) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]
