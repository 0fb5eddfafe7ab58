"""What lies under the Edit tab's looks, and the Factors panel: their handlers, called directly."""

import base64
import dataclasses
import io
import json
import zipfile

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

import app
from panda_core.factors import Factors
from panda_core.progress import Cancelled, Progress
from panda_core.recipes import parse_recipe
from ui import bundle, edit, edits, factors, further, named, page, region, view
from ui.session import Session

RANK = {"appearances": None, "samples": 32, "seed": 0}


def event(**data) -> gr.EventData:
    return gr.EventData(None, data)


def go_on(progress: Progress) -> bool:
    return True


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Visitors' own factors go to a folder of this test's."""
    monkeypatch.setattr(view.renderer.catalogue, "_home", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def start() -> Session:
    return view.start()


@pytest.fixture
def edited(start) -> Session:
    return edit.choose_look(region.pick(start.reset(), event(part=1)), event(index=0))


@pytest.fixture(scope="module")
def learned(start) -> tuple:
    """Factors of the layer in hand with five parts: their entry in the list."""
    return factors.learn(start, start.layer, 5, **RANK, class_index=None, report=go_on)


# edits at several layers


def test_edits_at_two_layers_act_in_the_order_of_the_layers(edited):
    other = next(layer for layer in edited.layers if layer != edited.layer)
    both = edit.choose_look(region.pick(app.set_layer(edited, other), event(part=0)), event(index=2))
    assert [e.layer for e in both.recipe.edits] == [edited.layer, other]
    recipe, generator = both.recipe, view.renderer.generator(both.recipe)
    cut = generator.start(generator.sample([recipe.seed], recipe.psi, None))
    with torch.inference_mode():
        for i in recipe.ordered():
            cut = generator.advance(cut, recipe.edits[i].layer)
            cut = cut.with_features(view.renderer.step(recipe, i).apply(cut.features))
        assert torch.equal(generator.tail(cut), view.renderer.image(recipe))
    back = edits.act(both, event(action="take", index=0))
    assert (back.layer, back.parts, back.edit) == (edited.layer, (1,), edited.edit)
    assert both.undo().recipe == edited.recipe


# the same edits on other pictures


def test_the_edits_are_shown_on_the_sixteen_seeds_that_follow(edited):
    told = []
    shown = edited.keep_made(further.try_others, further.try_others(edited, lambda p: told.append(p) or True))
    assert [p.done for p in told] == list(range(16))
    made = further.tried(shown)
    assert [item["seed"] for item in made] == [edited.recipe.seed + 1 + i for i in range(16)]
    elsewhere = dataclasses.replace(edited.recipe, seed=made[4]["seed"])
    assert made[4]["image"] == view.jpegs(view.resized(view.renderer.image(elsewhere), 128))[0]
    assert made[4]["before"] == view.jpegs(view.resized(view.renderer.base(elsewhere), 128))[0]
    opened = page.open_seed(shown, event(seed=made[4]["seed"]))
    assert opened.recipe == elsewhere
    assert [item["on"] for item in further.others_tiles(opened)["items"]].count(True) == 1


def test_a_still_edit_holds_nowhere(edited):
    none = edited.keep_made(further.try_others, further.try_others(edited.set_strength(0.0), go_on))
    assert "Seen in 0 of 16" in further.others_words(none)
    assert "changed since" in further.others_words(none)


def test_trying_and_sweeping_can_be_cancelled(edited):
    other = edited.go_to(123_456)
    for work in (further.try_others, further.sweep):
        with pytest.raises(Cancelled):
            work(other, lambda p: p.done < 2)
    assert further.tried(other) == [] and further.swept(other) is None


# a sweep


def test_a_sweep_goes_from_one_end_to_the_other_and_back(edited):
    key = further.sweep(edited, go_on)
    assert key == further.sweep(edited.set_strength(0.5), go_on)  # whatever the strength in hand
    shown = edited.keep_made(further.sweep, key)
    ends = [edited.set_strength(end) for end in view.ends(edited)]
    wanted = [np.asarray(further.to_pil(view.resized(view.renderer.image(s.recipe), 256))[0], float) for s in ends]
    for kind in ("WEBP", "GIF"):
        name, data = further.sweep_file(shown, kind)
        with Image.open(io.BytesIO(data)) as film:
            assert (film.format, name.rpartition(".")[2]) == (kind, kind.lower())
            assert film.n_frames == 24
            for number, picture in zip((0, 12), wanted):
                film.seek(number)
                assert np.abs(np.asarray(film.convert("RGB"), float) - picture).mean() < 6  # lossy, 256 colours
    assert "data:image/webp;base64," in further.show_sweep(shown)


# refined parts


def test_refined_parts_move_the_edit_in_hand_and_undo_brings_it_back(edited):
    refined = further.set_refine(edited, "graph", 16)
    assert (refined.edit.region.refine, refined.edit.region.k) == ("graph", 16)
    assert not torch.equal(view.renderer.image(refined.recipe), view.renderer.image(edited.recipe))
    assert further.both_overlays(refined).count("<img") == 2 and further.both_overlays(edited).count("<img") == 1
    assert refined.undo().recipe == edited.recipe
    assert further.set_refine(refined, "none", 16).recipe.edits == edited.recipe.edits


def test_the_endpoint_refines_the_edits_of_a_layer(edited):
    image, recipe = further.refine(edited.recipe.to_json(), None, "dense")
    assert image.size == (64, 64)
    refined = parse_recipe(recipe)
    assert [e.region.refine for e in refined.edits] == ["dense"]
    plain, same = further.refine(recipe, float(edited.layer), "none")
    assert parse_recipe(same) == view.renderer.pin(edited.recipe)
    assert not np.array_equal(np.asarray(plain), np.asarray(image))


# named edits


def test_a_named_edit_is_one_line_that_a_second_click_takes_away(edited):
    found = view.presets_of(edited.recipe.generator)
    tiles = named.named_tiles(edited)
    assert [item["label"] for item in tiles["items"]] == [preset.name for preset in found]
    assert len(found) >= 16 and not any(item["on"] for item in tiles["items"])
    session = named.choose_named(edited, event(index=3, of=tiles["of"]))
    assert session.recipe.edits == (*edited.recipe.edits, *found[3].edits) and len(found[3].edits) > 1
    row = view.edit_rows(session)["rows"][1]
    assert (row["title"], row["look"], row["active"]) == (found[3].name, "as usual", True) and len(session.rows) == 2
    assert [item["on"] for item in named.named_tiles(session)["items"]].index(True) == 3
    assert session.undo().recipe == named.choose_named(session, event(index=3)).recipe == edited.recipe
    both = named.choose_named(session, event(index=7))
    assert [row.preset and row.preset.name for row in both.rows] == [None, found[3].name, found[7].name]
    jpegs = [base64.b64decode(item["image"].split(",")[1]) for item in tiles["items"]]
    small = np.stack([np.asarray(Image.open(io.BytesIO(jpeg)), float) for jpeg in jpegs])
    for index in (0, 3, 8):  # of all tiles its own is nearest to what a click makes: JPEG
        shown = view.renderer.image(named.choose_named(edited.reset(), event(index=index)).recipe)
        wanted = further.to_pil(view.resized(torch.nn.functional.avg_pool2d(shown, 2), 128))[0]
        assert np.abs(small - np.asarray(wanted, float)).mean(axis=(1, 2, 3)).argmin() == index


@pytest.mark.parametrize("index", range(len(view.presets_of("portraits"))))
def test_every_named_edit_keeps_its_name_wherever_its_slider_stands(edited, index):
    session = named.choose_named(edited.reset(), event(index=index))
    preset, slider = session.row.preset, edits.slider(session)
    assert (slider.minimum, slider.value, slider.maximum) == (0, 1, 2) and preset.name in slider.label
    for times in (0.7, 0.0, 0.1, 1.9, 2.0):
        session, *_ = edits.tick(session, times)
        assert session.row.preset == preset and session.row.times == pytest.approx(times, abs=2e-3)
        sizes = [(e.strength, times * n.strength) for e, n in zip(session.recipe.edits, preset.edits)]
        assert all(mine == pytest.approx(theirs, abs=0.02) for mine, theirs in sizes)
    assert session.undo().row.times == 1  # one drag is one step
    opened = page.open_link(view.link(session))
    assert [row.times for row in opened.rows] == [2.0] and opened.row.preset == preset


def test_a_named_edit_is_switched_moved_and_removed_as_one(edited):
    session = named.choose_named(edited, event(index=0))
    count = len(session.recipe.edits) - 1
    off = edits.act(session, event(action="switch", index=1))
    assert [e.on for e in off.recipe.edits] == [True] + [False] * count and len(off.rows) == 2
    moved = edits.act(session, event(action="up", index=1))
    assert moved.recipe.edits == (*session.recipe.edits[1:], edited.edit) and moved.row == moved.rows[0]
    assert edits.act(moved, event(action="down", index=0)).recipe == session.recipe
    assert edits.act(moved, event(action="remove", index=0)).recipe == edited.recipe


def test_a_named_edit_leaves_the_chosen_part_and_its_look_alone(edited):
    found = view.presets_of(edited.recipe.generator)
    index = next(i for i, preset in enumerate(found) if preset.edits[0].layer != edited.layer)
    session = named.choose_named(edited, event(index=index))
    assert session.layer == edited.layer and session.row.preset == found[index]
    assert session.parts == edited.parts and view.sheet(session)["items"][0]["on"]
    other = edit.choose_look(session, event(index=2))
    assert [row.preset for row in other.rows] == [row.preset for row in session.rows]
    assert other.edit.region == edited.edit.region and other.edit.appearance == view.looks(session)[2].appearance
    elsewhere = edit.choose_look(region.pick(session, event(part=4)), event(index=2))
    assert len(elsewhere.rows) == 3 and elsewhere.rows[1].preset


def test_edits_that_no_longer_go_together_are_lines_of_their_own(edited):
    session = named.choose_named(edited.reset(), event(index=0))
    for other in (
        session.put(1, dataclasses.replace(session.recipe.edits[1], on=False)),
        session.put(1, session.recipe.edits[1].scaled(1.1)),
        session.put(1, session.recipe.edits[1].scaled(-1.0)),
        session.put(1, dataclasses.replace(session.recipe.edits[1], appearance=1)),
    ):
        assert len(other.rows) == len(other.recipe.edits)
        assert other.put(1, session.recipe.edits[1]).rows == session.rows
    with pytest.raises(ValueError, match="0 to 2 times"):
        session.set_strength(2.5)


def test_a_named_edit_can_be_swept(edited):
    session = named.choose_named(edited.reset(), event(index=0))
    shown = session.keep_made(further.sweep, further.sweep(session, go_on))
    assert "from +0.0 to +2.0" in further.show_sweep(shown)


# learning


def test_a_fit_comes_into_use_and_the_bundled_ones_stay(edited, learned):
    session = factors.use(edited, learned)
    assert view.factors_of(session).parts.shape[1] == 5
    assert session.recipe == edited.recipe and not session.parts
    assert edited.factors_id in dict(factors.choices(session)).values()
    back = factors.choose(session, edited.factors_id)
    assert back.factors_id == edited.factors_id
    assert learned[2] in dict(factors.choices(back)).values()
    assert "of 5 parts come out the same from other samples" in factors.about(session)


def test_a_fit_shows_its_parts_while_it_runs(start):
    pictures = []

    def report(progress):
        pictures.append(factors.so_far(start, start.layer, 3, progress))
        return True

    factors.learn(start, start.layer, 3, None, 64, 1, None, report=report)
    assert sum(picture.startswith("<figure><img") for picture in pictures) > 2


def test_a_link_with_a_fit_opens_by_fitting_again_and_says_so(edited, learned):
    session = edit.choose_look(region.pick(factors.use(edited, learned), event(part=2)), event(index=0))
    shown = view.renderer.image(session.recipe)
    link = view.link(session)
    view.renderer.catalogue._factors.clear()
    view.renderer._cache.clear()
    opened = page.open_link(link)
    assert "learned again" in opened.notice
    assert torch.equal(view.renderer.image(opened.recipe), shown)
    assert opened.factors_id == learned[2]


def test_a_link_whose_fit_takes_too_long_is_refused(edited, monkeypatch):
    monkeypatch.setattr(view, "LONGEST_REFIT", -1.0)
    slow = dataclasses.replace(edited.edit, factors=f"fit:{edited.layer},128,7,64,9,0.8,all")
    opened = page.open_link(view.link(edited.put(0, slow)))
    assert "seconds to learn" in opened.notice
    fine = dataclasses.replace(edited.edit, layer=9, factors="fit:9,32,4,64,0,0.8,all")
    assert "fit at layer 9" in page.open_link(view.link(edited.put(0, fine))).notice


def test_the_endpoint_fits_and_its_id_can_be_used(edited):
    factors_id, measured = factors.fit(edited.recipe.to_json(), float(edited.layer), 4, 0, 32)
    assert factors_id == f"fit:{edited.layer},128,4,32,0,0.8,all"
    assert measured["samples"] == 32 and 0 < measured["energy"] <= measured["bound"] <= 1
    assert len(measured["stability"]) == 4
    mine = dataclasses.replace(edited.edit, factors=factors_id)
    image, _ = app.generate(edited.put(0, mine).recipe.to_json())
    assert image.size == (64, 64)


# names, files


def test_a_name_makes_own_factors_and_the_edits_come_along(edited):
    renamed = factors.rename_part(edited, "<b>Fringe</b>")
    assert renamed.factors_id.startswith("local:") and renamed.edit.factors == renamed.factors_id
    assert (renamed.parts, renamed.active) == (edited.parts, edited.active)
    assert view.region_words(renamed, renamed.edit) == "<b>Fringe</b>"
    assert torch.equal(view.renderer.image(renamed.recipe), view.renderer.image(edited.recipe))
    assert view.factors_of(edited).part_name(1) != "<b>Fringe</b>"  # other visitors' are as before
    look = factors.rename_appearance(renamed, "softer")
    assert view.look_words(look, look.edit) == f"look {edited.edit.appearance + 1} (softer)"
    assert factors.rename_part(look, "<b>Fringe</b>") == look
    assert [words for words, _ in factors.choices(look)].count(factors.in_words(view.factors_of(look), "local:")) == 1
    assert Session.undo(look.undo()).recipe == edited.recipe
    assert "&lt;b&gt;" in further.show_sweep(renamed.keep_made(further.sweep, further.sweep(renamed, go_on)))


def test_own_names_have_no_link_but_a_file_that_opens(edited, start):
    mine = factors.rename_part(edited, "fringe")
    with pytest.raises(ValueError, match="download the recipe and its factors"):
        view.link(mine)
    with pytest.raises(ValueError, match="together"):
        view.opened(mine.recipe)
    name, data = bundle.together(mine)
    opened = factors.use_files(start, factors.open_files(start, [save(data, name)], 5, go_on))
    assert opened.recipe == mine.recipe and opened.edit == mine.edit
    assert view.region_words(opened, opened.edit) == "fringe"
    assert opened.undo().recipe == start.recipe


def save(data: bytes, name: str) -> str:
    path = view.renderer.catalogue._home / name
    path.write_bytes(data)
    return str(path)


def test_downloaded_factors_open_again(edited, start, learned):
    mine = factors.rename_part(factors.use(edited, learned).choose((0,)), "top")
    name, data = bundle.factors_file(view.factors_of(mine))
    found = factors.open_files(start, [save(data, name)], 5, go_on)
    opened = factors.use_files(start, found)
    assert view.factors_of(opened).part_name(0) == "top" and opened.recipe == start.recipe
    assert opened.factors_id == mine.factors_id


def test_a_pair_of_arrays_opens(start):
    ours = view.factors_of(start)
    paths = []
    for kind, tensor in (("Us", ours.parts[:, :6] * 2), ("Uc", ours.appearances[:, :9] * 1.1)):
        out = io.BytesIO()
        np.save(out, tensor.numpy())
        paths.append(save(out.getvalue(), f"{kind}-name_x-layer_{start.layer}-rank_6.npy"))
    opened = factors.use_files(start, factors.open_files(start, paths, 2, go_on))
    got = view.factors_of(opened)
    assert got.info.is_raw and torch.equal(got.parts, ours.parts[:, :6] * 2) and got.sigma.shape == (9, 6)
    assert bool((got.sigma > 0).all())


def made_file(session: Session, change) -> bytes:
    return bundle.packed(change(view.factors_of(session)))


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return out.getvalue()


def array(**more) -> bytes:
    out = io.BytesIO()
    np.save(out, **{"arr": np.ones((3, 3), np.float32)} | more)
    return out.getvalue()


FILES = {
    "nothing": lambda s: {},
    "a picture": lambda s: {"a.png": b"\x89PNG"},
    "not tensors": lambda s: {"a.safetensors": b"pickle" * 9},
    "two files": lambda s: {"a.safetensors": b"", "b.safetensors": b""},
    "other weights": lambda s: {"a.safetensors": made_file(s, lambda f: f.with_info(weights="0" * 12))},
    "other layer": lambda s: {"a.safetensors": made_file(s, lambda f: f.with_info(layer=2))},
    "scaled": lambda s: {
        "a.safetensors": made_file(s, lambda f: dataclasses.replace(f, appearances=f.appearances * 3))
    },
    "not a zip": lambda s: {"a.zip": b"PK\x03\x04"},
    "another zip": lambda s: {"a.zip": zipped(readme_txt=b"hello")},
    "a path": lambda s: {"a.zip": zipped(recipe_json=b"{}", ____etc__passwd=b"x")},
    "a bomb": lambda s: {"a.zip": zipped(recipe_json=b"{}", factors__a_safetensors=b"\0" * (65 << 20))},
    "a zip of noise": lambda s: {"a.zip": zipped(recipe_json=b"{}", factors__a_safetensors=b"noise")},
    "no recipe": lambda s: {"a.zip": zipped(recipe_json=b"{}")},
    "names": lambda s: {"a.npy": array(), "b.npy": array()},
    "sizes": lambda s: {"Us-x.npy": array(), "Uc-x.npy": array()},
    "layer": lambda s: {"Us-layer_77-x.npy": array(), "Uc-layer_77-x.npy": array()},
    "objects": lambda s: {"Us.npy": array(arr=np.array([{}] * 3), allow_pickle=True), "Uc.npy": array()},
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_not_right_is_refused_in_one_sentence(start, kind):
    before = len(view.renderer.catalogue._factors.items())
    paths = [save(data, name) for name, data in FILES[kind](start).items()]
    with pytest.raises(ValueError) as caught:
        factors.open_files(start, paths, start.layer, go_on)
    assert 10 < len(str(caught.value)) < 400
    assert len(view.renderer.catalogue._factors.items()) == before


def test_a_recipe_in_a_zip_gets_no_more_than_came_with_it(edited, start):
    mine, other = factors.rename_part(edited, "fringe"), factors.rename_part(edited, "other")
    with zipfile.ZipFile(io.BytesIO(bundle.together(mine)[1])) as archive:
        packed = next(archive.read(name) for name in archive.namelist() if name.startswith("factors/"))
    data = zipped(recipe_json=other.recipe.to_json().encode(), factors__x_safetensors=packed)
    found = factors.open_files(start, [save(data, "x.zip")], 5, go_on)
    with pytest.raises(ValueError, match="together"):
        factors.use_files(start, found)


# mistakes

MISTAKES = {
    "no edit to try": lambda s: further.try_others(s.reset(), go_on),
    "no edit to sweep": lambda s: further.sweep(s.let_go(), go_on),
    "no film": lambda s: further.sweep_file(s, "GIF"),
    "named": lambda s: named.choose_named(s, event(index=999)),
    "named kind": lambda s: named.choose_named(s, event(index="smile")),
    "method": lambda s: further.set_refine(s, "magic", 32),
    "k": lambda s: further.set_refine(s, "graph", 0),
    "k not whole": lambda s: further.set_refine(s, "graph", 2.5),
    "k nan": lambda s: further.set_refine(s, "graph", float("nan")),
    "factors": lambda s: factors.choose(s, "local:" + "0" * 16),
    "layer": lambda s: factors.learn(s, 9, 8, **RANK, class_index=None, report=go_on),
    "parts": lambda s: factors.learn(s, 5, 65, **RANK, class_index=None, report=go_on),
    "parts nan": lambda s: factors.learn(s, 5, float("nan"), **RANK, class_index=None, report=go_on),
    "samples": lambda s: factors.learn(s, 5, 8, None, 5000, 0, None, report=go_on),
    "appearances": lambda s: factors.learn(s, 5, 8, 129, 32, 0, None, report=go_on),
    "seed": lambda s: factors.learn(s, 5, 8, None, 32, -1, None, report=go_on),
    "name of nothing": lambda s: factors.rename_part(region.choose_parts(s, []), "x"),
    "long name": lambda s: factors.rename_part(s, "x" * 41),
    "endpoint layer": lambda s: further.refine(s.recipe.to_json(), 4, "dense"),
    "endpoint k": lambda s: further.refine(s.recipe.to_json(), 5, "graph", 0),
    "endpoint fit": lambda s: factors.fit(s.recipe.to_json(), 5, 0),
    "endpoint recipe": lambda s: factors.fit(json.dumps({"v": 9}), 5),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(edited, kind):
    with pytest.raises(gr.Error) as caught:
        page.plainly(MISTAKES[kind])(edited)
    assert 10 < len(caught.value.message) < 300 and "\n" not in caught.value.message


def test_jobs_of_one_visitor_leave_the_pictures_of_others_in_the_cache(edited):
    before = view.renderer._cache.items()
    further.on_others(edited.recipe, go_on)
    assert [key for key, _ in view.renderer._cache.items()] == [key for key, _ in before]


def test_factors_of_a_visitor_are_files_of_ours(edited, home):
    mine = factors.rename_part(edited, "fringe")
    path = home / "factors" / "local" / f"{mine.factors_id.partition(':')[2]}.safetensors"
    assert Factors.load(path).digest() == path.stem
