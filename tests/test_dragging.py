"""method/dragging.py: laws on pictures whose motion is known."""

import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

from panda_core.method.dragging import follow

STRENGTHS = torch.linspace(-4, 4, 9)
PER_UNIT = (0.02, 0.01)  # of the picture's sides, that everything moves for one unit of strength


def scene(seed: int) -> torch.Tensor:
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return interpolate(noise, (128, 128), mode="bicubic", align_corners=False)


def moved(image: torch.Tensor, strength: float) -> torch.Tensor:
    dx, dy = (-2 * strength * share for share in PER_UNIT)
    grid = affine_grid(torch.tensor([[[1.0, 0.0, dx], [0.0, 1.0, dy]]]), image.shape, align_corners=False)
    return grid_sample(image, grid, padding_mode="reflection", align_corners=False)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strength", [-2.5, -1.0, 0.0, 1.5, 3.0])
def test_the_strength_is_the_one_at_which_the_point_arrives(seed, strength):
    start = scene(seed)
    previews = torch.cat([moved(start, float(s)) for s in STRENGTHS])
    to = tuple(0.5 + strength * share for share in PER_UNIT)
    assert follow(previews, STRENGTHS, start, (0.5, 0.5), to) == pytest.approx(strength, abs=0.35)  # a third of a step


@pytest.mark.parametrize("seed", range(3))
def test_from_another_beginning_it_is_the_same_strength(seed):
    start = scene(seed)
    previews = torch.cat([moved(start, float(s)) for s in STRENGTHS])
    to = tuple(0.5 + 1.0 * share for share in PER_UNIT)  # one unit on from where it is at two
    found = follow(previews, STRENGTHS, moved(start, 2.0), (0.5, 0.5), to)
    assert found == pytest.approx(3.0, abs=0.35)


def test_where_nothing_moves_there_is_no_answer():
    start = scene(0)
    assert follow(start.expand(9, -1, -1, -1), STRENGTHS, start, (0.3, 0.3), (0.6, 0.5)) is None


def test_the_answer_is_never_beyond_the_strengths():
    start = scene(1)
    previews = torch.cat([moved(start, float(s)) for s in STRENGTHS])
    for to in ((0.99, 0.99), (-0.5, 0.2), (0.5, 1.5)):
        assert -4 <= follow(previews, STRENGTHS, start, (0.5, 0.5), to) <= 4


@pytest.mark.parametrize(
    "wrong", [{"strengths": STRENGTHS.flip(0)}, {"strengths": STRENGTHS[:5]}, {"start": torch.zeros(1, 3, 64, 64)}]
)
def test_what_does_not_fit_is_refused(wrong):
    given = {"previews": torch.zeros(9, 3, 128, 128), "strengths": STRENGTHS, "start": torch.zeros(1, 3, 128, 128)}
    with pytest.raises(ValueError):
        follow(**(given | wrong), at=(0.5, 0.5), to=(0.5, 0.5))
