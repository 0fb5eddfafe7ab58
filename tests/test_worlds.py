"""The drawn worlds: exact masks, smooth factors, latents that name their factors, a camera for those not aligned."""

import numpy as np
import pytest
import torch

from tools.worlds import WORLDS

ALL = {world.name: world for aligned in WORLDS.values() for world in (aligned, aligned.unaligned())}
FACTORS = [  # a twin that is not aligned differs from its world by its camera
    (world, factor) for world in ALL.values() for factor in (world.camera or world.factors)
]


@pytest.fixture(params=ALL.values(), ids=ALL)
def world(request):
    return request.param


each_factor = pytest.mark.parametrize("world, factor", FACTORS, ids=[f"{w.name}-{f.name}" for w, f in FACTORS])
each_thing = pytest.mark.parametrize(
    "world, thing", [(world, thing) for world in WORLDS.values() for thing in world.presence]
)


def middling(world, things: float, **values: float) -> torch.Tensor:
    """Factors of one picture: 0.6 (what has a side is on the right), `things` for all that come and go, those named."""
    given = dict.fromkeys(world.factor_names, 0.6) | dict.fromkeys(world.presence, things) | values
    return torch.tensor([[given[name] for name in world.factor_names]])


def test_masks_are_shares_of_every_pixel(world):
    made = world.render(torch.rand(6, len(world.factors), generator=torch.Generator().manual_seed(0)), 32)
    assert made.images.shape == (6, 3, 32, 32) and made.masks.shape == (6, len(world.parts), 32, 32)
    assert float(made.masks.min()) >= 0
    torch.testing.assert_close(made.masks.sum(dim=1), torch.ones(6, 32, 32))
    assert float(made.images.abs().max()) <= 1


def test_a_picture_does_not_depend_on_its_batch(world):
    u = torch.rand(4, len(world.factors), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(world.render(u, 32).images[2:3], world.render(u[2:3], 32).images)


@each_thing
def test_a_thing_comes_once_and_whole(world, thing):
    """From its presence on there is more of its part, and then its own factor changes nothing any more."""
    start, part = world.presence[thing], next(f.part for f in world.factors if f.name == thing)
    u = [middling(world, 0.0, **{thing: at}) for at in (0.0, start - 0.02, start + 0.02, 1.0)]
    made = world.render(torch.cat(u), 48)
    assert torch.equal(made.images[0], made.images[1]) and torch.equal(made.images[2], made.images[3])
    area = made.masks[:, world.parts.index(part)].mean(dim=(1, 2))
    assert float(area[2] - area[1]) > 0.001


@each_factor
def test_pictures_are_smooth_in_every_factor(world, factor):
    """No jump: a small step in u moves no pixel far, wherever it is taken; only presence is steep, and it is a fade."""
    low, high = 0.02, 0.98
    if factor.name in world.presence:
        low, high = (world.presence[factor.name] + sign * world.fade for sign in (-1, 1))
    steps = torch.linspace(low, high, 40)
    images = world.render(torch.cat([middling(world, 0.9, **{factor.name: float(s)}) for s in steps]), 24).images
    step = (images[1:] - images[:-1]).abs().flatten(1).mean(dim=1)
    assert float(step.max()) < 0.05 + 6 * float(step.median())


@each_factor
def test_a_factor_changes_its_own_part_most(world, factor):
    u = [middling(world, 0.9, **{factor.name: at}) for at in (0.15, 0.85)]
    made = world.render(torch.cat(u), 64)
    change = (made.images[0] - made.images[1]).abs().mean(dim=0)
    if factor.part not in world.parts:  # pose and camera move the whole picture
        assert float(change.mean()) > 0.005
        return
    its = made.masks[:, world.parts.index(factor.part)].amax(dim=0)
    inside, outside = ((change * m).sum() / m.sum() for m in (its, 1 - its))
    assert float(inside) > 0.005
    assert inside > (0.8 if factor.name == "face_width" else 1.5) * outside  # hair lies around the face, and moves too


def test_directions_are_orthonormal_and_fixed(world):
    M = world.directions(64)
    np.testing.assert_allclose(M @ M.T, np.eye(len(world.factors)), atol=1e-12)
    np.testing.assert_array_equal(M, world.directions(64))


def test_factors_follow_the_normalised_latent(world):
    z = torch.randn(5, 64, generator=torch.Generator().manual_seed(2))
    u = world.factors_of_latents(z)
    torch.testing.assert_close(u, world.factors_of_latents(3.7 * z))
    unit = z / z.square().mean(1, keepdim=True).sqrt()
    for k, row in enumerate(torch.from_numpy(world.directions(64)).float()):
        assert float((world.factors_of_latents(unit + 0.5 * row) - u)[:, k].min()) > 0


def test_a_seed_is_one_picture(world):
    torch.testing.assert_close(world.of_seeds([3], 64, 16).images, world.of_seeds([1, 3], 64, 16).images[1:])


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_unaligned_twin_shows_the_same_through_a_camera(world):
    twin, n, by = world.unaligned(), 40, 2
    z = torch.randn(3, 64, generator=torch.Generator().manual_seed(3))
    u = twin.factors_of_latents(z)
    content = world.factors_of_latents(z)
    torch.testing.assert_close(u[:, : len(world.factors)], content)
    still, pan = torch.full((3, len(twin.camera)), 0.5), twin.camera[-2]
    moved = still.clone()
    moved[:, -2] = (2 * by / n - pan.low) / (pan.high - pan.low)  # `by` pixels to the right
    there = world.render(content, n, 1)
    through = twin.render(torch.cat([content, still], 1), n, 1)
    torch.testing.assert_close(through.images, there.images, atol=1e-4, rtol=0)
    through = twin.render(torch.cat([content, moved], 1), n, 1)
    torch.testing.assert_close(through.images[..., by:], there.images[..., :-by], atol=2e-3, rtol=0)


def test_what_a_world_says_of_training_names_its_own_parts_and_factors(world):
    own = {factor.part for factor in world.content}
    assert world.heavy.keys() <= set(world.parts) and world.swapped.keys() <= own & set(world.parts)
    assert world.presence.keys() <= set(world.factor_names)
    assert {*world.piece_of, *world.piece_of.values()} <= set(world.parts)
    assert world.rare is None or world.rare in world.presence
    assert len(set(world.factor_names)) == len(world.factors)
    words = [word for ends in world.ends.values() for word in ends]
    assert all(less != more for less, more in world.ends.values()) and all(words)
    wanted = {name for _, names in world.examples for name in names} | {name for _, name in world.rewritten}
    assert wanted <= set(words)
