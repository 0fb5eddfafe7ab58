"""What folds away: the edits on other pictures, the film, refined parts, examples, generators; called directly."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import app
from panda_core.generators.biggan import BigGAN
from panda_core.progress import Cancelled
from panda_core.recipes import Recipe
from ui.opening import Opening
from ui.panels.examples import ExamplesPanel
from ui.panels.film import STRENGTHS, FilmPanel
from ui.panels.generators import GeneratorsPanel
from ui.panels.others import OTHERS, OthersPanel
from ui.panels.papers import PapersPanel
from ui.panels.refine import RefinePanel, set_refine
from ui.seeds import imagenet_names
from ui.session import Session

from .page import edited, event, picture

others, film, refine = OthersPanel(app.pictures), FilmPanel(app.pictures), RefinePanel(app.pictures)
examples, generators = ExamplesPanel(app.pictures, app.opening), GeneratorsPanel(app.opening)


def go_on(progress) -> bool:
    return True


@pytest.fixture(scope="module")
def hand() -> Session:
    return edited()


@pytest.fixture(scope="module")
def tried(hand) -> Session:
    return hand.keep_made(others.try_others, others.try_others(hand, go_on))


def test_the_edits_are_shown_on_the_sixteen_seeds_that_follow(hand, tried):
    tiles = others.tiles(tried)["items"]
    assert [tile["seed"] for tile in tiles] == [hand.recipe.seed + 1 + i for i in range(OTHERS)]
    assert all(tile["before"] != tile["image"] for tile in tiles)
    assert f"of {OTHERS} pictures" in others.words(tried)
    assert "have changed since" in others.words(tried.reset())


def test_a_still_edit_holds_nowhere(hand):
    still = hand.set_strength(0.0)
    made = still.keep_made(others.try_others, others.try_others(still, go_on))
    assert "Seen in 0 of" in others.words(made)


def test_long_work_can_be_cancelled(hand):
    for work in (others.try_others, film.make_film):
        with pytest.raises(Cancelled):
            work(hand.set_strength(1.7), lambda progress: progress.done < 2)


def test_a_film_goes_from_one_end_of_the_slider_to_the_other_and_back(hand):
    made = hand.keep_made(film.make_film, film.make_film(hand, go_on))
    name, data = film.file(made, "WEBP")
    with Image.open(io.BytesIO(data)) as moving:
        assert moving.n_frames == 2 * STRENGTHS - 2 and name.endswith(".webp")
        moving.seek(0)
        first = np.asarray(moving.convert("RGB"), np.int16)
        moving.seek(STRENGTHS - 1)
        assert np.abs(np.asarray(moving.convert("RGB"), np.int16) - first).mean() > 1
    with Image.open(io.BytesIO(base64.b64decode(json.loads(film.save_gif(made))["data"]))) as moving:
        assert moving.format == "GIF" and moving.n_frames > 2
    assert "from -4.0 to +4.0" in film.show(made)


def test_refined_parts_move_an_edit_of_an_appearance_and_leave_variations(hand):
    assert set_refine(hand, "dense", 32).recipe == hand.recipe
    added = PapersPanel(app.pictures).choose_number(hand, 3)
    refined = set_refine(added, "graph", 8)
    assert (refined.edit.region.refine, refined.edit.region.k) == ("graph", 8)
    assert not np.array_equal(picture(refined), picture(added))
    assert refined.undo().recipe == added.recipe
    assert refine.overlays(refined).count("<figure>") == 2


def test_examples_open_and_can_be_undone(hand):
    tiles = examples.tiles(hand)
    assert tiles["items"] and all(tile["before"] != tile["image"] for tile in tiles["items"])
    opened = examples.open(hand, event(index=1, of=tiles["of"]))
    assert [tile["on"] for tile in examples.tiles(opened)["items"]].index(True) == 1
    assert opened.undo().recipe == hand.recipe
    assert examples.open(hand, event(index=1, of="another generator")) is None


# generators and classes


def test_a_generator_that_is_here_opens_on_its_start_page(hand):
    assert generators.fetch(hand, "portraits", go_on) == "portraits"
    assert generators.use(hand, "portraits") == hand
    assert "MIT" in generators.words("portraits") and "own" in generators.words("me/mine")


@pytest.mark.parametrize("name", ["nobody", None, 3, "<script>"])
def test_a_generator_that_is_none_is_refused(hand, name):
    with pytest.raises(ValueError):
        generators.fetch(hand, name, None)


@pytest.fixture
def conditional(hand, monkeypatch) -> Session:
    """As if the page ran a generator with ten classes."""
    tiny = BigGAN.tiny(0)
    monkeypatch.setattr(type(app.renderer), "generator", lambda self, recipe: tiny)
    return hand


def test_a_class_is_chosen_by_its_line_or_its_number(conditional):
    names = app.seeds.class_names(conditional)
    assert len(names) > 1 and app.seeds.show_class(conditional).visible
    assert app.seeds.set_class(conditional, names[1]).recipe.class_index == 1
    assert app.seeds.set_class(conditional, " 0 ").recipe.class_index == 0
    for wrong in ("", None, "no such thing", "-1", 10**9):
        with pytest.raises(ValueError, match="choose one"):
            app.seeds.set_class(conditional, wrong)


def test_classes_of_imagenet_have_their_names(hand, monkeypatch):
    monkeypatch.setattr(app.seeds, "class_names", lambda session: [f"{i}: {n}" for i, n in enumerate(imagenet_names())])
    assert len(imagenet_names()) == 1000
    assert app.seeds.set_class(hand, "golden retriever").recipe.class_index == 207
    assert app.seeds.set_class(hand, "207").recipe.class_index == 207
    assert app.seeds.set_class(hand, "retriever").recipe.class_index in range(204, 210)


def test_a_generator_without_classes_has_no_chooser(hand):
    assert not app.seeds.show_class(hand).visible


def test_a_start_page_without_a_file_has_a_class_where_one_is_needed(monkeypatch):
    opening = Opening(app.renderer)
    seen = []
    monkeypatch.setattr(Opening, "default", lambda self, recipe: seen.append(recipe) or (_ for _ in ()).throw(KeyError))
    loaded = app.renderer.catalogue.generator("portraits")
    monkeypatch.setattr(loaded.generator, "n_classes", 10)
    monkeypatch.setattr("ui.opening.start_file", lambda spec: spec.folder() / "no such file")
    with pytest.raises(KeyError):
        opening.start("portraits")
    assert seen == [Recipe("portraits", seed=3, psi=seen[0].psi, class_index=0)]


MISTAKES = {
    "no edit to try": lambda s: others.try_others(s.reset(), go_on),
    "no edit to film": lambda s: film.make_film(s.let_go(), go_on),
    "no film": lambda s: film.file(s, "GIF"),
    "method": lambda s: set_refine(s, "magic", 32),
    "k": lambda s: set_refine(s, "graph", 0),
    "k not whole": lambda s: set_refine(s, "graph", 2.5),
    "k nan": lambda s: set_refine(s, "graph", float("nan")),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(hand, kind):
    with pytest.raises(ValueError) as caught:
        MISTAKES[kind](hand)
    assert 10 < len(str(caught.value)) < 300 and "\n" not in str(caught.value)
