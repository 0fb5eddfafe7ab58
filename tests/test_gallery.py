"""The gallery: recipes in, cards out; nothing half-written, nothing unchecked."""

import os
import threading
from types import SimpleNamespace

import gradio as gr
import pytest

import app
from panda_core import gallery as core
from panda_core.gallery import Gallery
from panda_core.hub.upload import delete_file, keep_folder
from panda_core.recipes import Recipe
from tests.hub_server import HubServer
from ui import gallery, view


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PANDA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def start():
    return view.start()


def seeds(start, count: int) -> list[Recipe]:
    return [view.renderer.pin(start.go_to(i).recipe) for i in range(count)]


def test_what_is_published_is_a_card_that_opens(start):
    session = gallery.publish_card(start)
    shown = gallery.show_cards(session)
    assert len(shown["items"]) == 1 and shown["items"][0]["image"].startswith("data:image/jpeg")
    edit = start.recipe.edits[0]
    assert shown["items"][0]["label"] == f"{view.region_words(start, edit)}: {view.look_words(start, edit)}"
    other = start.reset().go_to(99)
    opened = gallery.open_card(other, gr.EventData(None, {"index": 0, "of": shown["of"]}))
    assert opened.recipe == start.recipe and opened.undo().recipe == other.recipe


def test_the_same_recipe_twice_is_one_card(start):
    gallery.publish_card(start)
    gallery.publish_card(start)
    assert len(gallery.gallery().names()) == 1


def test_a_picture_without_edits_is_not_published(start):
    with pytest.raises(ValueError, match="choose a look first"):
        gallery.publish_card(start.reset())


def test_newest_first_and_shuffled(start, monkeypatch, tmp_path):
    clock = iter(range(1000, 9000, 7))
    monkeypatch.setattr(core, "time", SimpleNamespace(time=lambda: next(clock)))
    folder = Gallery(tmp_path / "g")
    names = [folder.publish(r) for r in seeds(start, 8)]
    assert folder.names() == names[::-1]
    assert sorted(folder.names(shuffled=1)) == sorted(names) and folder.names(shuffled=1) == folder.names(shuffled=1)
    assert len({tuple(folder.names(shuffled=i)) for i in range(5)}) > 1


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
def test_a_damaged_card_is_passed_over(start, damage):
    gallery.publish_card(start)
    gallery.publish_card(start.go_to(start.recipe.seed + 1))
    first = gallery.gallery().names()[0]
    view.kept._items.clear()
    (gallery.gallery().folder / f"{first}.json").write_bytes(damage)
    (gallery.gallery().folder / "notes.json").write_text("not ours")
    shown = gallery.show_cards(start)
    assert len(shown["items"]) == 1 and first not in shown["of"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "0000001000-" + "0" * 16, "", 7, None, "1" * 10_000])
def test_no_name_leads_out_of_the_folder(name):
    with pytest.raises(ValueError, match="gallery"):
        gallery.gallery().recipe(name)


def test_who_published_may_take_it_back_and_nobody_else(start):
    one = gallery.publish_card(start)
    assert gallery.publish_button(one).value == "Take it out of the gallery"
    other = gallery.publish_card(start)  # the same picture by somebody else: one card, not theirs
    assert len(gallery.gallery().names()) == 1 and not gallery.is_own(other)
    edited = one.go_to(one.recipe.seed + 1)
    assert gallery.publish_button(edited).value == "Publish to the gallery"
    gone = gallery.publish_card(one)
    assert gallery.gallery().names() == [] and not gallery.is_own(gone)
    assert gallery.is_own(gallery.publish_card(gone))  # and puts it there again


def test_only_the_owner_takes_out(start, monkeypatch):
    gallery.publish_card(start)
    name = gallery.gallery().names()[0]
    for given in ("", "wrong", None):
        with pytest.raises(gr.Error):
            gallery.unpublish(name, given)
    monkeypatch.setenv("PANDA_OWNER_TOKEN", "a long secret")
    with pytest.raises(gr.Error):
        gallery.unpublish(name, "a long secre")
    assert gallery.unpublish(name, "a long secret") == ""
    assert gallery.show_cards(start)["items"] == []


def test_five_an_hour_for_each_visitor(start, monkeypatch):
    monkeypatch.setattr(gallery, "asking", lambda: "8.8.4.4")
    for i in range(5):
        gallery.publish_card(start.go_to(i))
    with pytest.raises(ValueError, match="within the hour"):
        gallery.publish_card(start.go_to(7))
    monkeypatch.setattr(gallery, "asking", lambda: "8.8.8.8")
    gallery.publish_card(start.go_to(7))


@pytest.mark.parametrize(
    ("space", "wish", "on"), [("", "", True), ("a/b", "", False), ("a/b", "1", True), ("", "0", False)]
)
def test_off_on_a_space_until_the_owner_turns_it_on(monkeypatch, space, wish, on):
    for key, value in (("SPACE_ID", space), ("PANDA_GALLERY", wish)):
        monkeypatch.setenv(key, value) if value else monkeypatch.delenv(key, raising=False)
    assert gallery.enabled() is on


def test_a_data_set_keeps_the_gallery_over_a_restart(start, tmp_path, monkeypatch):
    with HubServer() as server:
        server.attach(tmp_path, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", "hf_owner")
        before = Gallery(tmp_path / "one" / "gallery")
        scheduler = keep_folder("owner/gallery", before.folder)
        name = before.publish(seeds(start, 1)[0])
        scheduler.trigger().result()  # one after the other: its own first turn is over too
        scheduler.stop()
        after = Gallery(tmp_path / "two" / "gallery")
        scheduler = keep_folder("owner/gallery", after.folder)
        assert after.recipe(name) == before.recipe(name)
        scheduler.trigger().result()
        scheduler.stop()
        delete_file("owner/gallery", f"gallery/{name}.json")
        delete_file("owner/gallery", f"gallery/{name}.json")  # what is not there (yet) is no mistake
        third = Gallery(tmp_path / "three" / "gallery")
        keep_folder("owner/gallery", third.folder).stop()
        assert third.names() == []


def test_the_page_has_the_gallery(start):
    assert os.environ.get("SPACE_ID") is None and app.enabled()
    assert any(getattr(b, "elem_id", None) == "gallery" for b in app.demo.blocks.values())
