"""Which generator makes the pictures: those that ship, as pictures to press; others, which are downloaded first."""

import base64
from contextlib import suppress
from hashlib import sha256
from html import escape
from pathlib import Path

import gradio as gr

from panda_core.generators.registry import GENERATORS, GeneratorSpec
from panda_core.hub.files import is_offline, user_folder
from panda_core.jpegs import small
from panda_core.recipes import parse_recipe
from panda_core.runtime.atomic_write import atomic_write
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import figure
from ..given import clicked

MAX_CARD = 2**18  # bytes of a picture that is read
BESIDE = "faces"  # offered beside those that ship: photographs, which a few megabytes bring


class GeneratorsPanel(Room):
    def lay_out_worlds(self, page: Page) -> None:
        page.tiles("What is drawn", self.world_tiles, self.open_world, elem_id="worlds")

    def lay_out_beside(self, page: Page) -> None:
        """What the tile of a world that is not here yet presses, and its progress."""
        go = gr.Button("Open this generator", visible="hidden", elem_id="open-beside")
        page.job(go.click, self.fetch_beside, done=self.use)

    def lay_out(self, page: Page) -> None:
        own = self.renderer.catalogue.own
        generator = gr.Dropdown([], label="Generator", allow_custom_value=own, interactive=True, elem_id="generator",
                                info="Or type owner/name of one on the Hub" if own else None)  # fmt: skip
        card = gr.HTML(elem_id="about-generator")
        go = gr.Button("Open this generator", size="sm", elem_id="open-generator")
        page.follow(generator, lambda s: gr.Dropdown(choices=self.choices(), value=s.recipe.generator))
        page.follow(card, lambda s: self.card(s.recipe.generator))
        page.job(go.click, self.fetch, generator, done=self.use)
        generator.input(self.card, generator, card, show_progress="hidden", api_visibility="private")

    # ---- those whose parts ship: one press ----

    def worlds(self) -> list[str]:
        """Names of the generators whose factors ship with this page, and whose weights are here."""
        here = self.renderer.catalogue.here()
        return [name for name, spec in GENERATORS.items() if here[name] and spec.folder().is_dir()]

    def world_tiles(self, session: Session) -> dict:
        """The value of Tiles: the picture that each world opens with; none where there is only one to choose from."""
        names = self.worlds()
        items = [
            {"image": self.draw(name), "label": GENERATORS[name].title, "on": name == session.recipe.generator}
            for name in names
        ]
        spec = GENERATORS[BESIDE]
        if BESIDE not in names and not is_offline() and (picture := self.shipped(BESIDE)):
            words = f"{size(spec)} to download. Licence of the weights: {spec.licence}."
            label = f"{spec.title} ({size(spec)})"
            items.append({"image": picture, "label": label, "title": words, "on": False, "press": "#open-beside"})
        return {"items": items if len(items) > 1 else [], "note": "", "of": " ".join(names)}

    def open_world(self, session: Session, evt: gr.EventData) -> Session | None:
        names = self.worlds()
        name = clicked(evt, "world", names, " ".join(names))
        return name and self.use(session, name)

    def draw(self, name: str) -> str:
        """The picture that a generator opens with, as a small JPEG."""

        def drawn() -> str:
            return self.shipped(name) or small(self.renderer.image(self.opening.start(name).recipe))[0]

        return self.pictures.kept.get(("world", name), drawn)

    def shipped(self, name: str) -> str:
        """The picture of a generator whose weights do not ship; empty where there is none."""
        if name not in GENERATORS:
            return ""
        path = GENERATORS[name].folder() / "card.jpg"  # asked for at every event, so that it is read once
        return self.pictures.kept.get(("shipped", name), lambda: read_picture(path))

    def fetch_beside(self, session: Session, report) -> str:
        return self.fetch(session, BESIDE, report)

    # ---- all of them ----

    def choices(self) -> list[tuple[str, str]]:
        """(title, name) of all that can be opened: without downloads only those that are here."""
        here, offline = self.renderer.catalogue.here(), is_offline()
        return [(spec.title + ("" if here[name] else f" ({size(spec)} to download)"), name)
                for name, spec in GENERATORS.items() if here[name] or not (offline or spec.bundled)]  # fmt: skip

    def card(self, name: str | None) -> str:
        """A generator's picture, if it was opened here before, its size and licence, and whether anybody has tried it;
        HTML."""
        if not isinstance(name, str) or name not in GENERATORS:
            return "<p>A generator of your own: it is downloaded, and parts are learned for it.</p>"
        spec, picture = GENERATORS[name], self.picture(name)
        tried = "" if spec.tried else " None of us has downloaded it yet; if it does not load, nothing is lost."
        offline = " This page downloads nothing, so there are only those that are here." if is_offline() else ""
        words = f"{spec.family}, {spec.resolution} pixels. Licence of the weights: {escape(spec.licence)}."
        return (figure(picture, spec.title) if picture else "") + f"<p>{words}{tried}{offline}</p>"

    def picture(self, name: str) -> str:
        """What a world opens with, or what `fetch` drew for whoever opened a generator; empty where nobody has."""
        if name in self.worlds():
            return self.draw(name)
        return self.shipped(name) or read_picture(card_file(name))

    def fetch(self, session: Session, name: str, report) -> str:
        """Download and load a generator, find or learn its first parts, and draw its card; returns its name."""
        if not isinstance(name, str):
            raise ValueError("Choose a generator of the list.")
        name = parse_recipe({"v": 2, "generator": name}).generator
        self.renderer.catalogue.ensure(name, None, report)
        with suppress(OSError), atomic_write(card_file(name)) as part:
            part.write_bytes(base64.b64decode(self.draw(name).partition(",")[2]))
        return name

    def use(self, session: Session, name: str) -> Session:
        """Another generator: the picture that the visitor left there, if it needs none that may have gone meanwhile, or
        the one that it opens with."""
        if session.recipe.generator == name:
            return session
        left = next((r for r in reversed(session.past) if r.generator == name and not r.sources()), None)
        there = self.opening.start(name) if left is None else self.opening.session(left)
        return there.after(session)


def read_picture(path: Path) -> str:
    """A JPEG as a data URI; empty where it is not there."""
    with suppress(OSError), path.open("rb") as file:
        return f"data:image/jpeg;base64,{base64.b64encode(file.read(MAX_CARD)).decode()}"
    return ""


def card_file(name: str) -> Path:
    return user_folder() / "cards" / f"{sha256(name.encode()).hexdigest()[:16]}.jpg"


def size(spec: GeneratorSpec) -> str:
    return "size unknown" if spec.mb is None else f"{spec.mb} MB"
