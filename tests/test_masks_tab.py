"""The Masks tab's handlers, called directly, on the bundled generator."""

import base64
import io
import json
import zipfile

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from panda_core.images import read_recipe_json
from panda_core.masks import ConceptMask
from ui import masks, page, view
from ui.session import Session


def event(**data) -> gr.EventData:
    return gr.EventData(None, data)


def always(progress) -> bool:
    return True


@pytest.fixture(scope="module")
def start() -> Session:
    return view.start()


@pytest.fixture
def plain(start) -> Session:
    return start.reset()


def opened(text: str) -> tuple[Image.Image, dict]:
    """What the page's script saves."""
    file = json.loads(text)
    return Image.open(io.BytesIO(base64.b64decode(file["data"]))), file


def test_the_tab_opens_on_the_portrait_without_its_background(plain):
    """The corners at the top are background and the middle of the face is not, on this picture and most others."""
    assert "All but background" in masks.figures(plain)
    for seed in range(12):
        mask = masks.pixels(plain.go_to(seed))
        assert not mask[:8, :8].any() and not mask[:8, -8:].any()
        assert mask[28:36, 28:36].all()


def test_a_concept_is_chosen_with_its_own_sign_and_side(plain):
    nameless = min(set(range(24)) - set(view.factors_of(plain).info.appearance_names))
    session = masks.choose_concept(plain, event(index=nameless))
    assert (masks.masking(session).appearance, masks.masking(session).sign) == (nameless, 1)
    number, sign = masks.background(plain)
    assert masks.masking(masks.choose_concept(session, event(index=number))) == ConceptMask(number, sign, rest=True)
    assert masks.choose_concept(session, event(index=1, of="other concepts")) is None
    with pytest.raises(ValueError, match="are offered here"):
        masks.choose_concept(session, event(index=-1))


def test_a_concept_named_for_its_other_side_is_masked_there(plain, monkeypatch):
    named = view.factors_of(plain).with_info(appearance_names={5: "hair (-)"})
    monkeypatch.setattr(view, "factors_of", lambda session: named)
    session = masks.choose_concept(plain, event(index=5))
    start = masks.masking(session)
    assert (start.appearance, start.sign, masks.side(session)) == (5, -1, 1)
    assert "Only hair" in masks.figures(session)
    session = masks.set_kind(session, -1, False)
    assert masks.masking(session).sign == 1 and "Only less of hair" in masks.figures(session)
    assert masks.masking(session).offset == -start.offset  # the same threshold, seen from the other side


def test_a_mask_begins_where_the_picture_falls_apart(plain):
    clothes = next(j for j, name in view.factors_of(plain).info.appearance_names.items() if name == "clothes")
    session = masks.choose_concept(plain, event(index=clothes))
    above = masks.cells(session)
    there = [float((above >= least).float().mean()) for least in (0.0, -masks.masking(session).offset)]
    assert 0.02 < there[0] < there[1] / 2  # the shirt; above the mean is more than that


def test_another_layer_begins_with_its_own_background(plain):
    session = masks.set_kind(masks.choose_concept(plain, event(index=0)), -1, False)
    other = next(layer for layer in session.layers if layer != session.layer)
    there = session.choose_layer(other)
    assert masks.masking(there).appearance == masks.background(there)[0]
    assert masks.masking(there.choose_layer(session.layer)) == masks.masking(session)


@pytest.mark.parametrize("offset", [9.0, float("nan"), None, "1"])
def test_a_threshold_that_cannot_be_is_refused(plain, offset):
    with pytest.raises(ValueError, match="threshold is"):
        masks.tick(plain, offset)


def test_the_cut_out_is_transparent_where_the_mask_is_not(start):
    image, file = opened(masks.cut_out_file(start))
    mask, mask_file = opened(masks.mask_file(start))
    assert file["name"] == f"panda-portraits-{start.recipe.seed}-cut-out.png" and "-mask" in mask_file["name"]
    pixels = np.asarray(image)
    assert np.array_equal(pixels[..., 3], np.asarray(mask)) and set(np.unique(mask)) == {0, 255}
    assert np.array_equal(pixels[..., :3], np.asarray(opened(view.picture_file(start))[0]))
    for one in (file, mask_file):
        recipe = json.loads(read_recipe_json(base64.b64decode(one["data"])))
        assert recipe["edits"] == start.recipe.to_dict()["edits"]


def test_the_mask_becomes_the_painted_area_of_the_next_edit(start):
    assert "painted" not in masks.status(start)
    session = masks.use_mask(start)
    assert "painted area now" in masks.status(session)
    assert session.recipe == start.recipe and session.active is None  # no edit is moved by it
    added = session.add(view.looks(session)[0])
    cells = added.recipe.edits[-1].region.mask.tensor().flatten() == 1
    assert (cells == masks.masking(start).of(masks.cells(start))[0]).all()


def test_nothing_is_not_a_painted_area(plain):
    high = [masks.tick(masks.choose_concept(plain, event(index=j)), 3.0)[0] for j in range(24)]
    empty = next(session for session in high if not masks.masking(session).of(masks.cells(session)).any())
    with pytest.raises(ValueError, match="nowhere to edit"):
        masks.use_mask(empty)


def test_an_edit_of_finer_parts_is_said_not_to_move_the_mask(start):
    coarse, fine = sorted(start.layers)
    assert start.recipe.edits[0].layer == fine
    assert "do not move" not in masks.status(start)
    assert "do not move the mask" in masks.status(start.choose_layer(coarse))


def test_the_mask_on_other_pictures_follows_the_threshold_without_making_them_again(plain):
    session = plain.keep_made(masks.try_mask, masks.try_mask(plain, always))
    before = masks.others(session)
    assert [item["label"] for item in before["items"]][:2] == [f"Seed {plain.recipe.seed + i}" for i in (1, 2)]
    moved, *_, after = masks.tick(session, 1.0)
    assert len(after["items"]) == 16 and after["items"] != before["items"]
    other = page.open_seed(moved, event(seed=after["items"][3]["seed"]))
    assert other.recipe.seed == plain.recipe.seed + 4
    assert [item["on"] for item in masks.others(other)["items"]].index(True) == 3
    assert masks.others(masks.choose_concept(other, event(index=0)))["note"]


def test_the_other_pictures_masks_are_those_of_the_pictures_when_opened(plain):
    session = plain.keep_made(masks.try_mask, masks.try_mask(plain, always))
    session, *_ = masks.tick(masks.set_kind(session, -1, False), 0.3)
    made = masks.held.get(masks.others_key(session, plain.recipe.seed))
    there = session.go_to(plain.recipe.seed + 6)
    chosen = masks.masking(session)
    assert np.allclose(chosen.sign * made[5][1] - chosen.offset, masks.cells(there), atol=1e-4)  # another batch


def test_zips_are_few_and_small_and_leave_nothing_behind_when_cancelled(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "get_upload_folder", lambda: str(tmp_path / "new"))
    made = [masks.pack_pairs(plain, 1, always) for _ in range(masks.MOST_ARCHIVES + 2)]
    left = {str(path) for path in tmp_path.rglob("*.zip")}
    assert len(left) == masks.MOST_ARCHIVES and made[-1] in left and made[0] not in left
    assert masks.archive(plain.keep_made(masks.pack_pairs, made[-1])).visible
    assert not masks.archive(plain.keep_made(masks.pack_pairs, made[0])).visible
    with pytest.raises(InterruptedError):
        masks.pack_pairs(plain, 16, lambda progress: progress.done < 2)
    assert len(list(tmp_path.rglob("*.zip"))) == masks.MOST_ARCHIVES - 1
    for count in (257, 0, float("nan"), None):
        with pytest.raises(ValueError, match="a zip holds 1 to 256"):
            masks.pack_pairs(plain, count, always)
    with zipfile.ZipFile(made[-1]) as file:
        assert len(file.namelist()) == 2


def test_the_endpoint_gives_map_mask_and_cut_out(start):
    text = start.recipe.to_json()
    number, _ = masks.background(start)
    heat, recipe = masks.saliency(text, float(number), 0.0, "more", "heat map")
    mask, _ = masks.saliency(text, number, 0.5, "more", "mask")
    cut, _ = masks.saliency(text, number, 0.5, "more", "cut-out")
    rest, _ = masks.saliency(text, number, 0.5, "more", "rest")
    assert json.loads(recipe)["weights"] and heat.mode == "RGB" and heat.size == mask.size == (64, 64)
    alpha = np.asarray(cut)[..., 3]
    assert np.array_equal(alpha, np.asarray(mask)) and np.array_equal(255 - alpha, np.asarray(rest)[..., 3])
    tick, *_ = masks.tick(start, 0.5)
    assert np.array_equal(np.asarray(mask) == 0, masks.pixels(tick).numpy())  # the page keeps the rest


@pytest.mark.parametrize(
    "changes",
    [
        {"appearance": 2.5},
        {"appearance": 900},
        {"threshold": 4.0},
        {"sign": "most"},
        {"result": "cat"},
        {"recipe": "{}"},
    ],
)
def test_the_endpoint_refuses_in_a_sentence(start, changes):
    given = {"recipe": start.recipe.to_json(), "appearance": 1, "threshold": 0.0, "sign": "less", "result": "mask"}
    with pytest.raises(gr.Error) as refused:
        masks.saliency(**given | changes)
    assert refused.value.message.endswith(".")
