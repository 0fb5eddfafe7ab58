"""The page's handlers, called directly, on the bundled generator."""

import base64
import dataclasses
import io
import json
import math
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

import app
from panda_core.images import read_recipe_json, to_pil
from panda_core.recipes import Mask, encode_link, parse_recipe
from ui import edit, edits, examples, generators, page, region, view
from ui.session import Session


def event(**data) -> gr.EventData:
    return gr.EventData(None, data)


def picture(session: Session) -> torch.Tensor:
    return view.renderer.image(session.recipe)


@pytest.fixture
def nothing_kept():
    """Results are made anew, in this test and after it."""
    view.kept._items.clear()
    yield
    view.kept._items.clear()


@pytest.fixture(scope="module")
def start() -> Session:
    return view.start()


@pytest.fixture
def chosen(start) -> Session:
    """No edits yet, the second part chosen."""
    return region.pick(start.reset(), event(part=1))


@pytest.fixture
def edited(chosen) -> Session:
    return edit.choose_look(chosen, event(index=0))


def painted(session: Session) -> str:
    """The upper half of the grid."""
    _, H, W = view.renderer.generator(session.recipe).layers[session.layer]
    return f"0,{H // 2 * W},{(H - H // 2) * W}"


def test_the_page_opens_on_a_picture_that_shows_an_edit(start):
    assert start.edit is not None and start.edit.on
    assert not start.past
    assert (picture(start) - view.renderer.base(start.recipe)).abs().mean() > 0.002


@pytest.mark.parametrize("text", ["", "{", '{"v":1,"generator":"nobody"}', '{"v":1,"generator":"portraits","seed":-1}'])
def test_a_start_file_that_does_not_fit_is_passed_over(nothing_kept, tmp_path, monkeypatch, text):
    (tmp_path / "start.json").write_text(text)
    monkeypatch.setattr(view, "start_file", lambda spec: tmp_path / "start.json")
    assert view.start().edit is not None


def test_the_start_file_is_where_a_visit_begins(start, nothing_kept, tmp_path, monkeypatch):
    wished = dataclasses.replace(start.recipe, seed=4242)
    (tmp_path / "start.json").write_text(wished.to_json())
    monkeypatch.setattr(view, "start_file", lambda spec: tmp_path / "start.json")
    assert view.start().recipe == wished


def test_a_link_of_named_edits_opens_at_the_usual_parts(start):
    """Named edits have layers and regions of their own, which are not what the visitor looked at."""
    for preset in view.presets_of("portraits"):
        opened = view.opened(dataclasses.replace(start.recipe, edits=preset.edits))
        assert (opened.layer, opened.parts, opened.row.preset) == (start.layer, (), preset)


def test_a_preview_without_its_edit_is_the_picture_with_the_others(start):
    recipe = dataclasses.replace(start.recipe, edits=view.presets_of("portraits")[0].edits)
    with_one = view.with_last(recipe, start.recipe.edits[0])
    still = start.recipe.edits[0].with_strength(0.0)
    shown = view.previews(with_one, len(recipe.edits), [still])
    wanted = torch.nn.functional.avg_pool2d(view.renderer.image(recipe), 2)
    assert not torch.allclose(wanted, torch.nn.functional.avg_pool2d(view.renderer.base(recipe), 2), atol=0.05)
    assert torch.allclose(shown, wanted, atol=1e-4)


def test_an_example_opens_with_its_names_and_can_be_undone(start):
    tiles = examples.example_tiles(start)
    opened = examples.open_example(start, event(index=1, of=tiles["of"]))
    assert tiles["items"][1]["label"] == ", ".join(row.preset.name for row in opened.rows)
    assert [tile["on"] for tile in examples.example_tiles(opened)["items"]].index(True) == 1
    assert opened.undo().recipe == start.recipe
    assert examples.open_example(start, event(index=1, of="another generator")) is None


def test_of_a_work_s_result_and_its_cancel_button_the_first_one_counts(start):
    handler, visit = page.changing(lambda session, seed: (session.go_to(seed),), work="fit"), page.Visit()
    visit.session = start
    visit.in_hand.add("fit")
    assert handler(visit, 7)[0].session.recipe.seed == 7
    assert not visit.take("fit")  # cancelled too late
    visit.in_hand.add("fit")
    assert visit.take("fit")  # cancelled in time
    assert handler(visit, 8) == gr.skip() and visit.session.recipe.seed == 7


def test_a_move_of_a_slider_that_was_overtaken_changes_nothing(start):
    def go(session, *seed):
        return (session.go_to(page.number("Seed", *seed, 0, 99, whole=True)),) if seed else None

    handler = page.changing(go, slider="seed")
    visit = page.Visit()
    visit.session = start
    for sent, seed in (([3, 10.0], 3), ([4, 20.0], 4), ([5, 15.0], 4), ([6, 20.0], 4), (7, 7), ([8, "x"], 8)):
        handler(visit, sent)
        assert visit.session.recipe.seed == seed
    for wrong in ([], [1], [None, 30.0], [[1], 40.0], [math.nan, 45.0], None):
        with pytest.raises(gr.Error, match="Seed"):
            handler(visit, wrong)
    handler(visit, [9, math.nan])
    assert visit.session.recipe.seed == 8
    handler(visit, [9, 50.0])
    assert visit.session.recipe.seed == 9
    page.changing(lambda session, x: (session,), slider="another")(visit, [0, 1.0])  # each has its own order


def test_what_comes_after_the_picture_is_of_the_session_at_its_end(start):
    visit, seen = page.Visit(), []
    visit.session = start

    def show(session):
        seen.append(session.recipe.seed)
        if len(seen) == 1:  # another event's answer comes first
            visit.session = visit.session.go_to(4)
        return session.recipe.seed

    assert page.reading(show)(visit) == 4 and len(seen) == 2
    assert page.reading(lambda session: session.recipe.seed)(None) == start.recipe.seed


def test_a_visitor_without_a_session_gets_the_start_page(start):
    assert page.current(None) == start


def test_a_click_chooses_one_part_and_shift_several(start):
    one = region.pick(start, event(part=1))
    two = region.pick(one, event(part=2, several=True))
    assert (one.parts, two.parts) == ((1,), (1, 2))
    assert region.pick(two, event(part=1, several=True)).parts == (2,)
    assert region.pick(two, event(part=0)).parts == (0,)


def test_a_look_becomes_an_edit_and_the_next_one_replaces_it(chosen):
    first = edit.choose_look(chosen, event(index=0))
    second = edit.choose_look(first, event(index=3))
    assert len(first.recipe.edits) == len(second.recipe.edits) == 1
    assert second.recipe.edits[0].appearance == view.looks(chosen)[3].appearance
    assert len(edit.choose_look(second.let_go(), event(index=5)).recipe.edits) == 2


def test_a_click_on_an_outdated_sheet_chooses_nothing(chosen):
    seen = view.sheet(chosen)["of"]
    assert edit.choose_look(region.pick(chosen, event(part=0)), event(index=0, of=seen)) is None
    assert edit.choose_look(chosen, event(index=0, of=seen)).edit is not None


def test_another_part_gets_an_edit_of_its_own_and_the_first_can_be_taken_up_again(edited):
    both = edit.choose_look(region.pick(edited, event(part=0)), event(index=1))
    assert [e.region.parts for e in both.recipe.edits] == [(1,), (0,)]
    assert region.pick(both, event(part=1)).active == 0


def test_a_drag_is_one_step_of_undo(edited):
    dragged = edited
    for strength in (0.5, 1.0, -2.0):
        dragged, update, *_ = edits.tick(dragged, strength)
        assert set(update) == {"frame"}
    assert dragged.edit.strength == -2.0
    back = dragged.undo()
    assert back.recipe == edited.recipe
    assert back.redo().recipe == dragged.recipe


def test_a_tick_shows_the_picture_of_the_new_recipe(edited):
    session, update, *_ = edits.tick(edited, -1.5)
    image = Image.open(io.BytesIO(base64.b64decode(update["frame"]["image"].split(",")[1])))
    assert image.size == (view.SMOOTH_SIDE, view.SMOOTH_SIDE)
    shown = np.asarray(image.reduce(view.SMOOTH_SIDE // 64), np.float32)
    made = np.asarray(to_pil(picture(session))[0], np.float32)
    assert np.abs(shown - made).mean() < 3  # JPEG


def test_undo_goes_back_through_everything(start):
    session, other = start, 0 if start.parts != (0,) else 1
    changes = [
        lambda s: page.go_to_seed(s, 12),
        lambda s: region.pick(s, event(part=other)),
        lambda s: edit.choose_look(s, event(index=2)),
        lambda s: edits.act(s, event(action="switch", index=0)),
        lambda s: edits.act(s, event(action="up", index=1)),
        lambda s: edits.act(s, event(action="remove", index=0)),
        lambda s: app.set_psi(s, 0.5),
        Session.reset,
    ]
    for change in changes:
        session = change(session)
    recipes = {session.recipe}
    while session.past:
        session = session.undo()
        recipes.add(session.recipe)
    assert session.recipe == start.recipe
    assert len(recipes) == len(changes)  # choosing a part changes no recipe; each of the others is a step


def test_moving_keeps_the_edit_in_hand(edited):
    both = edit.choose_look(region.pick(edited, event(part=0)), event(index=1))
    moved = edits.act(both, event(action="up", index=1))
    assert moved.active == 0 and moved.edit == both.edit
    assert edits.act(moved, event(action="up", index=0)).recipe == moved.recipe


def test_painting_begins_a_region_of_its_own(edited):
    session = region.paint(edited, event(rle=painted(edited)))
    assert session.where == "painted" and session.edit is None
    session = edit.choose_look(session, event(index=0))
    assert len(session.recipe.edits) == 2 and session.edit.region.mask is not None


def test_more_paint_changes_the_painted_edit(edited):
    session = edit.choose_look(region.paint(edited, event(rle=painted(edited))), event(index=0))
    _, H, W = view.renderer.generator(session.recipe).layers[session.layer]
    more = region.paint(session, event(rle=f"0,{H * W}"))
    assert len(more.recipe.edits) == 2 and more.edit.region.mask == Mask((H, W), f"0,{H * W}")
    assert region.paint(more, event(rle=str(H * W))).recipe == more.recipe  # nothing painted: the edit stays


def test_a_painted_piece_of_a_part_can_be_kept(edited):
    session = region.choose_where(edited, "piece")
    assert session.recipe == edited.recipe
    kept = region.paint(session, event(rle=painted(session)))
    assert kept.edit.region.parts == (1,) and kept.edit.region.keep is not None
    assert region.choose_where(kept, "parts").edit.region == edited.edit.region


def test_painting_over_an_edited_part_can_cut_its_edit_down(edited):
    stroke = region.paint(edited, event(rle=painted(edited)))
    cut = region.choose_where(stroke, "piece")
    assert len(cut.recipe.edits) == 1 and cut.edit.region.parts == (1,) and cut.edit.region.keep is not None


def test_the_whole_picture_is_a_region(edited):
    assert region.choose_where(edited, "all").edit.region.all
    whole = edit.choose_look(edit.choose_everywhere(edited), event(index=0))
    assert len(whole.recipe.edits) == 2 and whole.edit.region.all


def test_a_rest_between_two_moves_of_the_slider_makes_two_steps(edited, monkeypatch):
    clock = iter([10.0, 10.2, 99.0])
    monkeypatch.setattr(edits, "time", SimpleNamespace(monotonic=lambda: next(clock)))  # not everybody's clock
    session = edited
    for strength in (0.5, 1.0, 2.0):
        session, *_ = edits.tick(session, strength)
    assert session.undo().edit.strength == 1.0
    assert Session.undo(session.undo()).recipe == edited.recipe


def test_another_seed_keeps_the_edits_and_is_remembered(edited):
    moved = page.go_to_seed(edited, 77)
    assert moved.recipe.edits == edited.recipe.edits and moved.seeds[0] == 77
    assert page.open_seed(moved, event(seed=edited.recipe.seed)).recipe == edited.recipe
    assert [item["on"] for item in view.history(moved)["items"]].count(True) == 1


@pytest.mark.parametrize("layer", [0, -1])
def test_every_layer_offers_looks(start, layer):
    number = list(start.layers)[layer]
    session = region.pick(app.set_layer(start, number), event(part=0))
    offered = view.renderer.catalogue.factors("portraits", start.layers[number]).offered(0, view.LOOKS)
    sheet = view.sheet(session)
    assert len(sheet["items"]) == len(offered) > 1
    assert len({item["image"] for item in sheet["items"]}) == len(offered)


def test_nothing_chosen_offers_nothing_but_a_sentence(start):
    sheet = view.sheet(region.choose_parts(start, []))
    assert sheet["items"] == [] and sheet["note"].endswith(".")


def test_the_sheet_marks_the_look_in_hand(edited):
    assert [item["on"] for item in view.sheet(edited)["items"]] == [True] + [False] * (view.LOOKS - 1)


def test_thumbnails_run_no_full_tail(chosen, nothing_kept, monkeypatch):
    view.renderer.base(chosen.recipe)
    generator = view.renderer.generator(chosen.recipe)
    monkeypatch.setattr(generator, "tail", lambda cut: pytest.fail("a full tail"))
    assert len(view.sheet(chosen)["items"]) == view.LOOKS


def test_the_words_say_when_nothing_changed(edited):
    none, *_ = edits.tick(edited, 0.0)
    assert "Nothing visible" in view.frame(none)["words"]
    assert "as generated" in view.frame(edited.reset())["words"]
    assert "edits are off" in view.frame(edits.act(edited, event(action="switch", index=0)))["words"]


# what leaves the page and comes back


def test_a_link_opens_the_same_picture(edited):
    opened = page.open_link(view.link(edited))
    assert not opened.notice
    assert torch.equal(picture(opened), picture(edited))
    assert opened.edit == edited.edit


def fields(session: Session, **changes) -> dict:
    return view.renderer.pin(session.recipe).to_dict() | changes


def as_link(data: bytes) -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return "1" + base64.urlsafe_b64encode(packer.compress(data) + packer.flush()).decode().rstrip("=")


BAD_LINKS = {
    "empty": lambda s: "",
    "garbage": lambda s: "1!!!%%%",
    "cut": lambda s: view.link(s)[:-9],
    "newer scheme": lambda s: "2" + view.link(s)[1:],
    "long": lambda s: "1" + "A" * 100_000,
    "bomb": lambda s: as_link(b" " * 5_000_000),
    "not JSON": lambda s: as_link(b"hello"),
    "deep": lambda s: as_link(b"[" * 30_000),
    "newer recipe": lambda s: as_link(json.dumps(fields(s, v=2)).encode()),
    "unknown field": lambda s: as_link(json.dumps(fields(s, colour=1)).encode()),
    "other weights": lambda s: as_link(json.dumps(fields(s, weights="0" * 12)).encode()),
    "other generator": lambda s: as_link(json.dumps(fields(s, generator="nobody")).encode()),
    "script": lambda s: as_link(json.dumps(fields(s, generator="<script>alert(1)</script>")).encode()),
    "a fit": lambda s: encode_link(with_factors(s, "fit:5,128,8,900000,0,0.8,all")),
    "a path": lambda s: encode_link(with_factors(s, "bundled:....etc")),
    "part": lambda s: encode_link(s.put(0, dataclasses.replace(s.edit, appearance=60_000)).recipe),
}


def with_factors(session: Session, factors_id: str):
    return session.recipe.with_edit(0, dataclasses.replace(session.edit, factors=factors_id))


@pytest.mark.parametrize("kind", BAD_LINKS)
def test_a_bad_link_gives_one_sentence_and_the_start_page(edited, start, kind):
    opened = page.open_link(BAD_LINKS[kind](edited))
    assert dataclasses.replace(opened, notice="") == start
    assert opened.notice.startswith("The link could not be opened: ") and "\n" not in opened.notice
    assert "<script" not in app.notice(opened)


def test_the_png_carries_the_recipe_and_opens(edited, start):
    data = base64.b64decode(json.loads(view.picture_file(edited))["data"])
    opened = app.open_file(start, data)
    assert opened.recipe == edited.recipe
    assert opened.undo().recipe == start.recipe
    image = Image.open(io.BytesIO(data))
    assert image.size == (view.FRAME_SIDE, view.FRAME_SIDE)  # as the page shows it
    small = np.asarray(image.reduce(view.FRAME_SIDE // 64), np.int16)
    assert np.abs(small - np.asarray(to_pil(picture(edited))[0], np.int16)).mean() < 2
    assert parse_recipe(read_recipe_json(data)).weights is not None


def test_copy_as_python_makes_the_same_picture(edited, tmp_path):
    code = view.python_lines(edited)
    assert len(code.splitlines()) == 5
    environment = {"PYTHONPATH": str(Path(app.__file__).parent), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=300)
    made = np.asarray(Image.open(tmp_path / "portrait.png"), np.int16)
    assert np.abs(made - np.asarray(to_pil(picture(edited))[0], np.int16)).max() <= 1  # another number of threads


# mistakes

MISTAKES = {
    "part": lambda s: region.pick(s, event(part=999)),
    "part kind": lambda s: region.pick(s, event(part="1; drop")),
    "no part": lambda s: region.pick(s, event()),
    "look": lambda s: edit.choose_look(s, event(index=12)),
    "look kind": lambda s: edit.choose_look(s, event(index=True)),
    "rle": lambda s: region.paint(s, event(rle="1,2,3")),
    "rle kind": lambda s: region.paint(s, event(rle=[1, 2])),
    "rle length": lambda s: region.paint(s, event(rle="1," * 100_000)),
    "action": lambda s: edits.act(s, event(action="explode", index=0)),
    "row": lambda s: edits.act(s, event(action="remove", index=7)),
    "row kind": lambda s: edits.act(s, event(action="take", index={})),
    "where": lambda s: region.choose_where(s, "nowhere"),
    "strength": lambda s: s.set_strength(1e9),
    "strength kind": lambda s: s.set_strength("3"),
    "not a number": lambda s: s.set_strength(float("nan")),
    "seed": lambda s: page.go_to_seed(s, -5),
    "seed too large": lambda s: page.go_to_seed(s, 2**32),
    "no seed": lambda s: page.go_to_seed(s, None),
    "back": lambda s: page.open_seed(s, event(seed=-1)),
    "psi": lambda s: app.set_psi(s, 9.0),
    "layer": lambda s: app.set_layer(s, 99),
    "generator": lambda s: generators.fetch(s, "nobody", None),
    "number": lambda s: edit.choose_number(s, 1_000_000),
    "file": lambda s: app.open_file(s, b"GIF89a"),
    "no file": lambda s: app.open_file(s, None),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(edited, kind):
    with pytest.raises(gr.Error) as caught:
        page.plainly(MISTAKES[kind])(edited)
    assert 10 < len(caught.value.message) < 300 and "\n" not in caught.value.message


def test_sixty_four_edits_are_the_most(edited):
    session = edited
    for _ in range(63):
        session = edit.choose_look(session.let_go(), event(index=1))
    with pytest.raises(ValueError, match="64"):
        edit.choose_look(session.let_go(), event(index=1))


# endpoints


def test_generate_returns_the_picture_and_its_recipe(edited):
    image, recipe = app.generate(edited.recipe.to_json())
    assert np.array_equal(np.asarray(image), np.asarray(to_pil(picture(edited))[0]))
    assert parse_recipe(recipe) == view.renderer.pin(edited.recipe)


def test_edit_adds_one_edit(start):
    empty = start.reset().recipe.to_json()
    image, recipe = app.edit(empty, 1.0, 2.0, -3.0)
    added = parse_recipe(recipe).edits
    assert [(e.region.parts, e.appearance, e.strength) for e in added] == [((1,), 2, -3.0)]
    assert np.array_equal(np.asarray(app.generate(recipe)[0]), np.asarray(image))


@pytest.mark.parametrize("values", [(None, 1, 1), (0.5, 1, 1), (0, 10**9, 1), (0, 1, float("nan")), (0, 1, None)])
def test_edit_refuses_what_the_validator_refuses(start, values):
    with pytest.raises(gr.Error):
        app.edit(start.recipe.to_json(), *values)


def test_the_public_endpoints_are_a_decision():
    dependencies = app.demo.get_config_file()["dependencies"]
    public = {d["api_name"] for d in dependencies if d["api_visibility"] == "public"}
    assert public == {"generate", "edit", "remove", "saliency", "rewrite", "rank", "fit", "refine", "named"}


def test_a_move_that_changes_nothing_does_not_swallow_a_step(edited):
    session, *_ = edits.tick(edited, edited.edit.strength)
    session, *_ = edits.tick(session, 1.25)
    assert session.undo().recipe == edited.recipe


def test_looks_that_cannot_be_seen_are_not_offered():
    """A row of `suggested` that repeats a number ends there."""
    session = view.start()
    factors = view.factors_of(session)
    for part in range(factors.parts.shape[1]):
        numbers = [e.appearance for e in view.looks(session.choose((part,)))]
        assert 1 <= len(numbers) <= 12 and len(set(numbers)) == len(numbers)
        assert numbers == list(dict.fromkeys(factors.suggested[part].tolist()))[:12]
