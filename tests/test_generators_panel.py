"""Opening another generator: worlds that ship, a class-conditional one, what a visitor reads without a network."""

import dataclasses
import logging

import gradio as gr
import pytest
import torch
from huggingface_hub import constants

import app
from panda_core.catalogue import Catalogue
from panda_core.checkpoints.load import save_generator
from panda_core.generators.biggan import BigGAN
from panda_core.generators.mobile_stylegan import MobileStyleGAN
from panda_core.generators.registry import GENERATORS, LocalFile
from panda_core.hub.errors import HubError
from panda_core.progress import Cancelled
from panda_core.rendering import Renderer
from panda_core.studio.opening import Opening
from panda_core.studio.session import Session
from ui.panels.generators import GeneratorsPanel, card_file
from ui.pictures import PagePictures
from ui.seeds import Seeds
from ui.server.events import plainly

from .openvino import programs, write
from .page import event, go_on, picture


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PANDA_HOME", str(tmp_path / "home"))
    return tmp_path


class Elsewhere:
    """A page's rooms that nobody has been in, where own generators are allowed."""

    def __init__(self, home):
        self.renderer = Renderer(Catalogue(home=home, own=True))
        self.pictures, self.opening = PagePictures(self.renderer), Opening(self.renderer)
        self.panel, self.seeds = GeneratorsPanel(self.pictures, self.opening), Seeds(self.pictures)


# ---- worlds that ship ----


def test_one_world_alone_is_no_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    gone = dataclasses.replace(GENERATORS["scenes"], sources=(LocalFile(tmp_path / "generator.safetensors"),))
    monkeypatch.setitem(GENERATORS, "scenes", gone)
    assert "scenes" not in [name for _, name in GeneratorsPanel(app.pictures, app.opening).choices()]
    assert GeneratorsPanel(app.pictures, app.opening).world_tiles(app.opening.start())["items"] == []


def test_worlds_are_pictures_that_open_at_once(tmp_path):
    page = Elsewhere(tmp_path / "home")
    start = page.opening.start("portraits")
    tiles = page.panel.world_tiles(start)
    assert [(tile["label"], tile["on"]) for tile in tiles["items"]] == [
        ("Portraits, drawn", True),
        ("Scenes, drawn", False),
        ("Faces, photographic (38 MB)", False),
    ]
    assert all(tile["image"].startswith("data:image/jpeg") for tile in tiles["items"])
    opened = page.panel.open_world(start, event(index=1, of=tiles["of"]))
    assert opened.recipe.generator == "scenes" and opened.undo().recipe == start.recipe
    assert [tile["on"] for tile in page.panel.world_tiles(opened)["items"]] == [False, True, False]
    assert torch.isfinite(page.renderer.image(opened.recipe)).all()


def test_a_world_that_is_not_here_is_downloaded_by_its_tile_and_then_one_of_them(tmp_path, monkeypatch):
    wheel = write(tmp_path / "faces.whl", programs(MobileStyleGAN.tiny(0)))
    spec = dataclasses.replace(GENERATORS["faces"], sources=(GENERATORS["faces"].sources[0], LocalFile(wheel)))
    page = Elsewhere(tmp_path / "home")
    tile = page.panel.world_tiles(page.opening.start("portraits"))["items"][2]
    assert tile["press"] == "#open-beside" and "38 MB to download" in tile["title"] and "NVIDIA" in tile["title"]
    monkeypatch.setitem(GENERATORS, "faces", spec)
    start = page.opening.start("portraits")
    opened = page.panel.use(start, page.panel.fetch_beside(start, go_on))
    assert opened.recipe.generator == "faces"
    assert "press" not in page.panel.world_tiles(opened)["items"][2]
    monkeypatch.setitem(GENERATORS, "faces", dataclasses.replace(spec, sources=spec.sources[:1]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert len(page.panel.world_tiles(start)["items"]) == 2  # no tile for what cannot be had


def test_a_world_that_was_left_is_as_it_was(panel=app.generators_panel):
    left = app.opening.start("portraits").reset().go_to(23)
    away = panel.use(left, "scenes")
    assert away.seeds == (away.recipe.seed,)  # seeds are those of this world
    back = panel.use(away, "portraits")
    assert back.recipe == left.recipe and back.undo().recipe == away.recipe


def test_the_world_in_hand_is_not_opened_anew():
    panel, start = GeneratorsPanel(app.pictures, app.opening), app.opening.start("portraits").go_to(77)
    assert panel.open_world(start, event(index=0, of=panel.world_tiles(start)["of"])) == start


# ---- one with classes ----


def conditional(path, n_classes: int) -> str:
    """A small BigGAN with random weights, in a file; its name."""
    torch.manual_seed(0)
    save_generator(BigGAN(**BigGAN.tiny_config | {"n_classes": n_classes}).eval(), path)
    return f"file:{path}"


@pytest.fixture(scope="module", params=[6, 1000])
def opened(request, tmp_path_factory) -> tuple[Elsewhere, Session]:
    """A generator with so many classes, opened as a visitor opens it."""
    home = tmp_path_factory.mktemp("own")
    page, name = Elsewhere(home), conditional(home / "biggan.safetensors", request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANDA_HOME", str(home))
        session = page.panel.use(app.opening.start(), page.panel.fetch(app.opening.start(), name, go_on))
        assert page.panel.picture(name).startswith("data:image/jpeg")
    return page, session


def test_a_generator_with_classes_opens_with_the_first_one_and_an_edit(opened):
    page, session = opened
    assert session.recipe.class_index == 0 and session.edit is not None
    assert torch.isfinite(page.renderer.image(session.recipe)).all()


def test_its_classes_are_offered_by_number_and_name(opened):
    page, session = opened
    chooser, names = page.seeds.show_class(session), page.seeds.class_names(session)
    assert chooser.visible and chooser.value == names[0]
    assert len(names) == 6 or names[207] == "207: golden retriever"


def test_another_class_is_another_picture_with_the_same_edits(opened):
    page, session = opened
    other = page.seeds.set_class(session, "5")
    assert other.recipe == dataclasses.replace(session.recipe, class_index=5)
    assert not torch.allclose(page.renderer.image(other.recipe), page.renderer.image(session.recipe))
    assert other.undo().recipe == session.recipe


def test_a_class_is_found_by_any_part_of_its_name(opened):
    page, session = opened
    if len(page.seeds.class_names(session)) == 6:
        with pytest.raises(ValueError, match="one of the 6"):
            page.seeds.set_class(session, "golden retriever")
    else:
        assert page.seeds.set_class(session, "Golden Retriever").recipe.class_index == 207
        assert page.seeds.set_class(session, "207: golden retriever").recipe.class_index == 207


@pytest.mark.parametrize("wrong", [None, "", " ", "1000", "-1", "no such animal"])
def test_a_class_that_there_is_not_is_a_sentence(opened, wrong):
    page, session = opened
    with pytest.raises(ValueError, match="choose one of the"):
        page.seeds.set_class(session, wrong)


def test_a_generator_without_classes_has_no_chooser():
    assert not app.seeds.show_class(app.opening.start()).visible


# ---- others ----


def test_a_card_says_the_licence_and_the_choice_the_size():
    panel = GeneratorsPanel(app.pictures, app.opening)
    for title, name in panel.choices():
        spec = GENERATORS[name]
        assert spec.licence.partition(";")[0] in panel.card(name)
        assert spec.title in title and ("to download" in title) == (app.renderer.catalogue.here()[name] is None)


def test_opening_can_be_cancelled_and_leaves_no_card(tmp_path):
    page, name = Elsewhere(tmp_path), conditional(tmp_path / "biggan.safetensors", 6)
    with pytest.raises(Cancelled):
        page.panel.fetch(app.opening.start(), name, lambda progress: False)
    assert not card_file(name).exists()


@pytest.mark.parametrize("wrong", [None, 7, ["portraits"], "", "nobody", "../../etc/passwd", "owner/name"])
def test_what_is_not_listed_is_refused_in_a_sentence_without_settings(wrong):
    panel = GeneratorsPanel(app.pictures, app.opening)
    with pytest.raises(gr.Error) as caught:
        plainly(panel.fetch)(app.opening.start(), wrong, go_on)
    assert "PANDA_" not in caught.value.message and "Something went wrong" not in caught.value.message


# ---- without a network ----


def test_offline_only_what_is_here_can_be_chosen(monkeypatch):
    panel = GeneratorsPanel(app.pictures, app.opening)
    monkeypatch.setattr("ui.panels.generators.is_offline", lambda: True)
    here = [name for name, path in app.renderer.catalogue.here().items() if path]
    assert [name for _, name in panel.choices()] == here
    assert "downloads nothing" in panel.card("portraits")


KINDS = ["offline", "gated", "missing", "refused", "rate-limited", "server", "disk", "truncated", "network", "corrupt"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_visitor_reads_one_sentence_and_the_owner_the_rest_in_the_log(kind, caplog):
    def download():
        raise HubError(kind, "a.pkl of owner/name is not here; set HF_TOKEN, unset HF_HUB_OFFLINE, see PANDA_HOME.")

    with caplog.at_level(logging.WARNING), pytest.raises(gr.Error) as caught:
        plainly(download)()
    assert not any(word in caught.value.message for word in ("HF_", "PANDA_", "owner/name"))
    assert 20 < len(caught.value.message) < 130 and caught.value.message.count(".") == 1
    assert "unset HF_HUB_OFFLINE" in caplog.text


def test_the_picture_is_as_it_was_after_a_download_that_failed(monkeypatch):
    start = app.opening.start()
    before = picture(start)
    panel = GeneratorsPanel(app.pictures, app.opening)

    def fail(*_):
        raise HubError("network", "the Hub cannot be reached")

    monkeypatch.setattr(app.renderer.catalogue, "ensure", fail)
    with pytest.raises(gr.Error, match="cannot be reached"):
        plainly(panel.fetch)(start, "panda-ffhq", go_on)
    assert torch.equal(picture(start), before)
