"""An editing session without a page: what is in hand, where a click goes, what can change there, how it is changed."""

from .changes import Changes
from .opening import Opening
from .pictures import Pictures
from .places import Places
from .removal import Removal
from .rewriting import Rewriting
from .session import Session

__all__ = ["Changes", "Opening", "Pictures", "Places", "Removal", "Rewriting", "Session"]
