import pytest
import torch

from panda_core.method.refinement import neighbour_affinity, refine_parts
from panda_core.method.solver import parts_objective
from tests.helpers import random_features


def draw(seed, N=2, C=6, H=5, W=4, R_S=3):
    Z = random_features(N, C, H, W, seed)
    g = torch.Generator().manual_seed(seed)
    A = torch.linalg.qr(torch.randn(C, C, generator=g, dtype=torch.float64)).Q
    return Z, A, torch.rand(H * W, R_S, generator=g, dtype=torch.float64)


def gram(Z, A):
    X = A.t() @ Z.flatten(1)
    return X.t() @ X


def masked(Z, A, k):
    """II Algorithm 2 by the definition."""
    X = (A.t() @ Z.flatten(1)).t()
    distance = torch.cdist(X, X)
    distance.fill_diagonal_(torch.inf)
    near = torch.zeros(len(X), len(X), dtype=torch.bool)
    near[torch.arange(len(X))[:, None], distance.topk(k, largest=False).indices] = True
    return (near & near.t() | torch.eye(len(X), dtype=torch.bool)) * (X @ X.t())


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("k", [1, 4, 19])
def test_the_graph_is_algorithm_2s(seed, k):
    Z, A, _ = draw(seed)
    W = neighbour_affinity(A.t() @ Z[0].flatten(1), k)
    expected = masked(Z[0], A, k)
    torch.testing.assert_close(W.to_dense(), expected, atol=1e-12 * float(expected.abs().max()), rtol=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_the_masked_affinity_is_indefinite_and_still_descends(seed):
    Z, A, P = draw(seed, N=1, H=8, W=8)
    W = masked(Z[0], A, 6)
    assert float(torch.linalg.eigvalsh(W)[0]) < -1e-3 * float(W.abs().max())
    refined = refine_parts(Z, A, P, k=6)[0]
    assert bool((refined >= 0).all())
    scale = float(gram(Z[0], A).trace())
    assert parts_objective(refined, W @ refined) < parts_objective(P, W @ P) - 1e-3 * scale


@pytest.mark.parametrize("C", [6, 24])  # fewer channels than the 20 positions, and more: W_i is formed only then
@pytest.mark.parametrize("seed", range(10))
def test_k_of_all_others_is_the_dense_problem(seed, C):
    Z, A, P = draw(seed, C=C)
    dense, graph = (refine_parts(Z, A, P, k, iterations=10) for k in (None, 19))
    torch.testing.assert_close(dense, graph, atol=1e-6, rtol=0)  # ten steps enlarge the rounding


@pytest.mark.parametrize("seed", range(10))
def test_refined_parts_do_not_depend_on_a_full_orthogonal_a(seed):
    """II 4.1.1."""
    Z, A, P = draw(seed)
    turned = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(99), dtype=torch.float64)).Q
    one, other = (refine_parts(Z, B, P, iterations=10) for B in (A, turned))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(10))
def test_refinement_only_lowers_its_objective(seed):
    Z, A, P = draw(seed)
    refined = refine_parts(Z, A, P)
    for z, p in zip(Z, refined):
        W = gram(z, A)
        assert parts_objective(p, W @ p) <= parts_objective(P, W @ P)


@pytest.mark.parametrize("k", [None, 5])
def test_a_batch_is_refined_as_its_samples_are(k):
    Z, A, P = draw(3, N=4)
    batch = refine_parts(Z, A, P, k, iterations=10, tolerance=0)
    alone = torch.cat([refine_parts(z[None], A, P, k, iterations=10, tolerance=0) for z in Z])
    torch.testing.assert_close(batch, alone, atol=1e-8, rtol=0)


@pytest.mark.parametrize("k", [None, 6])
@pytest.mark.parametrize("seed", range(5))
def test_another_machines_rounding_gives_the_same_parts(seed, k):
    """Features that differ by 1e-6 of themselves, as two machines' do: a recipe must stay within 2/255."""
    Z, A, P = draw(seed, N=1, H=8, W=8)
    noise = torch.randn(Z.shape, generator=torch.Generator().manual_seed(seed), dtype=Z.dtype)
    one, other = (refine_parts(z, A, P, k) for z in (Z, Z * (1 + 1e-6 * noise)))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)  # seen 2e-5; Barzilai-Borwein steps gave 1e-1


def test_features_of_zeros_keep_the_parts_up_to_their_length():
    Z, A, P = draw(0, N=1)
    refined = refine_parts(torch.zeros_like(Z), A, P)
    torch.testing.assert_close(refined[0] / refined[0].norm(dim=0), P / P.norm(dim=0))


@pytest.mark.parametrize("k", [0, 20])
def test_k_outside_its_range_is_refused(k):
    Z, A, P = draw(0)
    with pytest.raises(ValueError, match="must be 1 to 19"):
        refine_parts(Z, A, P, k)


def test_at_128_squared_nothing_dense_is_held():
    """S = 16,384, k = 4: the affinity keeps at most k + 1 numbers a row; blocks of rows bound the distances."""
    Z = random_features(1, 4, 128, 128, 0, torch.float32)
    W = neighbour_affinity(Z[0].flatten(1), 4)
    assert W.values().numel() <= 16_384 * 5
    assert refine_parts(Z, torch.eye(4), torch.rand(16_384, 2), k=4, iterations=3).shape == (1, 16_384, 2)
