"""The papers' measures, against their definitions written out."""

import pytest
import torch

from benchmarks.evaluation import mask_iou, outside_inside_ratios


def draw(seed):
    g = torch.Generator().manual_seed(seed)
    before, after = (torch.randn(3, 3, 8, 6, generator=g) for _ in range(2))
    return before, after, torch.rand(8, 6, generator=g)


@pytest.mark.parametrize("seed", range(10))
def test_the_ratio_is_eq_7(seed):
    X, Y, M = draw(seed)
    M3 = M.expand(3, 8, 6)  # "replicated along the channel mode"
    expected = [float(((1 - M3) * (x - y)).norm() / (M3 * (x - y)).norm()) for x, y in zip(X, Y)]
    assert outside_inside_ratios(X, Y, M).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_the_ratio_does_not_depend_on_the_size_of_the_change_or_the_order(seed):
    X, Y, M = draw(seed)
    one = outside_inside_ratios(X, Y, M)
    torch.testing.assert_close(outside_inside_ratios(X, X + 7 * (Y - X), M), one, rtol=1e-5, atol=0)
    torch.testing.assert_close(outside_inside_ratios(Y, X, M.expand(3, 8, 6)), one)


def test_a_change_inside_alone_is_0_and_outside_alone_is_infinite():
    X = torch.zeros(2, 3, 4, 4)
    Y = X.clone()
    Y[0, :, :2], Y[1, :, 2:] = 1, 1
    M = torch.zeros(4, 4)
    M[:2] = 1
    assert outside_inside_ratios(X, Y, M).tolist() == [0, float("inf")]
    assert bool(outside_inside_ratios(X, X, M).isnan().all())


@pytest.mark.parametrize("region", [torch.ones(4, 5), torch.full((8, 6), 1.1), torch.full((8, 6), -0.1)])
def test_a_region_that_does_not_fit_is_refused(region):
    X, Y, _ = draw(0)
    with pytest.raises(ValueError, match="region"):
        outside_inside_ratios(X, Y, region)


@pytest.mark.parametrize("seed", range(10))
def test_iou_counts_cells(seed):
    g = torch.Generator().manual_seed(seed)
    one, other = (torch.rand(4, 5, 7, generator=g) > 0.6 for _ in range(2))
    got = mask_iou(one, other).tolist()
    for a, b, value in zip(one.flatten(1).tolist(), other.flatten(1).tolist(), got):
        A, B = ({i for i, x in enumerate(m) if x} for m in (a, b))
        assert value == pytest.approx(len(A & B) / len(A | B))


def test_iou_of_equal_disjoint_and_empty_masks():
    left = torch.zeros(4, 4, dtype=torch.bool)
    left[:, :2] = True
    empty = torch.zeros_like(left)
    assert mask_iou(torch.stack([left, left, empty]), torch.stack([left, ~left, empty])).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="booleans of one shape"):
        mask_iou(left.float(), left)
