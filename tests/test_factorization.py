"""The mathematics of the fit, against autograd and against the residual itself, in float64."""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from panda_core.method import moments
from panda_core.method.factorization import (
    appearance_matrix,
    appearances_agree,
    explained_energy,
    fit,
    leading_eigenvectors,
    match_parts,
)
from panda_core.method.feature_store import FeatureStore
from panda_core.method.moments import ChannelMoments, SpatialMoments
from panda_core.method.solver import minimise_parts, parts_objective
from panda_core.progress import Cancelled
from tests.helpers import random_features


def generator(seed):
    return torch.Generator().manual_seed(seed)


def sizes(seed):
    """C, H, W, R_C, R_S, N at random."""
    g = generator(seed)

    def pick(low, high):
        return int(torch.randint(low, high + 1, (), generator=g))

    C, H, W = pick(3, 12), pick(2, 6), pick(2, 6)
    return C, H, W, pick(1, C), pick(1, min(6, H * W)), pick(2, 9)


def orthonormal(C, R, seed):
    return torch.linalg.qr(torch.randn(C, C, generator=generator(seed), dtype=torch.float64)).Q[:, :R]


def residual(Z, A, P):
    """I Eq. 3 as it stands."""
    return (Z - A @ (A.t() @ Z @ P) @ P.t()).square().sum()


def problem(seed):
    C, H, W, R_C, R_S, N = sizes(seed)
    Z = random_features(N, C, H, W, seed).flatten(2)
    A = orthonormal(C, R_C, seed)
    P = torch.rand(H * W, R_S, generator=generator(seed), dtype=torch.float64)
    X = A.t() @ Z
    return Z, A, P, (X.mT @ X).sum(dim=0)


@pytest.mark.parametrize("seed", range(20))
def test_the_loss_formula_is_the_residual(seed):
    Z, A, P, W = problem(seed)
    torch.testing.assert_close(Z.square().sum() + parts_objective(P, W @ P), residual(Z, A, P), rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(20))
def test_the_papers_eq_4_and_5_are_autograds(seed):
    """For any A and P, orthonormal or not: the equations that the yardstick in benchmarks/ runs."""
    from benchmarks.released import gradient_appearances, gradient_parts

    Z, A, P, _ = problem(seed)
    A = A + 0.1 * torch.randn(A.shape, generator=generator(seed), dtype=A.dtype)
    A.requires_grad_()
    P.requires_grad_()
    by_A, by_P = torch.autograd.grad(residual(Z, A, P), (A, P))
    torch.testing.assert_close(gradient_parts(Z, A, P).detach(), by_P, rtol=1e-10, atol=1e-10 * by_P.norm())
    torch.testing.assert_close(gradient_appearances(Z, A, P).detach(), by_A, rtol=1e-10, atol=1e-10 * by_A.norm())


@pytest.mark.parametrize("seed", range(20))
def test_the_loss_never_rises_and_parts_stay_non_negative(seed):
    *_, P, W = problem(seed)
    solution = minimise_parts(lambda Q: W @ Q, P[None], iterations=60, tolerance=0)
    assert bool((solution.parts >= 0).all())
    f = solution.history[:, 0]
    assert bool((f[1:] <= f[:-1]).all())
    exact = parts_objective(solution.parts, W @ solution.parts)
    torch.testing.assert_close(solution.objective, exact, rtol=1e-9, atol=0)  # the steps' own sums have not drifted


@pytest.mark.parametrize("seed", range(20))
def test_the_loss_never_rises_where_w_is_indefinite(seed):
    """Random W of both signs: here some p >= 0 has pᵀWp < 0, and without a bound f would fall for ever."""
    M = torch.randn(30, 30, generator=generator(seed), dtype=torch.float64)
    W = M + M.t()
    start = torch.rand(2, 30, 4, generator=generator(seed + 1), dtype=torch.float64)
    products = []
    solution = minimise_parts(lambda Q: (products.append(1), W @ Q)[1], start, iterations=200, tolerance=0)
    assert bool((solution.history[1:] <= solution.history[:-1]).all())
    assert bool((solution.history[-1] < solution.history[0]).all())
    assert bool(torch.isfinite(solution.parts).all()) and float(solution.parts.norm(dim=1).max()) <= 2**0.5 + 1e-9
    assert len(products) == len(solution.history)  # one for the start, one a step
    exact = parts_objective(solution.parts, W @ solution.parts)
    torch.testing.assert_close(solution.objective, exact, rtol=1e-8, atol=0)


@pytest.mark.parametrize("seed", range(10))
def test_the_solver_ends_at_a_stationary_point(seed):
    """Projected gradient ~ 0: no feasible direction goes down."""
    *_, P, W = problem(seed)
    W = W / W.trace()
    P = minimise_parts(lambda Q: W @ Q, P[None], iterations=3000, tolerance=1e-14).parts[0]
    P.requires_grad_()
    (G,) = torch.autograd.grad(parts_objective(P, W @ P), P)
    P = P.detach()
    assert float((P - (P - G).clamp_min(0)).norm()) < 1e-5


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e6])
def test_the_solver_knows_no_scale(scale):
    *_, P, W = problem(3)
    one = minimise_parts(lambda Q: W @ Q, P[None], iterations=30)
    other = minimise_parts(lambda Q: scale * (W @ Q), 7 * P[None], iterations=30)
    # rounding differs by the scale, and thirty steps of a nonconvex descent enlarge it
    torch.testing.assert_close(one.parts, other.parts, rtol=0, atol=1e-4)
    torch.testing.assert_close(scale * one.objective, other.objective, rtol=1e-6, atol=0)


@pytest.mark.parametrize("seed", range(20))
def test_appearances_given_parts_are_the_best_there_are(seed):
    """Derived: Σ ZP(2I - PᵀP)PᵀZᵀ; no other orthonormal A does better, the papers' (without 2I - PᵀP) included."""
    Z, A, P, _ = problem(seed)
    R_C = A.shape[1]
    best = leading_eigenvectors(appearance_matrix([Z[..., None]], P), R_C)
    loss = residual(Z, best, P)
    papers = leading_eigenvectors(appearance_matrix([Z[..., None]], P, torch.eye(P.shape[1])), R_C)
    slack = 1e-9 * Z.square().sum()
    assert loss <= residual(Z, papers, P) + slack
    for other in range(20):
        assert loss <= residual(Z, orthonormal(len(A), R_C, other), P) + slack


@pytest.mark.parametrize("seed", range(5))
def test_with_all_channels_the_objective_does_not_depend_on_a(seed):
    Z, _, P, _ = problem(seed)
    C = Z.shape[1]
    losses = torch.stack([residual(Z, orthonormal(C, C, s), P) for s in range(5)])
    torch.testing.assert_close(losses, losses[:1].expand(5), rtol=1e-10, atol=0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side", [4, 64])
def test_sums_add_up_over_batches(seed, side):
    Z = random_features(6, 4, side, side, seed, torch.float32)
    cuts = (0, 1, 4, 6)
    pieces = [Z[a:b] for a, b in itertools.pairwise(cuts)]
    for kind in (ChannelMoments, SpatialMoments):
        whole, parts = kind.of(Z), [kind.of(piece) for piece in pieces]
        total = parts[2] + parts[0] + parts[1]
        for name, value in vars(whole).items():
            # float32 products summed in another order
            torch.testing.assert_close(
                getattr(total, name), value, rtol=1e-4, atol=1e-4 * float(torch.as_tensor(value).abs().max())
            )


def test_moments_are_what_they_say():
    Z = random_features(5, 6, 3, 4, 0)
    sums = ChannelMoments.of(Z)
    fibres = Z.transpose(0, 1).flatten(1)
    torch.testing.assert_close(sums.mean, fibres.mean(dim=1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sums.second_moment, fibres @ fibres.t() / 60, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_sketch_does_what_w_does(seed, monkeypatch):
    """At S = 32², by lowering the limit: same product on smooth parts, and never more energy than there is."""
    # a decaying spectrum, as features have; rank below the sketch's 256
    g = generator(seed)
    smooth = torch.randn(60, 1024, generator=g) * torch.logspace(0, -2, 60)[:, None]
    X = (torch.randn(8, 20, 60, generator=g) @ smooth).reshape(8, 20, 32, 32)
    exact = SpatialMoments.of(X)
    monkeypatch.setattr(moments, "DENSE_LIMIT", 0)
    sketch = SpatialMoments.of(X)
    assert sketch.matrix.shape == (1024, 256)
    assert sketch.energy == exact.energy
    P = torch.rand(1024, 5, generator=g, dtype=torch.float64)
    WP = exact.matrix @ P
    torch.testing.assert_close(sketch.affinity()(P), WP, rtol=0, atol=1e-3 * float(WP.abs().max()))


@pytest.mark.parametrize("R_C", [12, 5])
def test_fit_is_deterministic_and_ordered(R_C):
    Z = random_features(40, 12, 8, 8, 0, torch.float32)
    one, other = (fit(lambda a, n: Z[a : a + n], R_C, 4, 40, seed=3) for _ in range(2))
    assert torch.equal(one.parts, other.parts)
    assert torch.equal(one.appearances, other.appearances)
    assert bool((one.parts >= 0).all())
    torch.testing.assert_close(one.appearances.t() @ one.appearances, torch.eye(R_C), atol=1e-5, rtol=0)
    X = one.appearances.t() @ Z.flatten(2)
    energy = (X @ one.parts).square().sum(dim=(0, 1))
    assert bool((energy[1:] <= energy[:-1] * (1 + 1e-5)).all())
    assert one.energy <= one.bound + 1e-6
    assert len(one.stability) == 4 and all(0 <= s <= 1 for s in one.stability)


@pytest.mark.parametrize(("R_C", "R_S"), [(12, 4), (5, 4), (1, 1), (12, 16)])
def test_the_reported_loss_is_the_residual(R_C, R_S):
    Z = random_features(20, 12, 4, 4, 1, torch.float32)
    got = fit(lambda a, n: Z[a : a + n], R_C, R_S, 20)
    expected = residual(Z.flatten(2).double(), got.appearances.double(), got.parts.double()) / 20
    # features kept in half precision between passes, and sums in float32
    assert got.loss == pytest.approx(float(expected), rel=2e-3, abs=2e-5 * float(Z.square().sum() / 20))


def test_features_drawn_again_give_the_same_fit():
    Z = random_features(40, 12, 8, 8, 2, torch.float32)
    drawn = []

    def draw(first, count):
        drawn.append(count)
        return Z[first : first + count]

    kept = fit(draw, 5, 4, 40)
    passes_kept = sum(drawn) / 40
    drawn.clear()
    redrawn = fit(draw, 5, 4, 40, memory=0)
    assert passes_kept == pytest.approx(1, abs=0.5) and sum(drawn) >= 4 * 40
    assert kept.loss == pytest.approx(redrawn.loss, rel=1e-3)  # half precision against float32


def test_the_store_keeps_its_bound_and_any_scale():
    Z = random_features(64, 4, 8, 8, 0, torch.float32) * 1e9
    store = FeatureStore(lambda a, n: Z[a : a + n], 8, limit=2 * 4 * 64 * 20)
    for _ in range(2):
        got = torch.cat(list(store.batches(0, 61)))
        torch.testing.assert_close(got, Z[:61], rtol=2e-3, atol=1e-3 * float(Z.abs().max()))
    assert 0 < store.held_bytes <= 2 * 4 * 64 * 20


def test_no_sum_is_s_by_s_on_a_large_grid():
    """The bound stated in SpatialMoments: 8·S·256 bytes."""
    sums = SpatialMoments.of(torch.randn(1, 2, 128, 128, generator=generator(0)))
    assert sums.matrix.numel() * sums.matrix.element_size() <= 8 * 128**2 * 256


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor that anything made."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return out


@pytest.mark.parametrize("side", [64, 128])
def test_a_whole_fit_of_a_large_layer_makes_nothing_larger_than_its_sketch(side):
    """Refinement on a graph has its own bound, ROWS."""
    Z = random_features(4, 3, side, side, 0, torch.float32)
    with Largest() as largest:
        fit(lambda a, n: Z[a : a + n], 3, 2, 4, starts=2)
    assert 4 * side**2 * 256 <= largest.bytes <= 8 * side**2 * 256  # as stated in SpatialMoments; W: 8 * side**4


def test_a_large_layer_is_fitted_without_w():
    Z = random_features(6, 4, 64, 64, 0, torch.float32)
    got = fit(lambda a, n: Z[a : a + n], 4, 3, 6)
    expected = residual(Z.flatten(2).double(), got.appearances.double(), got.parts.double()) / 6
    assert got.loss == pytest.approx(float(expected), rel=5e-3)
    assert 0.1 < got.energy <= got.bound * 1.01


def test_fit_draws_no_more_than_it_needs():
    Z = random_features(2048, 6, 4, 4, 0, torch.float32)
    got = fit(lambda a, n: Z[a : a + n], 6, 3)
    assert 64 < got.samples < 2048


def test_a_fit_can_be_cancelled_at_every_stage():
    Z = random_features(40, 12, 8, 8, 0, torch.float32)
    stages = []
    fit(lambda a, n: Z[a : a + n], 5, 4, 40, report=lambda p: stages.append(p.stage))
    assert set(stages) == {"sampling", "solving"}
    for stop in (0, len(stages) // 2, len(stages) - 1):
        seen = []

        def report(progress, seen=seen, stop=stop):
            seen.append(progress)
            return len(seen) <= stop

        with pytest.raises(Cancelled):
            fit(lambda a, n: Z[a : a + n], 5, 4, 40, report=report)
        assert len(seen) == stop + 1


def test_the_parts_so_far_are_told_while_samples_are_drawn_and_change_nothing():
    Z = random_features(128, 6, 4, 4, 0, torch.float32)
    told = []
    watched = fit(lambda a, n: Z[a : a + n], 6, 3, 128, report=told.append)
    early = [p for p in told if p.stage == "sampling" and p.parts is not None]
    assert early and all(p.parts.shape == (16, 3) and 0 < p.energy <= watched.bound + 0.05 for p in early)
    assert torch.equal(watched.parts, fit(lambda a, n: Z[a : a + n], 6, 3, 128).parts)


@pytest.mark.parametrize(("R_C", "R_S", "samples"), [(0, 4, 10), (13, 4, 10), (4, 0, 10), (4, 17, 10), (4, 4, 1)])
def test_ranks_that_cannot_be_are_refused(R_C, R_S, samples):
    Z = random_features(10, 12, 4, 4, 0, torch.float32)
    with pytest.raises(ValueError, match=r"ranks are|samples is"):
        fit(lambda a, n: Z[a : a + n], R_C, R_S, samples)


def test_means_are_taken_inside_the_frame():
    Z = random_features(20, 5, 6, 6, 0, torch.float32)
    got = fit(lambda a, n: Z[a : a + n], 5, 3, 20, frame=(1, 2, 5, 4))
    torch.testing.assert_close(got.mean, Z[:, :, 1:5, 2:4].mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_parts_are_matched_in_any_order():
    P = torch.rand(50, 6, generator=generator(0))
    torch.testing.assert_close(match_parts(P, 3 * P[:, torch.tensor([3, 0, 5, 1, 2, 4])]), torch.ones(6))


def test_appearances_agree_up_to_equal_eigenvalues():
    Q = orthonormal(8, 8, 0)
    turned = Q.clone()
    turned[:, 1:3] = Q[:, 1:3] @ orthonormal(2, 2, 1)
    values = torch.tensor([9.0, 4.0, 4.0, 1.0, 0.5, 0.2, 0.1, 0.05], dtype=torch.float64)
    one, other = ((U * values) @ U.t() for U in (Q, turned))
    assert appearances_agree(one, other, leading=4)
    rarer = (Q * values * torch.tensor([1, 1, 1, 1.6, 1, 1, 1, 1])) @ Q.t()  # a trait that more of these samples show
    assert appearances_agree(one, rarer, leading=4)
    mixed = Q.clone()
    mixed[:, [0, 1]] = Q[:, [0, 1]] @ torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)
    assert not appearances_agree(one, (mixed * values) @ mixed.t(), leading=4)


def test_explained_energy_of_no_parts_is_0():
    *_, W = problem(0)
    assert explained_energy(torch.zeros(len(W), 2), lambda P: W @ P, float(W.trace())) == 0
