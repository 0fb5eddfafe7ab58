"""How a long job tells where it is, and how it is told to stop."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


class Cancelled(Exception):
    """The caller asked a long job to stop; what there was before is untouched."""


@dataclass(frozen=True)
class Progress:
    """One step of a long job: 'sampling' (done samples of total, at most), 'solving' (done steps of total, at most).

    energy: share of Σ‖Z‖² explained so far; parts: P so far, [S, R_S], for a picture. None before the first look.
    Of an inversion, whose stages are start, latents, styles and features: images as they are now, [N, 3, h', w'], and
    their PSNR at that size, [N] in dB.
    """

    stage: str
    done: int
    total: int
    energy: float | None = None
    parts: Tensor | None = None
    images: Tensor | None = None
    psnr: Tensor | None = None


Report = Callable[[Progress], bool | None]  # told of every step; returning False ends the job


def tell(report: Report, stage: str, done: int, total: int) -> None:
    """Raises: Cancelled once the work should stop."""
    if report(Progress(stage, done, total)) is False:
        raise Cancelled("The work was cancelled.")
