"""Variations: what varies at a place, and things."""

from dataclasses import replace

import pytest
import torch

from panda_core.method.editing import add_appearance
from panda_core.method.variations import SUPPORT, group_parts, learn_variations, place_apart, vary

N, C, H, W = 40, 5, 4, 6
S = H * W


def samples(seed: int, n: int = N) -> torch.Tensor:
    """Features with a few strong directions, so that variations are distinct."""
    rng = torch.Generator().manual_seed(seed)
    common = torch.randn(6, C * S, generator=rng) * torch.tensor([8.0, 6, 4.5, 3, 2, 1.5])[:, None]
    noise = 0.1 * torch.randn(n, C * S, generator=rng)
    return (torch.randn(n, 6, generator=rng) @ common + noise + torch.randn(C * S, generator=rng)).reshape(n, C, H, W)


def region(seed: int) -> torch.Tensor:
    p = torch.rand(S, generator=torch.Generator().manual_seed(seed + 100))
    return torch.where(p > 0.5, p, 0.0)


def batches_of(Z: torch.Tensor, size: int = 16):
    return lambda: Z.split(size)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_outside_the_region_changes(seed):
    Z, p = samples(seed), region(seed)
    found = learn_variations(batches_of(Z), p)
    changed = (vary(Z, found.direction(0), 2.5) - Z).abs().amax(dim=(0, 1)).flatten()
    assert (changed[p <= SUPPORT] == 0).all() and (changed[p > SUPPORT] > 0).any()


@pytest.mark.parametrize("seed", range(8))
def test_strength_0_is_the_identity_and_opposite_strengths_cancel(seed):
    Z = samples(seed)
    E = learn_variations(batches_of(Z), region(seed)).direction(1)
    assert torch.equal(vary(Z, E, 0.0), Z)
    torch.testing.assert_close(vary(vary(Z, E, 1.7), E, -1.7), Z, atol=1e-5, rtol=0)  # float32 sums of size 30


@pytest.mark.parametrize("seed", range(8))
def test_scores_of_the_samples_have_mean_0_variance_1_and_no_correlation(seed):
    Z = samples(seed)
    scores = learn_variations(batches_of(Z), region(seed), 6).scores(Z).double()
    torch.testing.assert_close(scores.mean(dim=0), torch.zeros(6).double(), atol=2e-4, rtol=0)
    torch.testing.assert_close(scores.t() @ scores / N, torch.eye(6).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_variations_are_a_rotation_of_the_principal_components_in_float64(seed):
    Z, p = samples(seed), region(seed)
    found = learn_variations(batches_of(Z), p, 6)
    X = (Z.flatten(2) * p)[:, :, p > SUPPORT].flatten(1).double()
    X -= X.mean(dim=0)
    _, s, V = torch.linalg.svd(X, full_matrices=False)
    E = (found.units * found.deviations[:, None, None]).flatten(1).double()
    R = E @ V[:6].t() * N**0.5 / s[:6]
    torch.testing.assert_close(R @ R.t(), torch.eye(6).double(), atol=1e-4, rtol=0)
    assert (found.deviations.diff() <= 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_things_that_vary_equally_much_each_have_a_variation(seed):
    """Their principal components are mixtures, by the samples' chance alone."""
    rng = torch.Generator().manual_seed(seed)
    looks = torch.nn.functional.normalize(torch.randn(3, C, 4, generator=rng).flatten(1), dim=1).unflatten(1, (C, 4))
    amounts = torch.randn(100, 3, generator=rng)
    Z = torch.zeros(100, C, H, W)
    for thing, cells in enumerate((slice(0, 4), slice(10, 14), slice(20, 24))):
        Z.flatten(2)[:, :, cells] = amounts[:, thing, None, None] * looks[thing]
    found = learn_variations(batches_of(Z), torch.ones(S), 3)
    held = found.units.square().sum(dim=1)  # [M, S]
    shares = torch.stack([held[:, cells].sum(dim=1) for cells in (slice(0, 4), slice(10, 14), slice(20, 24))])
    assert float(shares.amax(dim=0).min()) > 0.95 and sorted(shares.argmax(dim=0).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_no_turn_of_a_plane_places_variations_further_apart(seed):
    E = torch.randn(5, C, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    R = place_apart(E)

    def apart(R: torch.Tensor) -> float:
        return float(torch.einsum("lcs,lm->mcs", E, R).square().sum(dim=1).var(dim=1).sum())

    torch.testing.assert_close(R.t() @ R, torch.eye(5).double())
    for a, b in [(0, 1), (1, 4), (2, 3)]:
        for angle in torch.linspace(-3, 3, 31).double():
            turn = torch.eye(5).double()
            turn[[a, a, b, b], [a, b, a, b]] = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()])
            assert apart(R @ turn) <= apart(R) + 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_moving_a_picture_along_a_variation_moves_its_score_by_as_much(seed):
    Z, p = samples(seed), (region(seed) > 0).float()  # of 0 and 1, where Z ∗ p̂ moves as Z does
    found = learn_variations(batches_of(Z), p, 4)
    moved = found.scores(vary(Z, found.direction(2), 1.5)) - found.scores(Z)
    wanted = torch.tensor([0.0, 0.0, 1.5, 0.0]).expand(N, 4)
    torch.testing.assert_close(moved, wanted, atol=2e-3, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_sample_that_is_furthest_along_has_a_positive_score(seed):
    Z = samples(seed)
    scores = learn_variations(batches_of(Z), region(seed), 6).scores(Z)
    furthest = scores.gather(0, scores.abs().argmax(dim=0, keepdim=True))
    assert (furthest > 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_batches_and_blocks_of_any_size_give_the_same(seed, monkeypatch):
    Z, p = samples(seed), region(seed)
    whole = learn_variations(batches_of(Z, N), p, 5)
    monkeypatch.setattr("panda_core.method.variations.BLOCK", 3 * N * C)  # three cells at a time
    pieces = learn_variations(batches_of(Z, 7), p, 5)
    for name in ("units", "deviations", "centres"):
        torch.testing.assert_close(getattr(pieces, name), getattr(whole, name), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_where_only_one_appearance_varies_it_is_the_papers_edit(seed):
    rng = torch.Generator().manual_seed(seed)
    a, p = torch.nn.functional.normalize(torch.randn(C, generator=rng), dim=0), region(seed)
    amount = torch.randn(N, generator=rng)
    Z = torch.randn(C, H, W, generator=rng) + amount[:, None, None, None] * a[:, None, None]
    found = learn_variations(batches_of(Z), p, 1)
    deviation = float(amount.std(unbiased=False))
    sign = 1.0 if float(found.direction(0).flatten() @ torch.outer(a, p).flatten()) > 0 else -1.0
    ours = vary(Z, found.direction(0), sign * 2.0)
    theirs = add_appearance(Z, a, torch.where(p > SUPPORT, p, 0.0), 2.0 * deviation)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_half_precision_keeps_a_thousandth(seed):
    found = learn_variations(batches_of(samples(seed)), region(seed), 4)
    E, rough = found.direction(0), replace(found, units=found.units.half()).direction(0)
    assert float((E - rough).norm() / E.norm()) < 1e-3


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda Z, p: learn_variations(batches_of(Z), torch.zeros(S)), "no cells"),
        (lambda Z, p: learn_variations(batches_of(Z[:1]), p), "at least 2"),
        (lambda Z, p: learn_variations(batches_of(Z), p, 3).direction(3), "0 to 2"),
        (lambda Z, p: learn_variations(batches_of(Z), p, 3).direction(-1), "0 to 2"),
        (lambda Z, p: vary(Z, torch.zeros(C, S), float("nan")), "finite"),
        (lambda Z, p: vary(Z, torch.zeros(C, S + 1), 1.0), "direction has shape"),
    ],
)
def test_a_mistake_is_one_sentence(make, says):
    with pytest.raises(ValueError, match=says):
        make(samples(0), region(0))


@pytest.mark.parametrize("seed", range(8))
def test_parts_that_vary_together_are_one_thing(seed):
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(200, 3, 4, generator=rng)  # three things
    whose = [0, 1, 0, 2, 1, 0]
    means = torch.stack([hidden[:, t] @ torch.linalg.qr(torch.randn(4, 4, generator=rng))[0] for t in whose], dim=1)
    means = means + 0.05 * torch.randn(means.shape, generator=rng)
    assert group_parts(means) == ((0, 2, 5), (1, 4), (3,))


@pytest.mark.parametrize("seed", range(8))
def test_things_do_not_depend_on_a_rotation_a_shift_or_a_scale(seed):
    rng = torch.Generator().manual_seed(seed)
    means = torch.randn(60, 6, 5, generator=rng) + torch.randn(60, 1, 5, generator=rng)
    turned = 3.0 * means @ torch.linalg.qr(torch.randn(5, 5, generator=rng))[0] + torch.randn(6, 5, generator=rng)
    assert group_parts(turned) == group_parts(means)
    assert sorted(k for thing in group_parts(means) for k in thing) == list(range(6))


def test_at_distance_0_parts_stay_apart_and_at_1_all_are_one():
    means = torch.randn(60, 4, 5, generator=torch.Generator().manual_seed(0))
    assert group_parts(means, 0.0) == ((0,), (1,), (2,), (3,))
    assert group_parts(means, 1.0) == ((0, 1, 2, 3),)
