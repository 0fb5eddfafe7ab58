"""Factors as the papers' authors published them: two .npy arrays -> Factors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..factors import Factors, FactorsInfo, suggest_by_size
from ..method.factorization import coefficient_deviation, means_at_parts
from ..method.feature_store import FeatureStore
from ..method.moments import ChannelMoments
from ..method.saliency import find_background
from ..method.variations import group_parts

SAMPLES = 100  # for z̄, the second moment and σ, which the files do not hold


def info_of_pair(generator: str, weights: str, layer: int, grid: tuple[int, int], psi: float) -> FactorsInfo:
    """What is said of factors that were read from the authors' files; grid: H, W."""
    return FactorsInfo(generator, weights, layer, *grid, psi=psi, samples=SAMPLES, is_raw=True,
                       solver="the authors', as published", sign_rule="as published")  # fmt: skip


def read_pair(parts: Path, appearances: Path, draw, batch: int, frame, info: FactorsInfo) -> Factors:
    """P and A as they are, sign, order and scale kept, with what is missing measured on 100 samples.

    Args:
        parts, appearances: .npy files of P [S, R_S] and A [C, R_C]; A need not be exactly orthonormal.
        draw, batch, frame: as in `factorization.fit`.
        info: which generator and layer; what the files do not say is left as it is.
    Raises: ValueError if a file is not such an array.
    """
    P, A = read_array(parts, info.height * info.width), read_array(appearances, draw(0, 1).shape[1])
    store = FeatureStore(draw, batch)
    top, left, bottom, right = frame
    sums = [ChannelMoments.of(Z[:, :, top:bottom, left:right]) for Z in store.batches(0, SAMPLES)]
    total = sum(sums[1:], sums[0])
    sigma = coefficient_deviation(store, A.double(), P.double(), SAMPLES).float()
    Z = torch.cat(list(store.batches(0, SAMPLES)))
    info = replace(
        info,
        things=group_parts(means_at_parts(store, P, SAMPLES)),
        background=find_background(Z, A, total.mean.float(), frame),
    )
    return Factors(A, P, total.mean.float(), total.second_moment.float(), sigma, suggest_by_size(sigma), info)


def read_array(path: Path, rows: int) -> Tensor:
    """A matrix of so many rows from a .npy file, in float32; nothing in it is run."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header cannot ask for more than is there
        if array.ndim != 2 or len(array) != rows or array.dtype.kind != "f":
            raise ValueError(f"it holds {array.dtype} of shape {array.shape}")
        return torch.from_numpy(np.array(array, dtype=np.float32))
    except (ValueError, OSError, EOFError, OverflowError, SyntaxError) as error:
        raise ValueError(f"{path.name} is not a .npy file of {rows} rows of real numbers: {error}.") from error
