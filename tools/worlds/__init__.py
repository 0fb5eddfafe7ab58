"""The worlds that the bundled generators learn, by name."""

from .portraits import PORTRAITS
from .scenes import SCENES
from .world import Drawn, Factor, World

WORLDS: dict[str, World] = {world.name: world for world in (PORTRAITS, SCENES)}

__all__ = ["WORLDS", "Drawn", "Factor", "World"]
