"""The Masks tab's handlers, called directly, on the bundled generator."""

import base64
import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import app
from panda_core.images import read_recipe_json
from panda_core.progress import Cancelled
from panda_core.studio.masking import MAX_ARCHIVES
from panda_core.studio.session import Session
from ui.binding import open_tab

from .page import edited, event, go_on

tab = app.masks_tab


@pytest.fixture(scope="module")
def plain() -> Session:
    return app.opening.start().reset()


def opened(text: str) -> tuple[Image.Image, bytes]:
    """What the page's script saves."""
    data = base64.b64decode(json.loads(text)["data"])
    return Image.open(io.BytesIO(data)), data


def kept(session: Session) -> np.ndarray:
    mask = tab.mask(session)
    return mask.of(tab.above(session, mask)).numpy()


def test_the_tab_opens_on_the_finest_layer_and_all_but_the_background(plain):
    assert plain.finest[0] == max(plain.layers)
    assert tab.mask(plain).rest and tab.tiles(plain)["items"][0]["on"]
    inside = kept(plain)
    assert not inside[:10, :10].any() and inside[120:140, 120:140].all()  # a corner, and the middle of the face


def test_every_mask_is_a_tile_of_this_picture_and_of_its_own(plain):
    tiles = tab.tiles(plain)["items"]
    assert len({tile["image"] for tile in tiles}) == len({tile["label"] for tile in tiles}) == len(tiles) > 1


def test_only_masks_with_a_name_are_offered_where_there_are_some(plain):
    names = set(tab.factors(plain).info.appearance_names)
    assert {mask.appearance for mask in tab.offered(plain)} == names | {tab.background(plain)[0]}


def test_a_click_on_the_picture_chooses_the_smallest_mask_that_keeps_the_place(plain):
    session = open_tab(plain, "Masks")
    top = app.choosing.pick(session, event(part=0, at=[0.5, 0.2]))  # of the head
    assert tab.name(top, tab.mask(top)) == "hair"
    face = app.choosing.pick(top, event(part=0, at=[0.5, 0.62]))
    assert tab.name(face, tab.mask(face)) == "skin"
    corner = app.choosing.pick(top, event(part=0, at=[0.02, 0.02]))  # where none keeps anything
    assert tab.mask(corner) == tab.mask(top)


def test_what_is_not_background_may_have_a_name_of_its_own(plain, monkeypatch):
    background = tab.background(plain)[0]
    named = tab.factors(plain).rename("appearance", background, "face")
    monkeypatch.setattr(tab, "factors", lambda session: named)
    assert tab.name(plain, tab.offered(plain)[0]) == "face"


def test_a_tile_is_chosen_and_its_threshold_moves(plain):
    chosen = tab.choose(plain, event(index=1))
    assert tab.mask(chosen) == tab.offered(plain)[1]
    lower, higher = (kept(tab.set_offset(chosen, offset)).mean() for offset in (-2.5, 2.5))
    assert lower > higher
    assert tab.choose(chosen, event(index=0, of="another layer's")) is None


@pytest.mark.parametrize("offset", [3.5, float("nan"), None, "1"])
def test_a_threshold_that_cannot_be_is_refused(plain, offset):
    with pytest.raises(ValueError, match="threshold"):
        tab.set_offset(plain, offset)


def test_the_four_downloads_are_of_one_mask(plain):
    cut, data = opened(tab.save_cut_out(plain))
    rest, _ = opened(tab.save_rest(plain))
    mask, _ = opened(tab.save_mask(plain))
    assert cut.size == rest.size == mask.size == (512, 512) and read_recipe_json(data)
    alpha = np.asarray(cut)[..., 3]
    assert np.array_equal(alpha, np.asarray(mask)) and np.array_equal(255 - alpha, np.asarray(rest)[..., 3])


def test_the_mask_becomes_the_painted_area_of_the_next_edit(plain):
    inside = tab.edit_inside(plain)
    assert inside.where == "painted" and inside.layer == plain.finest[0] and not inside.notice
    H, W = inside.mask.size
    grid = inside.mask.tensor().reshape(H, W)
    assert grid[H // 2, W // 2] and not grid[:2, :2].any()  # the person, not what is behind
    nothing = dataclasses.replace(tab.mask(plain), rest=False, sign=1, offset=3.0)
    if not kept(tab.put(plain, nothing)).any():
        with pytest.raises(ValueError, match="Nothing is kept"):
            tab.edit_inside(tab.put(plain, nothing))


def test_an_edit_shows_in_the_mask_s_picture():
    hand = edited()
    assert tab.figures(hand) != tab.figures(hand.reset())


def test_a_click_after_a_mask_was_taken_is_on_the_parts_that_were_there_before(plain):
    taken = tab.edit_inside(tab.edit_inside(plain))  # twice is not further
    assert taken.layer == max(plain.layers) != plain.layer
    clicked = app.choosing.pick(taken, event(part=0, at=[0.5, 0.7]))
    assert clicked.layer == plain.layer and clicked.parts == app.choosing.click_at(plain, (0.5, 0.7)).parts
    assert taken.go_to(3).layer == plain.layer
    fine = app.seeds.set_layer(clicked, taken.layer)  # chosen by the visitor: it stays
    assert app.choosing.pick(fine, event(part=0, at=[0.5, 0.7])).layer == taken.layer


def test_zips_are_few_and_leave_nothing_behind_when_cancelled(plain, tmp_path, monkeypatch):
    monkeypatch.setattr("ui.tabs.masks.get_upload_folder", lambda: str(tmp_path / "new"))
    made = [tab.pack_pairs(plain, 1, go_on) for _ in range(MAX_ARCHIVES + 2)]
    left = {str(path) for path in tmp_path.rglob("*.zip")}
    assert len(left) == MAX_ARCHIVES and made[-1] in left and made[0] not in left
    assert tab.archive(plain.keep_made(tab.pack_pairs, made[-1])).visible
    assert not tab.archive(plain.keep_made(tab.pack_pairs, made[0])).visible
    with pytest.raises((Cancelled, InterruptedError)):
        tab.pack_pairs(plain, 16, lambda progress: progress.done < 2)
    assert len(list(tmp_path.rglob("*.zip"))) == MAX_ARCHIVES - 1
    for count in (257, 0, float("nan"), None):
        with pytest.raises(ValueError, match="a zip holds 1 to"):
            tab.pack_pairs(plain, count, go_on)
    with zipfile.ZipFile(made[-1]) as file:
        assert len(file.namelist()) == 2
