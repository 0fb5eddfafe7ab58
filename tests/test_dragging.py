"""method/dragging.py: laws on pictures whose motion is known."""

import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

from panda_core.method.dragging import STILL, Trajectory

STRENGTHS = torch.linspace(-4, 4, 9)
PER_UNIT = (0.02, 0.01)  # of the picture's sides, that everything moves for one unit of strength
CENTRE = (0.5, 0.5)


def scene(seed: int) -> torch.Tensor:
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return interpolate(noise, (128, 128), mode="bicubic", align_corners=False)


def moved(image: torch.Tensor, strength: float) -> torch.Tensor:
    dx, dy = (-2 * strength * share for share in PER_UNIT)
    grid = affine_grid(torch.tensor([[[1.0, 0.0, dx], [0.0, 1.0, dy]]]), image.shape, align_corners=False)
    return grid_sample(image, grid, padding_mode="reflection", align_corners=False)


def trajectory(seed: int, began: float = 0.0, at: tuple[float, float] = CENTRE) -> Trajectory:
    start = scene(seed)
    previews = torch.cat([moved(start, float(s)) for s in STRENGTHS])
    return Trajectory.of(previews, STRENGTHS, moved(start, began), began, at)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_under_the_pointer_is_followed(seed):
    found = trajectory(seed)
    assert torch.equal(found.strengths, STRENGTHS)
    assert torch.allclose(found.moves, STRENGTHS[:, None] * torch.tensor(PER_UNIT), atol=0.01)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strength", [-2.5, -1.0, 0.0, 1.5, 3.0])
def test_the_strength_is_the_one_at_which_the_point_arrives(seed, strength):
    found = trajectory(seed).strength(tuple(strength * share for share in PER_UNIT))
    assert found == pytest.approx(strength, abs=0.35)  # a third of a step


@pytest.mark.parametrize("began", [2.0, 1.7, -4.0, 4.0])
@pytest.mark.parametrize("by", [-1.0, 0.0, 0.6])
def test_a_drag_goes_on_from_where_it_began(began, by):
    expected = min(max(began + by, -4.0), 4.0)
    found = trajectory(0, began).strength(tuple(by * share for share in PER_UNIT))
    assert found == pytest.approx(expected, abs=0.35)


def test_the_further_one_pulls_the_stronger_it_gets():
    path = trajectory(2, 1.0)
    found = [path.strength((0.01 * k * PER_UNIT[0], 0.01 * k * PER_UNIT[1])) for k in range(-700, 700, 25)]
    assert found == sorted(found) and found[0] == -4 and found[-1] == 4


def test_beside_an_edge_on_plain_ground_the_edge_is_pulled():
    def picture(s: float) -> torch.Tensor:  # an edge that moves up by 0.02 of the side for a unit
        y = (torch.arange(128) + 0.5) / 128
        return torch.tanh(60 * (y - 0.5 + 0.02 * s))[:, None].expand(1, 3, 128, 128)

    previews = torch.cat([picture(float(s)) for s in STRENGTHS])
    for y in (0.48, 0.5, 0.53):
        path = Trajectory.of(previews, STRENGTHS, picture(0.0), 0.0, (0.5, y))
        assert path.strength((0.0, -0.04)) == pytest.approx(2.0, abs=0.6)
        assert path.strength((0.3, -0.04)) == pytest.approx(2.0, abs=0.6)  # along the edge nothing is to be had


def test_where_nothing_moves_there_is_no_answer():
    start = scene(0)
    still = Trajectory.of(start.expand(9, -1, -1, -1), STRENGTHS, start, 0.0, (0.3, 0.3))
    assert float(still.moves.abs().max()) < STILL
    assert still.strength((0.3, 0.2)) is None


def test_the_answer_is_never_beyond_the_strengths():
    for move in ((0.5, 0.5), (-1.0, -0.3), (0.0, 1.0)):
        assert -4 <= trajectory(1).strength(move) <= 4


@pytest.mark.parametrize(
    "wrong", [{"strengths": STRENGTHS.flip(0)}, {"strengths": STRENGTHS[:5]}, {"start": torch.zeros(1, 3, 64, 64)}]
)
def test_what_does_not_fit_is_refused(wrong):
    given = {"previews": torch.zeros(9, 3, 128, 128), "strengths": STRENGTHS, "start": torch.zeros(1, 3, 128, 128)}
    with pytest.raises(ValueError):
        Trajectory.of(**(given | wrong), began=0.0, at=CENTRE)
