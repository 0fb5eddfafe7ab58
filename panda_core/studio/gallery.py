"""Published recipes: a folder with one small JSON file each, named by when it came and by what is in it."""

import hashlib
import json
import re
import time
from pathlib import Path

from ..recipes import Recipe, parse_recipe
from ..runtime.atomic_write import atomic_write

MAX_RECIPES = 500  # recipes; the oldest make room
MAX_REPORTS = 3  # different visitors; a card that so many reported is hidden until the owner has decided
NAME = re.compile(r"\d{10}-[0-9a-f]{16}", re.ASCII)  # seconds since 1970, hash of the recipe


class Gallery:
    """A folder of recipes; safe between threads and processes, since every file appears whole or not at all."""

    def __init__(self, folder: Path, most: int = MAX_RECIPES):
        self.folder, self._most = folder, most

    def publish(self, recipe: Recipe) -> str:
        """Add a recipe with its weights' hash in it; its name. One that is there already keeps its place.

        Raises: ValueError if it changes nothing, or nobody else could open it; OSError, with nothing written.
        """
        if not recipe.ordered():
            raise ValueError("The picture has no edits; choose a change first, then publish it.")
        if any(not edit.factors.startswith(("bundled:", "hub:")) for edit in recipe.edits):
            raise ValueError("An edit uses parts learned here; cards are made with factors that everybody has.")
        data = recipe.to_json().encode()
        digest = hashlib.sha256(data).hexdigest()[:16]
        there = [name for name in self.names() if name.endswith(digest)]
        if there:
            return there[0]
        name = f"{int(time.time()):010}-{digest}"
        with atomic_write(self._path(name)) as part:
            part.write_bytes(data)
        for old in self.names()[self._most :]:
            self.delete(old)
        return name

    def names(self) -> list[str]:
        """All names but the hidden ones', newest first."""
        there = [path.name.removesuffix(".json") for path in self.folder.glob("*.json")] if self.folder.is_dir() else []
        reported = {name.removesuffix(".reports") for name in there if name.endswith(".reports")}
        shown = (name for name in there if NAME.fullmatch(name) and not (name in reported and self.is_hidden(name)))
        return sorted(shown, reverse=True)

    def recipe(self, name: str) -> Recipe:
        """What was published under a name, checked like a stranger's.

        Raises: ValueError if it is not there (any more), or not what it was.
        """
        path = self._path(name)
        if not path.is_file():
            raise ValueError("That picture is no longer in the gallery; choose another.")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest()[:16] != name[-16:]:
            raise ValueError("That picture's file in the gallery is damaged; choose another.")
        return parse_recipe(data)

    def delete(self, name: str) -> None:
        for path in (self._path(name), self._reports(name)):
            path.unlink(missing_ok=True)

    # ---- reports ----

    def report(self, name: str, who: str) -> None:
        """Note that a visitor wants this card gone; the second time it is nothing new.

        Of the visitor's address no more is kept than tells three visitors apart: 16 bits of a hash.
        """
        digest = hashlib.sha256(f"{name} {who}".encode()).hexdigest()[:4]
        reports = self.reports(name)
        if not self._path(name).is_file() or digest in reports or "kept" in reports:
            return
        with atomic_write(self._reports(name)) as part:
            part.write_text(json.dumps([*reports, digest]))

    def keep(self, name: str) -> None:
        """The owner's word: this card stays, whoever reports it."""
        with atomic_write(self._reports(name)) as part:
            part.write_text('["kept"]')

    def reports(self, name: str) -> list[str]:
        """One entry for each visitor that reported a card."""
        try:
            found = json.loads(self._reports(name).read_bytes())
            return [str(entry) for entry in found] if isinstance(found, list) else []
        except (OSError, ValueError):
            return []

    def is_hidden(self, name: str) -> bool:
        return len(self.reports(name)) >= MAX_REPORTS

    def reported(self) -> dict[str, int]:
        """Name -> by how many visitors, of all cards that await the owner's word, the most reported first."""
        names = [path.name.removesuffix(".reports.json") for path in self.folder.glob("*.reports.json")]
        found = {name: len(self.reports(name)) for name in names
                 if NAME.fullmatch(name) and self.reports(name) not in ([], ["kept"])}  # fmt: skip
        return dict(sorted(found.items(), key=lambda row: -row[1]))

    def _reports(self, name: str) -> Path:
        return self._path(name).with_suffix(".reports.json")

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"name is {name!r:.40}; a name in the gallery is ten digits, a dash and 16 hex digits.")
        return self.folder / f"{name}.json"
