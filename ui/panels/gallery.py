"""The gallery under the tabs: what visitors published, as cards; the server draws them and makes their titles."""

import os
from itertools import islice

import gradio as gr

from panda_core.hub.files import user_folder
from panda_core.jpegs import small
from panda_core.studio.gallery import Gallery
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import heading
from ..given import clicked, sent
from ..server.events import asking
from ..server.limits import Budgets, log

CARDS = 32
PUBLISHED = Budgets(burst=5.0, refill=1 / 720)  # cards: five an hour for each visitor


class GalleryPanel(Room):
    def lay_out(self, page: Page) -> None:
        gr.HTML(heading("Gallery"))
        page.tiles("Gallery", self.show_cards, self.open_card, elem_id="gallery")
        with gr.Row(elem_classes="actions"):
            publish = gr.Button("Publish to the gallery", size="sm", min_width=160, scale=0, elem_id="publish")
            page.button("Report this card", self.report_card, when=lambda s: card_in_hand(s, "opened"), min_width=130,
                        scale=0, elem_id="report-card")  # fmt: skip
        page.follow(publish, self.publish_button)
        page.on(publish.click, self.publish_card, trigger_mode="once")  # the second click of two takes nothing back

    def show_cards(self, session: Session) -> dict:
        """The value of Tiles: the first cards that can be drawn here."""
        gone = session.aside("reported", frozenset())
        names = [name for name in gallery().names() if name not in gone]
        drawn = (
            (name, self.pictures.kept.get(("card", name), lambda name=name: self.make_card(name))) for name in names
        )
        cards = dict(islice((pair for pair in drawn if pair[1]), CARDS))
        note = "" if cards else "Nothing here yet. What you publish is seen by everybody who opens this page."
        return {"items": list(cards.values()), "note": note, "of": " ".join(cards)}

    def make_card(self, name: str) -> dict | bool:
        """A thumbnail and a title; False for what cannot be drawn here."""
        try:
            recipe = gallery().recipe(name)
            if recipe.generator not in self.opening.offered().values():
                return False
            opened = self.opening.opened(recipe)
        except ValueError:
            return False
        image = small(self.renderer.image(opened.recipe))[0]
        return {"image": image, "label": self.pictures.edits_words(opened)[:120], "on": False}

    def open_card(self, session: Session, evt: gr.EventData) -> Session:
        of = sent(evt, "of")
        names = of.split() if isinstance(of, str) and len(of) < 2000 else []  # the cards that were there for the click
        name = clicked(evt, "card", names, of)
        opened = self.opening.opened(gallery().recipe(name)).after(session)
        return opened.put_aside("opened", ((name, opened.recipe),))

    def report_card(self, session: Session) -> Session:
        """The card in hand is gone for this visit; for all once MAX_REPORTS visitors want it so."""
        name = card_in_hand(session, "opened")
        if not name:
            raise ValueError("Open a card of the gallery first, then report it.")
        gallery().report(name, asking() or "this machine")
        log.warning("gallery: %s was reported", name)
        gr.Info(
            "It is hidden for you, and for all once others report it too, until the owner decides.", title="Reported"
        )
        return session.put_aside("reported", session.aside("reported", frozenset()) | {name})

    def publish_button(self, session: Session):
        words = "Take it out of the gallery" if card_in_hand(session, "published") else "Publish to the gallery"
        return gr.Button(words, interactive=bool(session.recipe.ordered()))

    def publish_card(self, session: Session) -> Session:
        """The picture in hand becomes a card; the card that it is already, by this visit, goes."""
        if own := card_in_hand(session, "published"):
            gallery().delete(own)
            gr.Info("Your picture is out of the gallery again.", title="Taken out")
            return session.put_aside(
                "published", tuple(card for card in session.aside("published", ()) if card[0] != own)
            )
        if session.recipe.sources():
            raise ValueError("The gallery takes pictures of seeds only; yours stays with you.")
        if not PUBLISHED.spend(asking(), 1.0):
            raise ValueError("You have published five pictures within the hour; wait a while before the next.")
        there = gallery().names()
        name = gallery().publish(self.renderer.pin(session.recipe))
        if name in there:
            gr.Info("This very picture was in the gallery before.", title="Published")
            return session
        gr.Info("Everybody who opens this page can see your picture below now.", title="Published")
        return session.put_aside("published", (*session.aside("published", ()), (name, session.recipe)))


def enabled() -> bool:
    """On a public Space only if its owner says so."""
    return os.environ.get("PANDA_GALLERY", "0" if os.environ.get("SPACE_ID") else "1") == "1"


def gallery() -> Gallery:
    return Gallery(user_folder() / "gallery")


def card_in_hand(session: Session, what: str) -> str:
    """The name of the card that was "opened" last, or "published" by this visit, if it is the picture in hand as it
    was; else nothing."""
    return next((name for name, recipe in session.aside(what, ()) if recipe == session.recipe), "")
