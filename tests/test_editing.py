"""Editing, rewriting and saliency: laws on random sizes."""

import pytest
import torch

from panda_core.method.editing import add_appearance, background_cells, cover, extend_from_frame, transfer
from panda_core.method.parts import combine_parts
from panda_core.method.rewriting import rewrite_concept
from panda_core.method.saliency import find_background, saliency


def draw(seed):
    """Z [N, C, H, W], orthonormal A [C, C], P [S, 4], float64, of random sizes."""
    g = torch.Generator().manual_seed(seed)
    N, C, H, W = (int(torch.randint(low, 9, (), generator=g)) for low in (1, 3, 2, 2))
    Z = torch.randn(N, C, H, W, generator=g, dtype=torch.float64)
    A = torch.linalg.qr(torch.randn(C, C, generator=g, dtype=torch.float64)).Q
    return Z, A, torch.rand(H * W, 4, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(20))
def test_alpha_0_is_the_identity(seed):
    Z, A, P = draw(seed)
    assert torch.equal(add_appearance(Z, A[:, 0], P[:, 0], 0.0), Z)


@pytest.mark.parametrize("seed", range(20))
def test_plus_alpha_then_minus_alpha_cancel(seed):
    Z, A, P = draw(seed)
    there = add_appearance(Z, A[:, 0], P[:, 1], 3.7)
    torch.testing.assert_close(add_appearance(there, A[:, 0], P[:, 1], -3.7), Z, atol=1e-14, rtol=0)


@pytest.mark.parametrize("seed", range(20))
def test_an_edit_moves_its_own_coefficient_alone(seed):
    """AᵀZ changes by α in row j, times the region, and nowhere else: A is orthonormal."""
    Z, A, P = draw(seed)
    change = add_appearance(Z, A[:, 1], P[:, 2], -2.0) - Z
    moved = torch.einsum("cr,nchw->nrhw", A, change).flatten(2)
    expected = torch.zeros_like(moved)
    expected[:, 1] = -2.0 * P[:, 2]
    torch.testing.assert_close(moved, expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("seed", range(20))
def test_edits_of_one_picture_in_a_batch_are_the_edits_one_by_one(seed):
    Z, A, P = draw(seed)
    alphas = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    batch = add_appearance(Z[:1], A[:, :3].t(), P[:, :3].t(), alphas)
    for n in range(3):
        assert torch.equal(batch[n], add_appearance(Z[:1], A[:, n], P[:, n], float(alphas[n]))[0])


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_an_alpha_that_is_not_finite_is_refused(alpha):
    Z, A, P = draw(0)
    with pytest.raises(ValueError, match="finite"):
        add_appearance(Z, A[:, 0], P[:, 0], alpha)
    with pytest.raises(ValueError, match="finite"):
        rewrite_concept(Z, A[:, 0], A[:, 1], alpha)


def test_sizes_that_disagree_are_named():
    Z, A, P = draw(0)
    with pytest.raises(ValueError, match="appearance has shape"):
        add_appearance(Z, A[:-1, 0], P[:, 0], 1.0)
    with pytest.raises(ValueError, match="region has shape"):
        add_appearance(Z, A[:, 0], P[:-1, 0], 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_several_parts_stay_in_0_to_1_and_hold_each_of_them(seed):
    *_, P = draw(seed)
    region = combine_parts(P, [0, 2, 3])
    assert region.min() >= 0 and region.max() <= 1
    for k in (0, 2, 3):
        assert bool((region >= combine_parts(P, [k])).all())


@pytest.mark.parametrize("numbers", [[], [4], [-1]])
def test_parts_that_are_not_there_are_refused(numbers):
    with pytest.raises(ValueError, match="part"):
        combine_parts(torch.rand(9, 4), numbers)


def test_a_region_drawn_in_the_frame_reaches_outward():
    mask = torch.zeros(6, 6)
    mask[2, 2] = 1
    out = extend_from_frame(mask, (2, 2, 4, 4))
    expected = torch.zeros(6, 6)
    expected[:3, :3] = 1
    assert torch.equal(out, expected)
    assert torch.equal(extend_from_frame(mask, (0, 0, 6, 6)), mask)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.5])
def test_rewriting_is_the_papers_replacement_of_rows(seed, alpha):
    """II Eqs. 14-16 with a square orthogonal A, as they stand."""
    Z, A, _ = draw(seed)
    j, k = 0, 2
    rows = torch.einsum("cr,nchw->nrhw", A, Z)
    positive = rows[:, j].clamp_min(0)
    rows[:, k] += alpha * positive
    rows[:, j] = rows[:, j].clamp_max(0)
    expected = torch.einsum("cr,nrhw->nchw", A, rows)
    torch.testing.assert_close(rewrite_concept(Z, A[:, j], A[:, k], alpha), expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_rewriting_outside_the_region_changes_nothing(seed):
    Z, A, _ = draw(seed)
    H, W = Z.shape[2:]
    region = torch.zeros(H, W, dtype=torch.float64)
    region[0] = 1
    out = rewrite_concept(Z, A[:, 0], A[:, 1], 1.5, region.flatten())
    assert torch.equal(out[:, :, 1:], Z[:, :, 1:])
    torch.testing.assert_close(out[:, :, 0], rewrite_concept(Z, A[:, 0], A[:, 1], 1.5)[:, :, 0])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("number", [0, 3])
def test_the_background_is_found_whatever_its_number_and_sign(number, sign):
    g = torch.Generator().manual_seed(0)
    Z = 0.3 * torch.randn(30, 6, 16, 16, generator=g)
    amount = torch.ones(16, 16)
    amount[3:, 4:12] = 0
    A = torch.eye(6)
    Z[:, number] += sign * amount
    assert find_background(Z, A, Z.mean(dim=(0, 2, 3)), (0, 0, 16, 16)) == (number, sign)


def test_removal_brings_the_region_to_the_background_around_it():
    """With some of the α found, the region's weighted mean of those a_jᵀZ becomes that of the background, no other."""
    g = torch.Generator().manual_seed(1)
    A = torch.linalg.qr(torch.randn(6, 4, generator=g, dtype=torch.float64))[0]
    Z = torch.randn(1, 6, 8, 8, generator=g, dtype=torch.float64) + 5 * A[:, 0, None, None]
    region = torch.zeros(8, 8, dtype=torch.float64)
    region[2:5, 2:5] = torch.rand(3, 3, generator=g, dtype=torch.float64) * 0.3 + 0.7
    Z = Z - (A @ torch.tensor([9.0, 4, -3, 2], dtype=torch.float64))[:, None, None] * region
    p = region.flatten()
    cells = background_cells(Z, A[:, 0], p, 4.0, (1, 1, 8, 8))
    inside = torch.ones(8, 8, dtype=torch.bool)
    inside[0] = inside[:, 0] = False
    expected = (p < 0.5) & inside.flatten() & (saliency(Z, A[:, 0]).flatten() >= 4)
    assert torch.equal(cells, expected) and 10 < int(cells.sum()) < 49

    def means(Z: torch.Tensor) -> torch.Tensor:
        return torch.stack([saliency(Z, a).flatten() @ p for a in A.t()]) / p.sum()

    background = torch.stack([saliency(Z, a).flatten()[cells].mean() for a in A.t()])
    assert float((background - means(Z)).abs().min()) > 1
    covered = cover(Z, cells, p)
    torch.testing.assert_close(means(covered), background, rtol=0, atol=1e-12)
    torch.testing.assert_close(cover(covered, cells, p), covered, rtol=0, atol=1e-12)  # nothing left to add
    torch.testing.assert_close(cover(Z, cells, p, 0.5), (Z + covered) / 2, rtol=0, atol=1e-12)
    assert torch.equal(cover(Z, cells, p, 0.0), Z)
    assert torch.equal((covered != Z).any(dim=1)[0], p.reshape(8, 8) > 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_transfer_goes_a_share_of_the_way_and_only_in_the_region(seed):
    g = torch.Generator().manual_seed(seed)
    Z, other = torch.randn(2, 3, 4, 4, generator=g), torch.randn(1, 3, 4, 4, generator=g)
    p = (torch.rand(16, generator=g) - 0.3).clamp_min(0)
    assert torch.equal(transfer(Z, other, p, 0.0), Z)
    torch.testing.assert_close(transfer(Z, other, torch.ones(16)), other.expand_as(Z))
    torch.testing.assert_close(transfer(Z, Z, p, 0.7), Z)
    changed = transfer(Z, other, p, 0.4) - Z
    torch.testing.assert_close(changed, 0.4 * p.reshape(4, 4) * (other - Z), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="other has shape"):
        transfer(Z, other[:, :2], p)


def test_removal_of_nothing_or_without_a_background_says_so():
    Z, a = torch.ones(1, 3, 4, 4), torch.tensor([1.0, 0, 0])
    with pytest.raises(ValueError, match="empty"):
        background_cells(Z, a, torch.zeros(16), 0.0, (0, 0, 4, 4))
    with pytest.raises(ValueError, match="background"):
        background_cells(Z, a, torch.ones(16), 0.0, (0, 0, 4, 4))
