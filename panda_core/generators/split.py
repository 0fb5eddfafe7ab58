"""A generator that can be cut at any layer: image = tail(head(latents, layer))."""

import difflib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Latents:
    """Where a batch of pictures starts: everything that `head` needs.

    z: [N, z_dim]; psi: truncation, in the family's `psi_range`; classes: class vectors [N, n_classes], or None for a
    generator without classes; psi_layers: truncate only the styles of so many layers (None: all of them).
    """

    z: Tensor
    psi: float = 1.0
    classes: Tensor | None = None
    psi_layers: int | None = None

    def __len__(self) -> int:
        return len(self.z)


@dataclass(frozen=True)
class Cut:
    """Everything that passes from the first half of a generator to the second.

    features: Z, [N, C, H, W], the output of G[:layer]; carry: what else crosses (styles, the running RGB image, a class
    embedding), each [N, ...], or [1, ...] where all N feature maps share it: N edits of one picture share its styles.
    To edit: `generator.tail(cut.with_features(edited))`.
    """

    features: Tensor
    layer: int
    carry: Mapping[str, Tensor] = field(default_factory=dict)

    def with_features(self, features: Tensor) -> Self:
        return replace(self, features=features)

    def __getitem__(self, rows: slice) -> Self:
        """The samples `rows` of the batch; what all samples share stays shared."""
        pick = {key: value if len(value) == 1 else value[rows] for key, value in self.carry.items()}
        return replace(self, features=self.features[rows], carry=pick)


class SplitGenerator(nn.Module, ABC):
    """What every generator family offers. A family writes `layers`, `start`, `step`, `finish` and `tiny_config`.

    A forward pass is start -> step -> step -> ... -> finish, whether it is cut or not, so that
    tail(head(latents, l)) equals the uncut forward bit for bit.
    """

    family: ClassVar[str]
    tiny_config: ClassVar[dict[str, Any]]  # the constructor's arguments for a small copy
    config: dict[str, Any]  # the constructor's arguments, in types that JSON knows: type(g)(**g.config) rebuilds it
    class_names: Sequence[str] = ()  # one per class where the classes have names
    psi_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)  # None: the family knows no truncation
    z_dim: int
    n_classes: int = 0
    resolution: int

    @property
    @abstractmethod
    def layers(self) -> dict[int, tuple[int, int, int]]:
        """Shape (C, H, W) of the feature map at every layer where this generator can be cut; the papers' numbers."""

    @property
    def editable_layers(self) -> list[int]:
        """The layers worth offering for edits: at least 8 x 8 and with at least two layers to come."""
        numbers = list(self.layers)
        return [l for l in numbers[:-2] if min(self.layers[l][1:]) >= 8] or numbers[:-1]

    @abstractmethod
    def start(self, latents: Latents) -> Cut:
        """Everything before the first layer: mapping, truncation, constant or first projection."""

    def styles(self, latents: Latents) -> Tensor | None:
        """ws, [N, n_styles, w_dim], truncated: the w that each layer sees; None in a family without a style space."""
        return None

    def from_styles(self, ws: Tensor) -> Cut:
        """`start` from a w of its own for every layer, [N, n_styles, w_dim] (W+), as `styles` gives them.

        Raises: ValueError in a family without a style space.
        """
        raise ValueError(f"{self.family} has no style space; its pictures start from z.")

    @abstractmethod
    def step(self, cut: Cut) -> Cut:
        """One layer on: from layer l to l + 1."""

    @abstractmethod
    def finish(self, cut: Cut) -> Tensor:
        """The picture [N, 3, h, w], or [N, 1, h, w] if it is grey, nominally in [-1, 1], from the last layer's cut."""

    @classmethod
    def tiny(cls, seed: int, **changes) -> Self:
        """A small copy with random weights, for tests; what begins at 0 is random too, so that it matters."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            generator = cls(**cls.tiny_config | changes)
            for tensor in generator.state_dict().values():
                if not tensor.any():
                    tensor.normal_(std=0.2)
        return generator.eval().requires_grad_(False)

    def draw_z(self, seed: int, psi: float) -> np.ndarray:
        """z of one seed, [z_dim], float64: RandomState(seed).randn as everywhere in the field."""
        return np.random.RandomState(seed).randn(self.z_dim)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def class_number(self, choice: int | str | None) -> int | None:
        """The index of a class given by index or name; None for a generator without classes.

        Raises: ValueError if the class is out of range, unknown, missing, or given to a generator without classes.
        """
        if not self.n_classes:
            if choice is not None:
                raise ValueError(f"class is {choice}; this generator has no classes.")
            return None
        if isinstance(choice, str) and not choice.strip().isdecimal():
            names = [name.casefold() for name in self.class_names]
            if choice.strip().casefold() not in names:
                close = ", ".join(difflib.get_close_matches(choice.casefold(), names, n=3))
                hint = f"; close names are {close}" if close else ""
                raise ValueError(f"class is {choice!r}; this generator has no class of that name{hint}.")
            return names.index(choice.strip().casefold())
        if choice is None or not 0 <= int(choice) < self.n_classes:
            raise ValueError(f"class is {choice}; this generator has classes 0 to {self.n_classes - 1}.")
        return int(choice)

    def sample(self, seeds: Sequence[int], psi: float = 1.0, class_index: int | str | None = None) -> Latents:
        """The latents of these seeds (0 to 2^32 - 1); the class (index or name) is never drawn from the seed.

        Raises: ValueError if a seed, psi or the class is out of range, or a class is missing or not known here.
        """
        for seed in seeds:
            if not 0 <= seed < 2**32:
                raise ValueError(f"seed is {seed}; it must be a whole number from 0 to {2**32 - 1}.")
        if self.psi_range is None:
            psi = 1.0
        elif not self.psi_range[0] <= psi <= self.psi_range[1]:
            raise ValueError(f"psi is {psi}; this generator takes {self.psi_range[0]} to {self.psi_range[1]}.")
        classes, number = None, self.class_number(class_index)
        if number is not None:
            classes = torch.zeros(len(seeds), self.n_classes, device=self.device)
            classes[:, number] = 1.0
        z = np.stack([self.draw_z(int(seed), psi) for seed in seeds]) if len(seeds) else np.zeros((0, self.z_dim))
        return Latents(torch.from_numpy(z.astype(np.float32)).to(self.device), float(psi), classes)

    def check_layer(self, layer: int) -> None:
        if layer not in self.layers:
            raise ValueError(f"layer is {layer}; this generator has layers {min(self.layers)} to {max(self.layers)}.")

    def head(self, latents: Latents, layer: int) -> Cut:
        """G[:l]: from the latents to the cut at `layer`."""
        return self.advance(self.start(latents), layer)

    def advance(self, cut: Cut, layer: int) -> Cut:
        """On to a later layer, so that one picture can be edited at several."""
        self.check_layer(layer)
        if layer < cut.layer:
            raise ValueError(f"layer is {layer}; the cut is already at layer {cut.layer}, and can only go on.")
        cut = self._run(cut, layer)
        return cut.with_features(cut.features.contiguous())  # how a family lays them out is its own affair

    def _run(self, cut: Cut, layer: int) -> Cut:
        while cut.layer < layer:
            cut = self.step(cut)
        return cut

    def tail(self, cut: Cut) -> Tensor:
        """G[l:]: from a cut to the pictures [N, 3, h, w]."""
        return self.finish(self._run(cut, max(self.layers)))

    def preview(self, cut: Cut, shrink: int = 2) -> Tensor:
        """From a cut to the pictures at 1/shrink of their size, a power of two; families that can stop early do."""
        return F.avg_pool2d(self.tail(cut), shrink)

    def forward(self, latents: Latents) -> Tensor:
        return self.tail(self.start(latents))

    def frame(self, layer: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right): the cells of the layer's grid that the picture covers; here all of it."""
        self.check_layer(layer)
        _, height, width = self.layers[layer]
        return 0, 0, height, width


def constructor_arguments(scope: Mapping[str, Any]) -> dict[str, Any]:
    """`config` from the locals() of a constructor that has not assigned any of its own yet."""
    return json.loads(json.dumps({name: value for name, value in scope.items() if name not in ("self", "__class__")}))


def check_resolution(resolution: int) -> int:
    """The resolution, or a ValueError if no generator has it: a file could say anything."""
    if resolution not in (8, 16, 32, 64, 128, 256, 512, 1024, 2048):
        raise ValueError(f"resolution is {resolution}; it must be a power of two from 8 to 2048.")
    return int(resolution)


def weights_hash(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """First 12 hex digits of the SHA-256 over the weights as loaded: (name, shape, float32 bytes), sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted((weights.state_dict() if isinstance(weights, nn.Module) else weights).items()):
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
