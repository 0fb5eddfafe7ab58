"""What the method owes to each of its choices, as pictures (I Figs. 7, 8, 25, 27, 28), with a line of figures for each.

python -m benchmarks.ablations FOLDER [--generator portraits] [--layer 5]

modes.png       parts from spatial modes apart (MPCA), joined (MPCA), without P >= 0, and ours; one row each
basis.png       the first appearances added everywhere: A from the HOSVD, and from a random start; one row each
inverse.png     a background appearance in six pictures, by AᵀZ (above) and by A⁻¹Z
appearances.png energy unexplained over rounds of the step in A (thick), and with the HOSVD's A kept (thin)
steps.png       parts after 10, 30, 100, 300 and 600 steps; rows of 4, 8 and 16 parts
"""

import argparse
import itertools
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks import released, targets, timing
from benchmarks.released import parts_gradient
from panda_core.fitting import batch_for, feature_source
from panda_core.images import PALETTE, heat_map, overlay_parts, to_pil
from panda_core.method.editing import add_appearance
from panda_core.method.factorization import (
    appearance_matrix,
    explained_energy,
    leading_eigenvectors,
    match_parts,
    solve_parts,
)
from panda_core.method.parts import fix_signs, scale_parts
from panda_core.method.saliency import find_background, saliency
from panda_core.method.solver import Dense, minimise_parts

TILE = 96  # pixels


def sheet(rows: list[list[Image.Image]], path: Path) -> None:
    whole = Image.new("RGB", (TILE * max(map(len, rows)), TILE * len(rows)), "white")
    for y, x in ((y, x) for y, row in enumerate(rows) for x in range(len(row))):
        whole.paste(rows[y][x].resize((TILE - 2, TILE - 2), Image.Resampling.BILINEAR), (x * TILE, y * TILE))
    whole.save(path)


def apart(W: Tensor, H: int, ranks: tuple[int, int]) -> Tensor:
    """MPCA with a factor for the rows and one for the columns (Lu et al., 2008): P = U ⊗ V, [S, r1 r2]."""
    W4 = W.reshape(H, -1, H, W.shape[0] // H)
    V = torch.eye(W4.shape[1], dtype=W.dtype)
    for _ in range(10):
        U = leading_eigenvectors(torch.einsum("awbx,wx->ab", W4, V @ V.t()), ranks[0])
        V = leading_eigenvectors(torch.einsum("awbx,ab->wx", W4, U @ U.t()), ranks[1])
    return torch.kron(U, V)


def modes(W: Tensor, H: int, start: Tensor, path: Path) -> None:
    R, P, rate = start.shape[2], start[0] / start[0].norm(), 0.05 / torch.linalg.eigvalsh(W)[-1]
    for _ in range(3000):
        P = P - rate * parts_gradient(P, W @ P)
    found = {
        "modes apart (MPCA)": apart(W, H, (2, R // 2)),
        "modes joined (MPCA)": leading_eigenvectors(W, R),
        "ours without P >= 0": P,
        "ours": solve_parts(Dense(W), start).parts[0],
    }
    sheet([[heat_map(p.reshape(H, -1)) for p in fix_signs(P).t()] for P in found.values()], path)
    for name, P in found.items():
        area = P.square().sum(dim=0).square() / P.pow(4).sum(dim=0) / len(P)  # 1 where |p| is the same everywhere
        Q = F.normalize(P.abs(), dim=0)
        overlap = ((Q.t() @ Q).sum() - R) / (R * R - R)
        energy = explained_energy(P, Dense(W), float(W.trace()))
        print(f"  {name:20} energy {energy:.3f}, area of a part {area.mean():.2f}, overlap of two {overlap:.2f}")


def basis(generator, cut, bases: dict[str, Tensor], Z: Tensor, path: Path) -> None:
    rows, everywhere = [], torch.ones(cut.features[0, 0].numel())
    for name, A in bases.items():
        L = torch.einsum("cr,nchw->rnhw", A, Z).flatten(1)
        share, deviation = L.square().mean(dim=1).cumsum(0) / Z.square().sum(dim=1).mean(), L.std(dim=1)
        edits = [add_appearance(cut.features[:1], a, everywhere, 3 * float(d)) for a, d in zip(A.t()[:7], deviation)]
        rows.append([to_pil(generator.tail(cut[:1].with_features(z)))[0] for z in (cut.features[:1], *edits)])
        print(f"  {name:20} energy held by the first appearance {share[0]:.2f}, by eight {share[7]:.2f}")
    sheet(rows, path)


def inverse(generator, cut, A: Tensor, Z: Tensor, path: Path) -> None:
    k, sign = find_background(Z, A, Z.mean(dim=(0, 2, 3)), generator.frame(cut.layer))
    both = A, torch.linalg.inv(A).t()
    rows = [[heat_map(m) for m in sign * saliency(cut.features, B[:, k])] for B in both]
    sheet([to_pil(generator.tail(cut)), *rows], path)
    alike = F.cosine_similarity(*(torch.einsum("cr,nchw->rnhw", B[:, :16], Z).flatten(1) for B in both), dim=1)
    off = (A.t() @ A - torch.eye(len(A))).abs().mean()
    print(
        f"  mean |AᵀA - I| {off:.1e}; cosine of both maps: appearance {k} {alike[k]:.3f}, least of 16 {alike.min():.3f}"
    )


def appearances(Z: Tensor, start: Tensor, ranks: list[int], R_C: int, path: Path) -> None:
    Z, curves = Z.double(), {}
    A0 = leading_eigenvectors(torch.einsum("nchw,ndhw->cd", Z, Z), R_C)
    total = float(Z.square().sum())
    for R in ranks:
        A, P, curves[R] = A0, start[:, :, :R], []
        for _ in range(8):
            X = torch.einsum("cr,nchw->nrhw", A, Z).flatten(2).flatten(0, 1)
            P = solve_parts(Dense(X.t() @ X), P).parts
            curves[R].append(1 - explained_energy(P[0], Dense(X.t() @ X), total))
            A = leading_eigenvectors(appearance_matrix([Z], P[0]), R_C)
        print(
            f"  R_C = {R_C}, R_S = {R:2}: unexplained {curves[R][0]:.4f} with the HOSVD's A, {curves[R][-1]:.4f} after"
        )
    picture = Image.new("RGB", (480, 320), "white")
    draw, high, low = ImageDraw.Draw(picture), max(map(max, curves.values())), min(map(min, curves.values()))
    for colour, (R, curve) in zip(PALETTE.astype(int).tolist(), curves.items()):
        at = [(60 + 54 * i, 20 + 270 * (high - y) / (high - low)) for i, y in enumerate(curve)]
        draw.line(at, tuple(colour), 3)
        draw.line([(60, at[0][1]), (438, at[0][1])], tuple(colour), 1)
        draw.text((4, at[0][1] - 6), f"R_S {R}", tuple(colour))
        draw.text((444, at[-1][1] - 6), f"{curve[-1]:.3f}", tuple(colour))
    picture.save(path)


def steps(W: Tensor, H: int, start: Tensor, ranks: list[int], image: Tensor, path: Path) -> None:
    rows, marks = [], (10, 30, 100, 300, 600)
    for R in ranks:
        found = [minimise_parts(Dense(W), start[:1, :, :R], n, 0.0).parts[0] for n in marks]
        maps = [scale_parts(P).t().reshape(1, R, H, -1) for P in found]
        maps = [F.interpolate(m.float(), image.shape[-2:], mode="bilinear", align_corners=False)[0] for m in maps]
        rows.append([overlay_parts(image, m, opacity=0.8) for m in maps])
        alike = ", ".join(f"{n}: {match_parts(P, found[-1]).mean():.2f}" for n, P in zip(marks, found[:-1]))
        print(f"  R_S = {R:2}: mean cosine with the parts of {marks[-1]} steps, after {alike}")
    sheet(rows, path)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    targets.add_arguments(parser)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layer", type=int, default=5)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3, help="of the released procedure, for inverse.png")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    generator = targets.prepare(args).generator
    psi = 0.8 if generator.psi_range else 1.0
    (C, H, _), draw = generator.layers[args.layer], feature_source(generator, args.layer, psi)
    batch = batch_for(generator.layers[args.layer])
    Z = torch.cat([draw(i, min(batch, args.samples - i)) for i in range(0, args.samples, batch)])
    X, cut = Z.double().flatten(2).flatten(0, 1), generator.head(generator.sample(range(6), psi), args.layer)
    W, S, ranks = X.t() @ X, X.shape[1], [4, 8, 16]
    start = torch.rand(4, S, max(ranks), generator=torch.Generator().manual_seed(0), dtype=W.dtype)
    A = fix_signs(leading_eigenvectors(torch.einsum("nchw,ndhw->cd", Z, Z), C).float())
    other = torch.linalg.qr(torch.randn(C, C, generator=torch.Generator().manual_seed(0))).Q
    print("parts (I Fig. 8)")
    modes(W, H, start[:, :, :8], args.folder / "modes.png")
    print("start of A (I Fig. 25): with as many appearances as channels the objective is the same for every A")
    basis(generator, cut, {"HOSVD": A, "random": other}, Z, args.folder / "basis.png")
    print("A transposed against A inverted, after 500 iterations of the released procedure (I Fig. 7)")
    *_, (drifted, _) = itertools.islice(released.descend(draw, A, 8, args.rate, args.samples), 500)
    inverse(generator, cut, drifted, Z, args.folder / "inverse.png")
    print("the step in A (I Fig. 27)")
    appearances(Z, start, ranks, min(16, C), args.folder / "appearances.png")
    print("steps in P (I Fig. 28)")
    steps(W, H, start, ranks, generator.tail(cut[:1]), args.folder / "steps.png")
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
