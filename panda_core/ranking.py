"""Order images by an appearance, anywhere or at a part (II Eqs. 17, 18), or by a variation of a thing: an index that
grows, and questions to it."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from .method.variations import Variations
from .progress import Cancelled, Progress
from .shapes import check_shape

FORMAT = 1
EVERYWHERE = -1  # the part number that stands for the whole picture; the last column of every table


def coefficients(features: Tensor, appearances: Tensor, parts: Tensor) -> Tensor:
    """Λ = AᵀZP for every sample, and the global sums AᵀZ1 as one more column: [N, R_C, R_S + 1].

    r_ijk = a_jᵀZ_ip_k (II Eq. 18), r_ij = a_jᵀZ_i1 (Eq. 17). The thin product first: C·S·R_S operations a sample.

    Args:
        features: Z, [N, C, H, W]; appearances: A, [C, R_C]; parts: P, [S, R_S].
    """
    check_shape("features", features, N=None, C=len(appearances), H=None, W=None)
    check_shape("parts", parts, S=features[0, 0].numel(), R_S=None)
    Z, A, P = features.flatten(2), appearances.to(features), parts.to(features)
    return A.t() @ torch.cat([Z @ P, Z.sum(dim=2, keepdim=True)], dim=2)


@dataclass(frozen=True)
class Table:
    """What an index asks of every picture: A, P (0 outside the frame), and the unit in which scores are stored.

    centre, scale: [R_C, R_S + 1]; a score is stored as (r - centre) / scale in float16. Both follow from the factors
    alone, so that whoever adds pictures, and in whatever order, stores the same numbers.
    """

    appearances: Tensor
    parts: Tensor
    inside: Tensor  # [S], 1 inside the frame
    centre: Tensor
    scale: Tensor

    @classmethod
    def of(
        cls, appearances: Tensor, parts: Tensor, mean: Tensor, second_moment: Tensor, frame: Tensor | None = None
    ) -> Self:
        """From A [C, R_C], P [S, R_S], z̄ [C], ΣZZᵀ/NS [C, C] and the cells inside the frame, [S] of 0 and 1."""
        A = appearances.double()
        inside = torch.ones(len(parts)) if frame is None else frame.float()
        P = parts * inside[:, None]
        mu = A.t() @ mean.double()
        spread = ((A.t() @ second_moment.double() * A.t()).sum(dim=1) - mu.square()).clamp_min(0).sqrt()
        mass = torch.cat([P.sum(dim=0), inside.sum()[None]]).double()
        return cls(appearances, P, inside, mu[:, None] * mass, (spread[:, None] * mass).clamp_min(1e-12))

    def stored(self, features: Tensor) -> np.ndarray:
        """The rows of these pictures as they are stored: Z [N, C, H, W] -> [R_C, R_S + 1, N], float16."""
        Z = features * self.inside.to(features).reshape(features.shape[2:])
        r = coefficients(Z, self.appearances, self.parts).double()
        r = (r - self.centre.to(r.device)) / self.scale.to(r.device)
        return r.clamp(-6e4, 6e4).half().permute(1, 2, 0).contiguous().cpu().numpy()

    def scores(self, stored: np.ndarray, appearance: int, part: int) -> np.ndarray:
        """From what is stored for one question, [n], to feature units, float32."""
        scale, centre = (np.float32(t[appearance, part].item()) for t in (self.scale, self.centre))
        return torch.from_numpy(stored).float().numpy() * scale + centre  # 100 times as fast as numpy's conversion

    def check(self, appearance: int, part: int) -> None:
        """Raise a ValueError if there is no such question."""
        R_C, columns = self.centre.shape
        if not 0 <= appearance < R_C or not -1 <= part < columns - 1:
            raise ValueError(
                f"appearance {appearance} at part {part} was asked; this index has appearances 0 to {R_C - 1} "
                f"and parts 0 to {columns - 2}."
            )

    def digest(self) -> str:
        parts = (self.appearances, self.parts, self.centre, self.scale)
        return hashlib.sha256(b"".join(t.cpu().contiguous().numpy().tobytes() for t in parts)).hexdigest()[:16]


@dataclass(frozen=True)
class VariationTable:
    """What an index asks of every picture instead: how far it is along the variations of several regions, in standard
    deviations. Its questions are (variation, region), its shapes [M, regions]."""

    regions: tuple[Variations, ...]

    @property
    def centre(self) -> Tensor:
        return torch.zeros(min(map(len, self.regions)), len(self.regions))

    def stored(self, features: Tensor) -> np.ndarray:
        """The scores of these pictures: Z [N, C, H, W] -> [M, regions, N], float16."""
        M = len(self.centre)
        scores = torch.stack([region.scores(features)[:, :M] for region in self.regions])  # [regions, N, M]
        return scores.clamp(-6e4, 6e4).half().permute(2, 0, 1).contiguous().cpu().numpy()

    def scores(self, stored: np.ndarray, variation: int, region: int) -> np.ndarray:
        return torch.from_numpy(stored).float().numpy()

    def check(self, variation: int, region: int) -> None:
        M, regions = self.centre.shape
        if not 0 <= variation < M or not 0 <= region < regions:
            raise ValueError(
                f"variation {variation} of region {region} was asked; this index has variations 0 to {M - 1} "
                f"of regions 0 to {regions - 1}."
            )

    def digest(self) -> str:
        tensors = (t for region in self.regions for t in (region.units, region.deviations, region.centres))
        return hashlib.sha256(b"".join(t.cpu().contiguous().numpy().tobytes() for t in tensors)).hexdigest()[:16]


@dataclass(frozen=True)
class Shard:
    """Pictures first ... first + count - 1: an array [R_C, R_S + 1, count] of float16, in a file of its own."""

    first: int
    count: int

    @property
    def file(self) -> str:
        return f"{self.first:010}-{self.count}.npy"


class RankingIndex:
    """The coefficients of N pictures on disk: memory-mapped, one contiguous run per question and shard.

    A folder holds `index.json` (what is indexed), and per shard an array and a note that it is there, written in that
    order and each whole or not at all: a shard without its note does not count. So a killed build goes on where the
    last shard ended, nothing is lost or counted twice, and several workers can fill one folder with their own ranges;
    of two that make the same shard, the later one stays. There is no folder before the first shard.
    """

    def __init__(self, folder: Path, table: Table | VariationTable, about: dict[str, Any]):
        """Open the index of this table in `folder`, or begin one.

        Raises: ValueError if the folder holds an index of something else.
        """
        self.folder, self.table, self.about = folder, table, about
        self.about = mine = {"format": FORMAT, "table": table.digest(), "shape": list(table.centre.shape), **about}
        header = folder / "index.json"
        found = _read(header)
        if found not in (None, mine):
            wrong = sorted(key for key in mine.keys() | found.keys() if mine.get(key) != found.get(key))
            raise ValueError(f"{folder} holds an index of something else: {', '.join(wrong)} differ.")
        self.shards = self._find_shards()
        self._maps: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return sum(shard.count for shard in self.shards)

    def grow(
        self,
        draw: Callable[[int, int], Tensor],
        upto: int,
        first: int = 0,
        batch: int = 16,
        shard: int = 4096,
        report: Callable[[Progress], bool | None] | None = None,
        together: bool = False,
    ) -> None:
        """Add the pictures first ... upto - 1 that are missing; draw(first, count) gives their features Z.

        together: others may be filling the same range. Every next shard is a random one that nobody has finished, so
        that the work is shared, nobody waits, and hardly anything is done twice.
        Raises: Cancelled if `report` returns False; finished shards stay.
        """
        total = None
        while missing := list(self._missing(first, upto, shard)):
            left = sum(end - start for start, end in missing)
            total = left if total is None else total
            start, end = random.choice(missing) if together else missing[0]
            rows = []
            for at in range(start, end, batch):
                rows.append(self.table.stored(draw(at, min(batch, end - at))))
                done = Progress("ranking", total - left + min(at + batch, end) - start, total)
                if report is not None and report(done) is False:
                    raise Cancelled("The ranking was cancelled; what it had finished is kept.")
            self._add(start, np.concatenate(rows, axis=2))
            if together:
                self.shards = self._find_shards()

    def holds(self, count: int) -> bool:
        """Whether the pictures 0 ... count - 1 are all there; their scores are then the first `count`."""
        numbers = self.numbers()
        return len(numbers) >= count and (count == 0 or bool(numbers[count - 1] == count - 1))

    def numbers(self) -> np.ndarray:
        """The picture numbers, in the order of all scores: [N]."""
        ranges = [np.arange(s.first, s.first + s.count) for s in self.shards]
        return np.concatenate(ranges) if ranges else np.zeros(0, np.int64)

    def scores(self, appearance: int, part: int = EVERYWHERE) -> np.ndarray:
        """r_ijk of every picture, or r_ij everywhere, [N], float32, in feature units (to float16's three digits); of a
        VariationTable the score along variation `appearance` of region `part`."""
        self.table.check(appearance, part)
        runs = [self._map(s)[appearance, part] for s in self.shards]
        return self.table.scores(np.concatenate(runs) if runs else np.zeros(0, np.float16), appearance, part)

    def weighted(
        self, terms: Iterable[tuple[int, int, float]], count: int | None = None, features: Tensor | None = None
    ) -> np.ndarray:
        """Σ w z_jk over (appearance, part, weight), every score z in standard deviations of the first `count` scores.

        Of those pictures themselves, [count] (None: of all, [N]); or, on the same scale, of others by their features
        Z, [n, C, H, W]: [n].
        """
        rows = None if features is None else self.table.stored(features)
        total = np.zeros(len(self.numbers()[:count]) if rows is None else rows.shape[2], np.float32)
        for appearance, part, weight in terms if len(self) else ():
            known = self.scores(appearance, part)[:count]
            score = known if rows is None else self.table.scores(rows[appearance, part], appearance, part)
            total += np.float32(weight) * (score - known.mean()) / max(float(known.std()), 1e-12)
        return total

    def extremes(self, scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture numbers of the `count` highest scores, highest first, and of the lowest, lowest first."""
        count, numbers = min(count, len(scores)), self.numbers()
        if count == 0:
            return numbers[:0], numbers[:0]
        top, low = (torch.from_numpy(scores).topk(count, largest=most).indices.numpy() for most in (True, False))
        # ties by number, so that the answer is the same in every run
        return (
            numbers[top[np.lexsort((numbers[top], -scores[top]))]],
            numbers[low[np.lexsort((numbers[low], scores[low]))]],
        )

    def _missing(self, first: int, upto: int, size: int) -> Iterator[tuple[int, int]]:
        at = first
        for s in [*self.shards, Shard(upto, 0)]:
            while at < min(s.first, upto):
                end = min(at + size, s.first, upto)
                yield at, end
                at = end
            at = max(at, s.first + s.count)

    def _add(self, first: int, rows: np.ndarray) -> None:
        header = self.folder / "index.json"
        if _read(header) is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(header, json.dumps(self.about, indent=1).encode())
        part = _unfinished(self.folder / f"{first:010}")
        with part.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        shard = Shard(first, rows.shape[2])
        part.replace(self.folder / shard.file)
        _write((self.folder / shard.file).with_suffix(".json"), json.dumps(vars(shard)).encode())
        self.shards = sorted([*self.shards, shard], key=lambda s: s.first)

    def _find_shards(self) -> list[Shard]:
        """The shards that have their note and their size, without overlaps (of two, the one that begins first)."""
        found: list[Shard] = []
        for note in sorted(self.folder.glob("??????????-*.json")):
            about = _read(note)
            if about is None or not {"first", "count"} <= about.keys():
                continue  # damaged: as if it were not there, and `grow` makes it again
            shard = Shard(about["first"], about["count"])
            path = self.folder / shard.file
            whole = path.is_file() and path.stat().st_size >= 2 * shard.count * self.table.centre.numel()
            if whole and (not found or shard.first >= found[-1].first + found[-1].count):
                found.append(shard)
        return found

    def _map(self, shard: Shard) -> np.ndarray:
        if shard.file not in self._maps:
            self._maps[shard.file] = np.load(self.folder / shard.file, mmap_mode="r", allow_pickle=False)
        return self._maps[shard.file]


def prune(folder: Path, most_bytes: int, most: int) -> None:
    """Delete those indexes in `folder` that were touched longest ago, until `most` of `most_bytes` together remain."""
    total = 0
    with contextlib.suppress(FileNotFoundError):  # another makes room at the same time; the next call does the rest
        for i, index in enumerate(sorted(folder.glob("*/"), key=lambda p: p.stat().st_mtime, reverse=True)):
            total += sum(file.stat().st_size for file in index.glob("*.npy"))
            if i >= most or total > most_bytes:
                shutil.rmtree(index, ignore_errors=True)


def _unfinished(path: Path) -> Path:
    """Where this thread writes a file before it is whole; no other thread or process uses that name."""
    return path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")


def _read(path: Path) -> dict | None:
    """What `_write` wrote as JSON; None where there is nothing, or nothing that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, data: bytes) -> None:
    part = _unfinished(path)
    part.write_bytes(data)
    part.replace(path)
