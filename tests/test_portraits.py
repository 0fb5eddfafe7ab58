"""The portrait world: exact masks, smooth factors, latents that name their factors."""

import numpy as np
import pytest
import torch

from tools.portraits import (
    FACTORS,
    NAMES,
    PARTS,
    PRESENCE,
    directions,
    factors_of_latents,
    portraits_of_seeds,
    render,
)


def middling(**values: float) -> torch.Tensor:
    """One portrait's factors, 0.5 but for those named; nothing on the head or behind it."""
    u = torch.full((1, len(FACTORS)), 0.5)
    for name, value in ({"glasses": 0.0, "hat": 0.0, "object": 0.0} | values).items():
        u[0, NAMES.index(name)] = value
    return u


def area(masks: torch.Tensor, part: str) -> float:
    return float(masks[0, PARTS.index(part)].mean())


@pytest.mark.parametrize("aligned", [True, False])
def test_masks_are_shares_of_every_pixel(aligned):
    u = torch.rand(6, len(FACTORS), generator=torch.Generator().manual_seed(0))
    made = render(u, 32, aligned=aligned)
    assert made.images.shape == (6, 3, 32, 32) and made.masks.shape == (6, len(PARTS), 32, 32)
    assert float(made.masks.min()) >= 0
    torch.testing.assert_close(made.masks.sum(dim=1), torch.ones(6, 32, 32))
    assert float(made.images.abs().max()) <= 1


def test_a_portrait_does_not_depend_on_its_batch():
    u = torch.rand(4, len(FACTORS), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(render(u, 32).images[2:3], render(u[2:3], 32).images)


@pytest.mark.parametrize("name", ["glasses", "hat", "object"])
def test_things_are_there_above_the_threshold_only(name):
    absent, present = (middling(**{name: PRESENCE + step, "object_side": 0.9}) for step in (-0.1, 0.1))
    assert area(render(absent, 48).masks, name) < 1e-4
    assert area(render(present, 48).masks, name) > 0.005


@pytest.mark.parametrize(
    "name, part",
    [("hair_length", "hair"), ("mouth_openness", "mouth"), ("eye_size", "eyes"), ("brow_thickness", "brows")],
)
def test_larger_factors_cover_more(name, part):
    small, large = (area(render(middling(**{name: u}), 64).masks, part) for u in (0.1, 0.9))
    assert large > 1.1 * small


@pytest.mark.parametrize("factor", FACTORS, ids=NAMES)
def test_pictures_are_smooth_in_every_factor(factor):
    """No jump: a small step in u moves no pixel far, wherever it is taken; only presence is steep, and it is a fade."""
    if factor.name in ("glasses", "hat", "object"):
        steps = torch.linspace(PRESENCE - 0.015, PRESENCE + 0.015, 40)
    else:
        steps = torch.linspace(0.02, 0.98, 40)
    there = {"glasses": 0.9, "hat": 0.9, "object": 0.9}
    u = torch.cat([middling(**(there | {factor.name: float(s)})) for s in steps])
    images = render(u, 24).images
    step = (images[1:] - images[:-1]).abs().flatten(1).mean(dim=1)
    assert float(step.max()) < 0.05 + 6 * float(step.median())


def test_directions_are_orthonormal_and_fixed():
    M = directions(64)
    np.testing.assert_allclose(M @ M.T, np.eye(len(FACTORS)), atol=1e-12)
    np.testing.assert_allclose(M[0, :2], directions(64)[0, :2])


def test_factors_follow_the_normalised_latent():
    z = torch.randn(5, 64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(factors_of_latents(z), factors_of_latents(3.7 * z))
    M = torch.from_numpy(directions(64)).float()
    moved = z / z.square().mean(1, keepdim=True).sqrt()
    moved = moved + 0.5 * M[NAMES.index("eye_size")]
    change = factors_of_latents(moved) - factors_of_latents(z)
    assert change[:, NAMES.index("eye_size")].min() > 0.02


def test_a_seed_is_one_portrait():
    torch.testing.assert_close(portraits_of_seeds([3], 64, 16).images, portraits_of_seeds([1, 3], 64, 16).images[1:])
