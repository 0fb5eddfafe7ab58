"""The gallery under the tabs: what visitors published, as cards; the server draws them and makes their titles."""

import hmac
import os
import random
from dataclasses import dataclass
from itertools import islice

import gradio as gr

from panda_core.door import Budgets, log
from panda_core.gallery import Gallery
from panda_core.hub.files import user_folder
from panda_core.hub.upload import delete_file, keep_folder
from panda_core.recipes import Recipe

from . import view
from .page import Page, asking, clicked, heading, plainly, sent
from .session import Session

CARDS = 16
PUBLISHED = Budgets(burst=5.0, refill=1 / 720)  # cards: five an hour for each visitor


@dataclass(frozen=True)
class Order:
    """shuffled: the seed of the order that a visitor sees; None is newest first."""

    shuffled: int | None = None


@dataclass(frozen=True)
class Published:
    """The card that this visit put there last, and what it was made of; nothing once it was taken out."""

    name: str = ""
    recipe: Recipe | None = None


def enabled() -> bool:
    """On a public Space only if its owner says so."""
    return os.environ.get("PANDA_GALLERY", "0" if os.environ.get("SPACE_ID") else "1") == "1"


def gallery() -> Gallery:
    return Gallery(user_folder() / "gallery")


def gallery_panel(page: Page) -> None:
    if repo := os.environ.get("PANDA_GALLERY_DATASET"):
        try:
            keep_folder(repo, gallery().folder)
        except ValueError as error:  # the gallery is this machine's alone then
            log.warning("%s", error)
    gr.HTML(heading("Gallery"))
    page.tiles("Gallery", show_cards, open_card, elem_id="gallery")
    with gr.Row(elem_classes="actions"):
        publish = gr.Button("Publish to the gallery", size="sm", min_width=160, scale=0, elem_id="publish")
        page.button("Newest", show_newest, min_width=90, scale=0)
        page.button("Shuffle", show_shuffled, min_width=90, scale=0)
    page.follow(publish, publish_button)
    page.on(publish.click, publish_card, trigger_mode="once")  # the second click of two takes nothing back


def show_cards(session: Session) -> dict:
    """The value of Tiles: the first cards that can be drawn here."""
    names = gallery().names((session.aside(Order) or Order()).shuffled)
    drawn = ((name, view.kept.get(("card", name), lambda name=name: make_card(name))) for name in names)
    cards = dict(islice((pair for pair in drawn if pair[1]), CARDS))
    note = "" if cards else "Nothing here yet. What you publish is seen by everybody who opens this page."
    return {"items": list(cards.values()), "note": note, "of": " ".join(cards)}


def make_card(name: str) -> dict | bool:
    """A thumbnail and a title of part and appearance names; False for what cannot be drawn here."""
    try:
        recipe = gallery().recipe(name)
        if recipe.generator not in view.offered().values():
            return False
        opened = view.opened(recipe)
    except ValueError:
        return False
    image = view.small(view.renderer.image(opened.recipe))[0]
    return {"image": image, "label": view.edits_words(opened)[:120], "on": False}


def open_card(session: Session, evt: gr.EventData) -> Session:
    of = sent(evt, "of")
    names = of.split() if isinstance(of, str) and len(of) < 2000 else []  # the cards that were there for the click
    return view.opened(gallery().recipe(clicked(evt, "card", names, of))).after(session)


def is_own(session: Session) -> bool:
    """Whether the picture in hand is the card that this visit put there last."""
    own = session.aside(Published)
    return bool(own) and own.recipe == session.recipe


def publish_button(session: Session):
    words = "Take it out of the gallery" if is_own(session) else "Publish to the gallery"
    return gr.Button(words, interactive=bool(session.recipe.ordered()))


def publish_card(session: Session) -> Session:
    """The picture in hand becomes a card; the card that it is already, by this visit, goes."""
    if is_own(session):
        take_out(session.aside(Published).name)
        gr.Info("Your picture is out of the gallery again.", title="Taken out")
        return session.put_aside(Published())
    if not PUBLISHED.spend(asking(), 1.0):
        raise ValueError("You have published five pictures within the hour; wait a while before the next.")
    there = gallery().names()
    name = gallery().publish(view.renderer.pin(session.recipe))
    session = session.put_aside(Order())
    if name in there:
        gr.Info("This very picture was in the gallery before.", title="Published")
        return session
    gr.Info("Everybody who opens this page can see your picture below now.", title="Published")
    return session.put_aside(Published(name, session.recipe))


def show_newest(session: Session) -> Session:
    return session.put_aside(Order())


def show_shuffled(session: Session) -> Session:
    return session.put_aside(Order(random.randrange(2**31)))


@plainly
def unpublish(name: str, token: str) -> str:
    """Take a picture out of the gallery; for the owner, who has set PANDA_OWNER_TOKEN. Returns the names that stay."""
    owner = os.environ.get("PANDA_OWNER_TOKEN", "")
    if not owner or not isinstance(token, str) or not hmac.compare_digest(token.encode(), owner.encode()):
        raise ValueError("That is not the owner's token; nothing was taken out.")
    take_out(name)
    return " ".join(gallery().names())


def take_out(name: str) -> None:
    gallery().delete(name)
    if repo := os.environ.get("PANDA_GALLERY_DATASET"):
        delete_file(repo, f"gallery/{name}.json")
