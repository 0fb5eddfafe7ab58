"""Learn appearances A and parts P from feature maps (I Eq. 3), with nothing to tune."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..progress import Cancelled, Progress
from .feature_store import FeatureStore
from .moments import ChannelMoments, SpatialMoments
from .parts import fix_signs, scale_parts
from .saliency import find_background
from .solver import Affinity, Solution, minimise_parts, parts_objective
from .variations import group_parts

TRIAL, ITERATIONS = 60, 600  # steps of every start, and of the best one, at most
NEARLY_EQUAL = 0.2  # eigenvalues that differ by less are one: their vectors still mix at 1,000 samples
LEADING = 32  # appearances that must have settled before the fit stops drawing
HELD_OUT_GAP = 2e-3  # share of the energy that other samples may still be worth
FIRST_CHECK, MAX_SAMPLES = 64, 2048  # samples at the first look, and at the last
BACKGROUND_SAMPLES, THING_SAMPLES = 100, 512  # that settle which appearance is the background, and what the things are


@dataclass(frozen=True)
class Fit:
    """What a fit learned, in float32, and what it measured; the fields are those of Factors and FactorsInfo."""

    appearances: Tensor
    parts: Tensor
    mean: Tensor
    second_moment: Tensor
    sigma: Tensor
    samples: int
    loss: float
    energy: float
    bound: float
    stability: tuple[float, ...]
    things: tuple[tuple[int, ...], ...]
    background: tuple[int, int]


def fit(
    draw: Callable[[int, int], Tensor],
    R_C: int,
    R_S: int,
    samples: int | None = None,
    seed: int = 0,
    frame: tuple[int, int, int, int] | None = None,
    batch: int = 16,
    starts: int = 4,
    memory: int = 2**30,
    report: Callable[[Progress], bool | None] | None = None,
) -> Fit:
    """Learn A and P: min over A, P >= 0 of Σ_i ‖Z_i - A(AᵀZ_iP)Pᵀ‖² (I Eq. 3).

    At R_C = C the objective does not depend on A: one streamed pass gives W = ΣZᵀZ and the HOSVD's A. At R_C < C,
    W = ΣZᵀAAᵀZ, and A given P is the leading eigenvectors of Σ Z_iP(2I - PᵀP)PᵀZ_iᵀ (derived in docs/method.md).

    The workers of a Team must all call it alike: each draws its share of the batches, all get the result of one.

    Args:
        draw: (first, count) -> Z of samples first ... first + count - 1, [count, C, H, W]; the same each time.
        samples: N; None draws until the held-out objective and the leading 32 appearances have settled.
        seed: of the starts of P.
        frame: (top, left, bottom, right), the cells over which means are taken; None: all.
        memory: bytes of features kept (float16) for the passes after the first; beyond that they are drawn again.
            Besides: two sums of SpatialMoments, two of ChannelMoments, and one batch.
        report: told of progress; returning False cancels (where several workers share a fit, it must not).
    Raises: ValueError for ranks that the features do not allow; Cancelled; ConnectionError if another worker ended.
    """
    if samples is not None and samples < 2:
        raise ValueError(f"samples is {samples}; a fit needs at least 2.")
    batch = max(1, min(batch, (samples or FIRST_CHECK) // 2))
    tell = _teller(report)
    store = FeatureStore(draw, batch, memory)
    first = draw(0, 1)
    _, C, H, W = first.shape
    if not 1 <= R_C <= C or not 1 <= R_S <= H * W:
        raise ValueError(f"ranks are {R_C} x {R_S}; this layer allows 1 to {C} appearances and 1 to {H * W} parts.")
    start = torch.rand(starts, H * W, R_S, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    start = start.to(first.device)

    def first_says(found):  # of workers on unlike machines, whose last bits may differ
        return store.team.share(found, 0)

    halves = _Halves(store, frame)
    checks = _check_points(samples)
    sketch = _Sketch(halves, start[:1])
    for n in checks:
        halves.draw_to(
            n, lambda done: tell(Progress("sampling", done, checks[-1], *(sketch.at(done) if report else ())))
        )
        if n < checks[-1] and first_says(
            appearances_agree(*halves.second_moments()) and halves.held_out_gap(start) < HELD_OUT_GAP
        ):
            break
    channels, N = halves.channels[0] + halves.channels[1], halves.count
    A = first_says(leading_eigenvectors(channels.products, R_C))
    total = float(channels.products.trace())

    def solve(spatial: SpatialMoments, start: Tensor) -> Tensor:
        def step(i: int, so_far: Solution) -> None:
            best = int(so_far.objective.argmin())
            energy = -float(so_far.objective[best]) / total
            tell(Progress("solving", i, ITERATIONS, energy, so_far.parts[best].float()))

        return first_says(solve_parts(spatial.affinity(), start, report=step).parts[0])

    if R_C == C:
        parts_of_halves = halves.spatial
    else:  # alternate: P given A from all starts, A given P, then P again from where it was
        even, odd = project(store, A, N)
        best = solve(even + odd, start)
        matrix = sum(store.each(0, N, lambda Z: appearance_matrix([Z], best)))
        A = first_says(leading_eigenvectors(matrix, R_C))
        parts_of_halves = project(store, A, N)
    spatial = parts_of_halves[0] + parts_of_halves[1]
    P = solve(spatial, start if R_C == C else best[None])
    P = P[:, order_by_energy(P, spatial.affinity())]
    A = fix_signs(A)
    energy = explained_energy(P, spatial.affinity(), total)
    others = [solve_parts(half.affinity(), start).parts[0] for half in parts_of_halves]
    sigma = coefficient_deviation(store, A, P, N)
    inside = channels if frame is None else halves.inside[0] + halves.inside[1]
    Z = torch.cat(list(store.batches(0, min(N, BACKGROUND_SAMPLES))))
    background = find_background(Z, A.float(), inside.mean.float(), frame or (0, 0, H, W))
    return Fit(
        A.float(),
        P.float(),
        inside.mean.float(),
        inside.second_moment.float(),
        sigma.float(),
        samples=N,
        loss=(1 - energy) * total / N,
        energy=energy,
        bound=energy_bound(spatial, R_S, total),
        stability=tuple(torch.minimum(*(match_parts(P, other) for other in others)).tolist()),
        things=group_parts(means_at_parts(store, P, N)),
        background=background,
    )


class _Sketch:
    """What the parts look like while samples are still drawn: a few steps after 32 samples, 64, 128, …"""

    def __init__(self, halves: "_Halves", start: Tensor):
        self._halves, self._parts, self._next = halves, start, FIRST_CHECK // 2
        self._latest: tuple[float, Tensor] | tuple[()] = ()

    def at(self, count: int) -> tuple[float, Tensor] | tuple[()]:
        """(energy explained, P [S, R_S]) as last looked at; () before that."""
        if count >= self._next and len(self._halves.spatial) == 2:
            self._next *= 2
            spatial = self._halves.spatial[0] + self._halves.spatial[1]
            found = minimise_parts(spatial.affinity(), self._parts, iterations=10)
            self._parts = found.parts
            self._latest = -float(found.objective[0]) / spatial.energy, found.parts[0].float()
        return self._latest


class _Halves:
    """The sums of the even and of the odd batches: together the fit, apart the test of what has settled."""

    def __init__(self, store: FeatureStore, frame: tuple[int, int, int, int] | None):
        self._store, self._frame = store, frame
        self._batches = 0
        self.count = 0
        self.channels: list[ChannelMoments] = []
        self.inside: list[ChannelMoments] = []
        self.spatial: list[SpatialMoments] = []

    def draw_to(self, count: int, tell: Callable[[int], None]) -> None:
        for sums in self._store.each(self.count, count - self.count, self._sums):
            for halves, one in zip((self.channels, self.spatial, self.inside), sums):
                add_to_half(halves, self._batches, one)
            self._batches += 1
            self.count += sums[1].samples
            tell(self.count)

    def _sums(self, Z: Tensor) -> tuple:
        sums = ChannelMoments.of(Z), SpatialMoments.of(Z)
        if self._frame is None:
            return sums
        top, left, bottom, right = self._frame
        return *sums, ChannelMoments.of(Z[:, :, top:bottom, left:right])

    def second_moments(self) -> tuple[Tensor, Tensor]:
        return self.channels[0].second_moment, self.channels[1].second_moment

    def held_out_gap(self, start: Tensor) -> float:
        """What the parts of one half leave unexplained on the other and a fit to it, from there, would not.

        In shares of Σ‖Z‖², the worse of the two directions, at R_C = C. The held-out objective itself would also move
        with the samples that it is measured on; this moves with the parts alone.
        """
        gaps = []
        for mine, other in (self.spatial, self.spatial[::-1]):
            P, affinity = solve_parts(mine.affinity(), start).parts, other.affinity()
            refit = minimise_parts(affinity, P, tolerance=1e-5)
            gaps.append(explained_energy(refit.parts[0], affinity, other.energy))
            gaps[-1] -= explained_energy(P[0], affinity, other.energy)
        return max(gaps)


def _check_points(samples: int | None) -> list[int]:
    if samples is not None:
        return [samples]
    points = [FIRST_CHECK]
    while points[-1] < MAX_SAMPLES:
        points.append(2 * points[-1])
    return points


def _teller(report: Callable[[Progress], bool | None] | None) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        if report is not None and report(progress) is False:
            raise Cancelled("The fit was cancelled.")

    return tell


def solve_parts(affinity: Affinity, starts: Tensor, report: Callable[[int, Solution], None] | None = None) -> Solution:
    """P from the best of several starts, [1, S, R_S]: all of them a little way, then the one that got furthest."""
    if len(starts) == 1:
        return minimise_parts(affinity, starts, ITERATIONS, report=report)
    first = minimise_parts(affinity, starts, TRIAL, report=report)
    best = int(first.objective.argmin())
    tell = None if report is None else lambda i, so_far: report(TRIAL + i, so_far)
    return minimise_parts(affinity, first.parts[best : best + 1], ITERATIONS - TRIAL, report=tell)


def project(store: FeatureStore, A: Tensor, count: int) -> list[SpatialMoments]:
    """W = ΣZᵀAAᵀZ over the even batches and over the odd ones, in one pass."""
    halves: list[SpatialMoments] = []
    for i, sums in enumerate(
        store.each(0, count, lambda Z: SpatialMoments.of(torch.einsum("cr,nchw->nrhw", A.to(Z), Z)))
    ):
        add_to_half(halves, i, sums)
    return halves


def add_to_half(halves: list, number: int, sums) -> None:
    """Add the sums of batch `number` to those of its half."""
    if number < 2:
        halves.append(sums)
    else:
        halves[number % 2] += sums


def appearance_matrix(batches: Iterable[Tensor], parts: Tensor, mix: Tensor | None = None) -> Tensor:
    """Σ Z_iP(2I - PᵀP)PᵀZ_iᵀ, [C, C], float64: its leading eigenvectors are the best A given P (derived).

    With PᵀP = I it is the papers' Σ Z_iPPᵀZ_iᵀ (I A.1); `mix` replaces 2I - PᵀP.
    """
    P, total = parts.double(), 0
    mix = 2 * torch.eye(P.shape[1]).to(P) - P.t() @ P if mix is None else mix.double()
    for Z in batches:
        Y = (Z.flatten(2) @ P.to(Z)).double()  # [N, C, R_S]
        total = total + torch.einsum("ncr,rq,ndq->cd", Y, mix, Y)
    return total


def leading_eigenvectors(matrix: Tensor, count: int) -> Tensor:
    """The eigenvectors of the `count` largest eigenvalues of a symmetric matrix, largest first, [C, count], float64."""
    return torch.linalg.eigh(matrix.double()).eigenvectors.flip(1)[:, :count]


def explained_energy(parts: Tensor, affinity: Affinity, total: float) -> float:
    """1 - loss / Σ‖Z‖²: the share of the energy that A(AᵀZP)Pᵀ holds."""
    P = parts.double()
    return -float(parts_objective(P, affinity(P))) / total


def order_by_energy(parts: Tensor, affinity: Affinity) -> Tensor:
    """Part numbers by p_kᵀWp_k, largest first, [R_S]."""
    return (parts * affinity(parts)).sum(dim=0).argsort(descending=True)


def energy_bound(spatial: SpatialMoments, R_S: int, total: float) -> float:
    """The share of the energy that no P of this rank can exceed: (top R_S eigenvalues of W) / Σ‖Z‖².

    From a sketch the eigenvalues are those of its approximation: slightly low.
    """
    S = spatial.matrix.shape[0]
    if spatial.matrix.shape[1] == S:
        values = torch.linalg.eigvalsh(spatial.matrix)
    else:
        B = spatial.affinity().X
        values = torch.linalg.eigvalsh(B @ B.t())
    return float(values[-R_S:].sum()) / total


def coefficient_deviation(store: FeatureStore, A: Tensor, P: Tensor, count: int) -> Tensor:
    """σ(a_jᵀZp̂_k) over samples, [R_C, R_S], float64, in one pass."""
    region = scale_parts(P)

    def sums(Z: Tensor) -> tuple[Tensor, Tensor]:
        L = torch.einsum("cr,ncs->nrs", A, (Z.flatten(2) @ region.to(Z)).double())
        return L.sum(dim=0), L.square().sum(dim=0)

    total, squares = (sum(x) for x in zip(*store.each(0, count, sums)))
    return (squares / count - (total / count).square()).clamp_min(0).sqrt()


def means_at_parts(store: FeatureStore, P: Tensor, count: int) -> Tensor:
    """Y, [N, R_S, C]: p̂_k-weighted mean features of the first samples, at most THING_SAMPLES of `count`."""
    region = scale_parts(P.double())
    region = region / region.sum(dim=0).clamp_min(1e-12)
    rows = store.each(0, min(count, THING_SAMPLES), lambda Z: (Z.flatten(2) @ region.to(Z)).transpose(1, 2))
    return torch.cat(list(rows))


def match_parts(parts: Tensor, others: Tensor) -> Tensor:
    """For every part its |cos| with the other set's part that it is matched to, the most alike first, [R_S]."""
    P, O = parts / parts.norm(dim=0).clamp_min(1e-12), others / others.norm(dim=0).clamp_min(1e-12)
    cosines = (P.t() @ O).abs()
    matched = cosines.new_empty(len(cosines))
    left = cosines.clone()
    for _ in range(len(cosines)):
        row, column = divmod(int(left.argmax()), len(cosines))
        matched[row] = cosines[row, column]
        left[row], left[:, column] = -1, -1
    return matched


def appearances_agree(one: Tensor, other: Tensor, leading: int = LEADING, cosine: float = 0.95) -> bool:
    """Whether the leading eigenvectors of two second moments [C, C] are the same, up to nearly equal eigenvalues.

    An eigenvector u of one is held against the span of those of the other whose eigenvalues lie within 20 % of uᵀMu, M
    the other moment: between nearly equal eigenvalues a basis is arbitrary, the span is not. Not of u's own eigenvalue:
    that of a trait which few samples show differs between halves by how many show it, while its vector is the same.
    """

    def agree(M1: Tensor, M2: Tensor) -> bool:
        U = leading_eigenvectors(M1, leading)
        values, vectors = torch.linalg.eigh(M2)
        own = (U * (M2 @ U)).sum(dim=0)
        near = (values[:, None] - own).abs() <= NEARLY_EQUAL * own
        cosines = (vectors.t() @ U).square()  # [C, leading]
        near |= cosines == cosines.amax(dim=0)  # the likest vector always counts
        return bool(((cosines * near).sum(dim=0) >= cosine**2).all())

    return agree(one, other) and agree(other, one)
