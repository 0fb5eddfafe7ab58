"""The methods of the tables, by name: each learns from a `Ground` and then names candidates for an `Aim`."""

from collections.abc import Callable

from . import (
    appearance,
    ganspace,
    lelsd,
    lowrankgan,
    refined,
    removal,
    resefa,
    sae,
    sefa,
    stylespace,
    transfers,
    variations,
)
from .base import Aim, Candidate, Candidates, Ground

METHODS: dict[str, Callable[[Ground], Candidates]] = {
    "variations": variations.learn,
    "PandA": appearance.learn,
    "PandA, refined": refined.learn,
    "transfer": transfers.learn,
    "GANSpace": ganspace.learn,
    "SeFa": sefa.learn,
    "StyleSpace": stylespace.learn,
    "LowRankGAN": lowrankgan.learn,
    "ReSeFa": resefa.learn,
    "LELSD": lelsd.learn,
    "SAE": sae.learn,
}

__all__ = ["METHODS", "Aim", "Candidate", "Candidates", "Ground", "removal", "variations"]
