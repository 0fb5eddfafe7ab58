"""A visitor's own picture: brought, cropped, found, edited, kept in a file; the panel's methods, called directly."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio.state_holder import SessionState, StateHolder
from gradio_client import Client, handle_file
from PIL import Image

import app
from panda_core.__main__ import main
from panda_core.images import png_bytes, read_recipe_json, to_arrays, to_pil
from panda_core.links import encode_link
from panda_core.ops import Edit
from panda_core.origin import Origin
from panda_core.own_picture import OwnPicture
from panda_core.recipes import parse_recipe
from panda_core.regions import Region
from panda_core.studio import bringing
from panda_core.studio.session import Session
from panda_core.uploads import prepare_picture
from ui.binding import open_tab
from ui.seeds import go_to_seed, roll
from ui.server.events import plainly
from ui.server.preview import LinkPreview
from ui.visit import Visit

from .page import bare, event, go_on

panel = app.own_picture_panel
SEED = 4242


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Few steps: what is found is poor, and everything else is as it is."""
    before, bringing.STEPS = bringing.STEPS, (2, 2, 4)
    yield
    bringing.STEPS = before


@pytest.fixture(scope="module")
def start() -> Session:
    return bare()


@pytest.fixture(scope="module")
def upload(start) -> bytes:
    """A portrait that is no seed's: one with noise and a stripe."""
    image = to_arrays(app.renderer.base(replace(start.recipe, seed=SEED)))[0].astype(int)
    image = image + np.random.RandomState(0).randint(-9, 10, image.shape)
    image[:, 100:104] = 250, 10, 200
    return encoded(Image.fromarray(image.clip(0, 255).astype(np.uint8)))


@pytest.fixture
def brought(start, upload, tmp_path) -> Session:
    return bring(start, upload, tmp_path)


@pytest.fixture(scope="module")
def own(start, upload, tmp_path_factory) -> Session:
    there = bring(start, upload, tmp_path_factory.mktemp("own"))
    return panel.use(there, panel.find(there, report=go_on))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def bring(session: Session, data: bytes, folder) -> Session:
    path = folder / "mine.png"
    path.write_bytes(data)
    return panel.bring(session, str(path))


def edit(session: Session) -> Session:
    return session.append(Edit("add", session.layer, session.factors_id, Region((1,)), appearance=0, strength=6.0))


def saved(session: Session, folder):
    path = folder / "own.panda"
    path.write_bytes(base64.b64decode(json.loads(panel.save(session))["data"]))
    return path


# ---- what is shown ----


def test_an_upload_comes_back_to_the_bit_where_nothing_is_edited(own, upload):
    expected = np.asarray(Image.open(io.BytesIO(upload)))
    assert own.recipe.source and not own.recipe.edits
    assert np.array_equal(to_arrays(app.pictures.picture(own))[0], expected)
    assert np.array_equal(to_arrays(app.renderer.shown(own.recipe))[0], expected)
    assert np.array_equal(to_arrays(app.pictures.picture(edit(own).set_strength(0.0)))[0], expected)


def test_an_edit_changes_a_place_and_nothing_elsewhere(own, upload):
    expected = np.asarray(Image.open(io.BytesIO(upload)))
    got = to_arrays(app.pictures.picture(edit(own)))[0]
    changed = (got != expected).any(axis=-1)
    assert 0 < changed.mean() < 0.8
    frame = app.pictures.frame(edit(own))
    assert frame["edited"] and frame["alt"].startswith("Your own picture")


def test_it_can_be_shown_as_the_generator_draws_it(own):
    drawn = panel.set_as_drawn(own, True)
    assert torch.equal(app.pictures.picture(drawn), app.renderer.image(own.recipe))
    assert app.pictures.frame(drawn)["image"] != app.pictures.frame(own)["image"]
    back = panel.set_as_drawn(drawn, False)
    assert app.pictures.frame(back) == app.pictures.frame(own)


def test_the_download_is_what_is_shown(own):
    made = json.loads(app.sharing.picture_file(own, 256))
    image = Image.open(io.BytesIO(base64.b64decode(made["data"])))
    assert np.array_equal(np.asarray(image), to_arrays(app.renderer.shown(own.recipe))[0])
    assert made["name"].endswith("-own.png")
    assert "/compositeWithTrainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]
    assert "not a photograph" not in image.info["Software"]


@pytest.mark.parametrize("leave", [roll, lambda s: go_to_seed(s, 3), lambda s: app.opening.start().after(s)])
def test_another_picture_leaves_it_and_undo_brings_it_back(own, leave):
    away = leave(own)
    assert away.recipe.source is None
    assert away.undo().recipe == own.recipe


def test_leaving_the_empty_field_of_the_seed_changes_nothing(own):
    assert go_to_seed(own, None) is None


def test_the_history_shows_seeds_and_marks_none(own):
    visited = app.pictures.history(go_to_seed(own, 3).undo())["items"]
    assert visited and not any(item["on"] for item in visited)


# ---- bringing and finding ----


def test_a_file_leaves_the_disk_when_it_is_read(start, upload, tmp_path):
    bring(start, upload, tmp_path)
    with pytest.raises(ValueError, match="not a picture"):
        bring(start, b"nothing", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_crop_follows_its_sliders_and_is_what_is_looked_for(brought):
    moved = panel.cut(panel.cut(brought, "zoom", 2.0), "x", 0.25)
    whole, crop = panel.picture(brought), panel.picture(moved)
    assert not torch.equal(whole, crop)
    assert panel.preview(moved).count("<img") == 2 and panel.preview(moved) != panel.preview(brought)
    found = panel.use(moved, panel.find(moved, report=go_on))
    assert torch.equal(app.renderer.own_picture(found.recipe).image, crop)


def test_a_search_shows_pictures_on_its_way_and_gets_nearer(brought):
    steps = []
    panel.find(brought, report=lambda progress: steps.append(progress) or True)
    shown = [panel.so_far(brought, progress) for progress in steps if progress.images is not None]
    assert len(shown) > 6 and all(html.startswith("<figure><img") for html in shown)


def test_good_enough_keeps_what_there_is(brought):
    steps = []

    def report(progress):
        steps.append(progress.stage)
        if progress.stage == "latents":
            panel.end(brought)
        return True

    found = panel.use(brought, panel.find(brought, report=report))
    assert found.recipe.source and "styles" not in steps
    assert panel.find(brought, report=go_on)  # the next search is not ended by the last one's button


def test_what_is_found_is_another_step_of_undo(brought):
    assert panel.use(brought, panel.find(brought, report=go_on)).undo().recipe == brought.recipe


# ---- keeping ----


def test_a_file_brings_it_back_to_a_visitor_who_has_nothing(own, start, tmp_path):
    for session in (own, edit(own)):
        recipe = panel.open_file(start, str(saved(session, tmp_path)), report=go_on)
        opened = panel.use_edited(start, recipe)
        assert (opened.recipe.source, opened.recipe.edits) == (own.recipe.source, session.recipe.edits)
        assert torch.equal(app.pictures.picture(opened), app.pictures.picture(session))
        assert opened.edit == session.edit and opened.undo().recipe == start.recipe
    assert not list(tmp_path.iterdir())


def test_edits_that_cannot_be_made_here_cost_no_picture(own, start, tmp_path):
    foreign = own.append(replace(edit(own).edit, factors="local:" + "0" * 64))
    recipe = panel.open_file(start, str(saved(foreign, tmp_path)), report=go_on)
    opened = panel.use_edited(start, recipe)
    assert opened.recipe.source == own.recipe.source and not opened.recipe.edits
    assert opened.notice.startswith("Your picture is here without its edits: ") and "parts" in opened.notice


def test_the_command_line_draws_a_file_with_its_edits_or_with_others(own, tmp_path):
    file, out, text = saved(edit(own), tmp_path), tmp_path / "out.png", tmp_path / "changed.json"
    changed = edit(own).set_strength(-6.0)
    text.write_text(changed.recipe.to_json())
    for arguments, expected in (
        ([str(file)], app.renderer.shown(edit(own).recipe)),
        ([str(text), "--own", str(file)], app.renderer.shown(changed.recipe)),
    ):
        assert main(["render", arguments[0], str(out), *arguments[1:]]) == 0
        got = np.asarray(Image.open(out)).astype(int)
        assert np.abs(got - to_arrays(expected)[0]).max() <= 1  # sums in another order
        assert parse_recipe(read_recipe_json(out.read_bytes())).source == own.recipe.source
    assert main(["render", str(saved(own, tmp_path)), str(out)]) == 0
    drawn = to_arrays(app.renderer.image(own.recipe))[0]
    assert np.abs(np.asarray(Image.open(out)).astype(int) - drawn).max() <= 1


def test_a_recipe_of_an_own_picture_needs_its_file(own, tmp_path, capsys):
    assert main(["render", edit(own).recipe.to_json(), str(tmp_path / "out.png")]) == 1
    assert "open its .panda file first" in capsys.readouterr().err


def test_no_link_opens_it_and_the_sentence_says_why(own):
    with pytest.raises(ValueError, match="No link can hold"):
        app.sharing.link(own)
    opened = app.opening.open_link(encode_link(own.recipe))
    assert opened.recipe == app.opening.start().recipe
    assert "open its .panda file" in opened.notice


def test_a_link_shows_nothing_of_it_to_a_chat_either(own):
    links = LinkPreview(app.pictures, app.opening)
    assert links.jpeg(encode_link(own.recipe)) == links.jpeg(None)


def test_a_link_cannot_take_a_thing_over_from_it(own, start):
    picture = Origin("portraits", source=own.recipe.source)
    thief = Edit("transfer", start.layer, start.factors_id, Region((1,)), picture=picture, share=1.0)
    assert "open its .panda file" in app.opening.open_link(encode_link(start.append(thief).recipe)).notice


def test_a_picture_of_ours_opens_for_who_has_its_file_only(own, start):
    changed = edit(own)
    data = png_bytes(to_pil(app.renderer.shown(changed.recipe))[0], app.renderer.pin(changed.recipe).to_json())
    with pytest.raises(ValueError, match=r"\.panda file"):
        app.sharing.open_file(start, data)
    mine = panel.use(start, own.recipe.source)
    assert app.sharing.open_file(mine, data).recipe.edits == changed.recipe.edits


def test_programs_cannot_ask_for_it(own):
    with pytest.raises(gr.Error, match=r"\.panda file"):
        plainly(app.api.generate)(own.recipe.to_json())


def test_the_gallery_refuses_it_in_a_sentence(own, empty_home):
    with pytest.raises(gr.Error, match="seeds only"):
        plainly(app.gallery_panel.publish_card)(edit(own))


def test_another_visit_knows_nothing_of_it(own):
    other = Visit(app.opening.start).session
    assert other.aside("mine") is None and own.recipe.source not in app.sharing.address(other)
    with pytest.raises(ValueError, match=r"\.panda file"):
        app.opening.opened(replace(other.recipe, source="0" * 32))


def test_the_endpoint_gives_a_file_that_opens(start, upload, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(upload)
    made = [found for found in app.api.invert(start.recipe.to_json(), str(path), 3.0) if found[0]]
    own = OwnPicture.load(Path(made[0][0]))
    assert len(made) == 1 and own.layer == 3 and made[0][1] == max(own.psnr.values())
    with pytest.raises(gr.Error, match="layer"):
        path.write_bytes(upload)
        list(app.api.invert(start.recipe.to_json(), str(path), 99.0))


def test_a_program_sends_a_picture_and_gets_the_file(url, start, upload, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(upload)
    client = Client(url, verbose=False, download_files=str(tmp_path / "got"))
    file, psnr = client.predict(start.recipe.to_json(), handle_file(path), None, api_name="/invert")
    assert OwnPicture.load(Path(file)).psnr["features"] <= psnr


def test_it_leaves_memory_when_the_last_visit_that_has_it_ends(start, upload, tmp_path):
    assert app.page.visit.delete_callback == panel.leave  # gradio's, once a page has been closed for an hour
    first, second, seed = (Visit(app.opening.start) for _ in range(3))
    own = panel.cut(bring(start, upload, tmp_path), "turn", 20.0)
    own = panel.use(own, panel.find(own, report=go_on))
    source = own.recipe.source
    first.session, second.session = edit(own), own
    app.pictures.frame(first.session)
    app.pictures.picture(go_to_seed(own, 3))
    renderer, kept = app.renderer, app.pictures.kept
    stores = renderer._own, renderer._own.results, renderer._cache, renderer._pictures, kept
    seeds = [len(store.items()) - sum(source in repr(key) for key, _ in store.items()) for store in stores]
    panel.leave(seed)
    panel.leave(first)
    assert torch.equal(app.renderer.own_picture(own.recipe).image, panel.picture(own))
    panel.leave(second)
    assert not any(source in repr(key) for store in stores for key, _ in store.items())
    assert [len(store.items()) for store in stores] == seeds  # nothing else went
    with pytest.raises(ValueError, match=r"\.panda file"):
        app.renderer.shown(own.recipe)


def test_gradio_tells_of_a_visit_that_ends(start):
    state, ended = SessionState(app.demo), []
    holder = StateHolder()
    holder.session_data["it"] = state
    state[app.page.visit._id] = Visit(app.opening.start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.page.visit, "delete_callback", ended.append)
        holder.delete_all_expired_state()
        assert not ended  # the page is open
        state.is_closed, state.STATE_TTL_WHEN_CLOSED = True, -1
        holder.delete_all_expired_state()
    assert [type(visit) for visit in ended] == [Visit]


def test_what_a_program_looks_for_is_not_kept(start, upload, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(upload)
    known = app.renderer._own.items()
    assert [found for found in app.api.invert(start.recipe.to_json(), str(path), 7.0) if found[0]]
    assert app.renderer._own.items() == known


def test_the_parts_of_an_own_picture_are_nobody_elses(own):
    assert app.factors_panel.map(own) != app.factors_panel.map(go_to_seed(own, own.recipe.seed))


def test_a_photograph_of_a_telephone_is_brought_whole(url, start, tmp_path):
    noise = Image.effect_noise((4000, 3000), 80)
    channels = [noise, noise.transpose(0), noise.transpose(1)]
    out = io.BytesIO()
    Image.merge("RGB", channels).save(out, "JPEG", quality=95)
    photograph = out.getvalue()
    assert len(photograph) > 12e6
    path = tmp_path / "mine.jpg"
    path.write_bytes(photograph)
    client = Client(url, verbose=False, download_files=str(tmp_path / "got"))
    file, _ = client.predict(start.recipe.to_json(), handle_file(path), None, api_name="/invert")
    expected = prepare_picture(photograph, app.renderer.generator(start.recipe).resolution)
    assert torch.equal(OwnPicture.load(Path(file)).image, expected)


# ---- the tabs ----


def test_every_tab_shows_it(own):
    for tab in ("Edit", "Remove", "Masks", "Rewrite", "Rank"):
        there = app.choosing.choose(open_tab(own, tab), [1])
        for follower in app.page._now + app.page._later:  # what the page itself sends
            follower.shown(there)


def test_an_end_of_the_edit_tab_is_an_edit_of_it(own):
    there = app.choosing.choose(own, list(app.pictures.factors(own).things[1]))
    changed = app.edit_tab.choose_end(there, event(index=0))
    assert changed.recipe.source == own.recipe.source and len(changed.recipe.edits) == 1
    assert not torch.equal(app.pictures.picture(changed), app.pictures.picture(own))


# ---- mistakes ----

LARGE = encoded(Image.new("L", (7000, 6000)))
FILES = {
    "a PDF renamed": b"%PDF-1.7\n" + b"0" * 999,
    "HEIC": b"\x00\x00\x00\x18ftypheic" + b"\x00" * 99,
    "over 40 megapixels": LARGE,
    "empty": b"",
    "cut off": encoded(Image.effect_noise((300, 300), 50).convert("RGB"))[:5000],
    "text": b"hello",
    "tiny": encoded(Image.new("RGB", (4, 4))),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_wrong_file_is_one_sentence_and_nothing_changes(brought, kind, tmp_path):
    visit = Visit(app.opening.start)
    visit.session = brought
    with pytest.raises(gr.Error) as caught:
        plainly(bring)(visit.session, FILES[kind], tmp_path)
    assert 10 < len(caught.value.message) < 300 and "\n" not in caught.value.message
    assert "Something went wrong" not in caught.value.message
    assert visit.session == brought


MISTAKES = {
    "find nothing": lambda s: panel.find(s, report=go_on),
    "crop nothing": lambda s: panel.cut(s, "x", 0.5),
    "save nothing": lambda s: panel.save(s),
    "open nothing": lambda s: panel.open_file(s, None, report=go_on),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(start, kind):
    with pytest.raises(gr.Error) as caught:
        plainly(MISTAKES[kind])(start)
    assert 10 < len(caught.value.message) < 300 and "Something went wrong" not in caught.value.message


@pytest.mark.parametrize("value", [9.0, -1.0, float("nan"), None, "2"])
def test_a_wrong_number_leaves_the_crop(brought, value):
    with pytest.raises(ValueError, match="Zoom is"):
        panel.cut(brought, "zoom", value)


def test_a_foreign_panda_file_is_one_sentence_and_nothing_changes(own, start, tmp_path):
    known = app.renderer.own_picture(own.recipe)
    files = {
        "cannot be opened: it is not a readable": lambda path: path.write_bytes(b"no"),
        "cannot be opened": lambda path: path.write_bytes(saved(own, tmp_path).read_bytes()[:-9]),
        "this generator has": lambda path: replace(known, weights="0" * 12).save(path),
        "generator is 'nothing-such'": lambda path: replace(known, generator="nothing-such").save(path),
        "downloaded first": lambda path: replace(known, generator="panda-ffhq").save(path),
    }
    before = app.renderer._own.items()
    for words, write in files.items():
        write(path := tmp_path / "x.panda")
        with pytest.raises(ValueError) as caught:
            panel.use_edited(start, panel.open_file(start, str(path), report=go_on))
        assert words in str(caught.value) and "\n" not in str(caught.value), words
    assert [key for key, _ in app.renderer._own.items()] == [key for key, _ in before]
