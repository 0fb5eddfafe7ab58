"""How a long job tells where it is, and how it is told to stop."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


class Cancelled(Exception):
    """The caller asked a long job to stop; what there was before is untouched."""


@dataclass(frozen=True)
class Progress:
    """One step of a fit: stage 'sampling' (done samples of total, at most) or 'solving' (done steps of total, at most).

    energy: share of Σ‖Z‖² explained so far; parts: P so far, [S, R_S], for a picture. None before the first look.
    """

    stage: str
    done: int
    total: int
    energy: float | None = None
    parts: Tensor | None = None


Report = Callable[[Progress], bool | None]  # told of every step; returning False ends the job
