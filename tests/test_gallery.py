"""The gallery: recipes in, cards out; nothing half-written, nothing unchecked."""

import os
import threading
from types import SimpleNamespace

import gradio as gr
import pytest

import app
from panda_core.recipes import Recipe
from panda_core.runtime.kept import Kept
from panda_core.studio import gallery as core
from panda_core.studio.gallery import Gallery
from ui.panels import gallery
from ui.panels.gallery import card_in_hand
from ui.server.events import plainly

from .page import event

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def start():
    return app.opening.start()


def seeds(start, count: int) -> list[Recipe]:
    return [app.renderer.pin(start.go_to(i, with_edits=True).recipe) for i in range(count)]


def test_what_is_published_is_a_card_that_opens(start):
    session = app.gallery_panel.publish_card(start)
    shown = app.gallery_panel.show_cards(session)
    assert len(shown["items"]) == 1 and shown["items"][0]["image"].startswith("data:image/jpeg")
    assert shown["items"][0]["label"] == app.pictures.edits_words(start)
    other = start.reset().go_to(99)
    opened = app.gallery_panel.open_card(other, gr.EventData(None, {"index": 0, "of": shown["of"]}))
    assert opened.recipe == start.recipe and opened.undo().recipe == other.recipe


def test_the_same_recipe_twice_is_one_card(start):
    app.gallery_panel.publish_card(start)
    app.gallery_panel.publish_card(start)
    assert len(gallery.gallery().names()) == 1


def test_a_picture_without_edits_is_not_published(start):
    with pytest.raises(ValueError, match="choose a change first"):
        app.gallery_panel.publish_card(start.reset())


def test_newest_first(start, monkeypatch, tmp_path):
    clock = iter(range(1000, 9000, 7))
    monkeypatch.setattr(core, "time", SimpleNamespace(time=lambda: next(clock)))
    folder = Gallery(tmp_path / "g")
    names = [folder.publish(r) for r in seeds(start, 8)]
    assert folder.names() == names[::-1]


def test_the_oldest_make_room(start, monkeypatch, tmp_path):
    clock = iter(range(1000, 9000, 7))
    monkeypatch.setattr(core, "time", SimpleNamespace(time=lambda: next(clock)))
    folder = Gallery(tmp_path / "g", most=3)
    names = [folder.publish(r) for r in seeds(start, 5)]
    assert folder.names() == names[:1:-1]


def test_many_at_once_leave_whole_files_only(start, tmp_path):
    folder, recipes = Gallery(tmp_path / "g"), seeds(start, 40)
    workers = [threading.Thread(target=lambda part=recipes[i::4]: [folder.publish(r) for r in part]) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {folder.recipe(name) for name in folder.names()} == set(recipes)
    assert all(p.suffix == ".json" for p in folder.folder.iterdir())


@pytest.mark.parametrize("damage", [b"", b"{", b'{"v":1,"generator":"portraits","seed":1}'])
def test_a_damaged_card_is_passed_over(start, damage, monkeypatch):
    app.gallery_panel.publish_card(start)
    app.gallery_panel.publish_card(start.go_to(start.recipe.seed + 1, with_edits=True))
    first = gallery.gallery().names()[0]
    monkeypatch.setattr(app.pictures, "kept", Kept(8))
    (gallery.gallery().folder / f"{first}.json").write_bytes(damage)
    (gallery.gallery().folder / "notes.json").write_text("not ours")
    shown = app.gallery_panel.show_cards(start)
    assert len(shown["items"]) == 1 and first not in shown["of"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "0000001000-" + "0" * 16, "", 7, None, "1" * 10_000])
def test_no_name_leads_out_of_the_folder(name):
    with pytest.raises(ValueError, match="gallery"):
        gallery.gallery().recipe(name)


def test_who_published_may_take_it_back_and_nobody_else(start):
    one = app.gallery_panel.publish_card(start)
    assert app.gallery_panel.publish_button(one).value == "Take it out of the gallery"
    other = app.gallery_panel.publish_card(start)  # the same picture by somebody else: one card, not theirs
    assert len(gallery.gallery().names()) == 1 and not card_in_hand(other, "published")
    edited = one.go_to(one.recipe.seed + 1, with_edits=True)
    assert app.gallery_panel.publish_button(edited).value == "Publish to the gallery"
    away = app.opening.start("scenes").after(edited)  # who comes back to it may still take it out
    back = app.gallery_panel.open_card(away, event(index=0, of=app.gallery_panel.show_cards(away)["of"]))
    assert app.gallery_panel.publish_button(back).value == "Take it out of the gallery"
    gone = app.gallery_panel.publish_card(one)
    assert gallery.gallery().names() == [] and not card_in_hand(gone, "published")
    assert card_in_hand(app.gallery_panel.publish_card(gone), "published")  # and puts it there again


def test_only_the_owner_takes_out(start, monkeypatch):
    app.gallery_panel.publish_card(start)
    name, unpublish = gallery.gallery().names()[0], plainly(app.api.unpublish)
    for given in ("", "wrong", None):
        with pytest.raises(gr.Error):
            unpublish(name, given)
    monkeypatch.setenv("PANDA_OWNER_TOKEN", "a long secret")
    with pytest.raises(gr.Error):
        unpublish(name, "a long secre")
    assert unpublish(name, "a long secret") == ""
    assert app.gallery_panel.show_cards(start)["items"] == []


def test_five_an_hour_for_each_visitor(start, monkeypatch):
    monkeypatch.setattr(gallery, "asking", lambda: "8.8.4.4")
    for i in range(5):
        app.gallery_panel.publish_card(start.go_to(i, with_edits=True))
    with pytest.raises(ValueError, match="within the hour"):
        app.gallery_panel.publish_card(start.go_to(7, with_edits=True))
    monkeypatch.setattr(gallery, "asking", lambda: "8.8.8.8")
    app.gallery_panel.publish_card(start.go_to(7, with_edits=True))


# ---- reports ----


def report(session, who: str, monkeypatch):
    """The first card, opened and reported by a visitor."""
    monkeypatch.setattr(gallery, "asking", lambda: who)
    shown = app.gallery_panel.show_cards(session)
    opened = app.gallery_panel.open_card(session, gr.EventData(None, {"index": 0, "of": shown["of"]}))
    return app.gallery_panel.report_card(opened)


def test_a_card_is_hidden_once_three_different_visitors_reported_it(start, monkeypatch):
    app.gallery_panel.publish_card(start)
    for who in ("8.8.4.4", "8.8.4.4", "8.8.4.4", "8.8.8.8"):
        report(start, who, monkeypatch)
    assert len(app.gallery_panel.show_cards(start)["items"]) == 1
    report(start, "9.9.9.9", monkeypatch)
    assert app.gallery_panel.show_cards(start)["items"] == [] and gallery.gallery().names() == []


def test_who_reported_a_card_sees_it_no_more(start, monkeypatch):
    app.gallery_panel.publish_card(start)
    reported = report(start, "8.8.4.4", monkeypatch)
    assert app.gallery_panel.show_cards(reported)["items"] == []
    assert len(app.gallery_panel.show_cards(start)["items"]) == 1


def test_only_a_card_as_it_was_opened_can_be_reported(start, monkeypatch):
    app.gallery_panel.publish_card(start)
    assert not card_in_hand(start, "opened")
    shown = app.gallery_panel.show_cards(start)
    opened = app.gallery_panel.open_card(start, gr.EventData(None, {"index": 0, "of": shown["of"]}))
    assert card_in_hand(opened, "opened") == gallery.gallery().names()[0]
    with pytest.raises(ValueError, match="Open a card"):
        app.gallery_panel.report_card(opened.go_to(77))


def test_the_owner_decides_of_what_was_reported(start, monkeypatch):
    app.gallery_panel.publish_card(start)
    (name,), reported = gallery.gallery().names(), plainly(app.api.reported)
    with pytest.raises(gr.Error, match="owner"):
        reported("", name)
    monkeypatch.setenv("PANDA_OWNER_TOKEN", "a long secret")
    assert reported("a long secret") == {}
    for number in range(3):
        gallery.gallery().report(name, f"8.8.8.{number}")
    assert reported("a long secret") == {name: 3} and gallery.gallery().names() == []
    assert reported("a long secret", name) == {} and gallery.gallery().names() == [name]
    for number in range(3):
        gallery.gallery().report(name, f"8.8.4.{number}")
    assert gallery.gallery().names() == [name]
    plainly(app.api.unpublish)(name, "a long secret")
    assert list(gallery.gallery().folder.iterdir()) == []


def test_no_address_of_a_visitor_is_kept(start):
    app.gallery_panel.publish_card(start)
    folder = gallery.gallery()
    folder.report(folder.names()[0], "8.8.4.4")
    (kept,) = folder.reports(folder.names()[0])
    assert len(kept) == 4
    assert all("8.8.4.4" not in path.read_text() for path in folder.folder.iterdir())


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "0000001000-" + "0" * 16])
def test_what_is_no_card_cannot_be_reported(name, home):
    try:
        gallery.gallery().report(name, "8.8.4.4")
    except ValueError as error:
        assert "gallery" in str(error)
    assert not list(home.rglob("*.reports.json"))


@pytest.mark.parametrize(
    ("space", "wish", "on"), [("", "", True), ("a/b", "", False), ("a/b", "1", True), ("", "0", False)]
)
def test_off_on_a_space_until_the_owner_turns_it_on(monkeypatch, space, wish, on):
    for key, value in (("SPACE_ID", space), ("PANDA_GALLERY", wish)):
        monkeypatch.setenv(key, value) if value else monkeypatch.delenv(key, raising=False)
    assert gallery.enabled() is on


def test_the_page_has_the_gallery(start):
    assert os.environ.get("SPACE_ID") is None and app.enabled()
    assert any(getattr(b, "elem_id", None) == "gallery" for b in app.demo.blocks.values())
