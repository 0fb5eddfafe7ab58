"""The endpoints, called directly and over the page's own client."""

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import app
from panda_core.images import to_pil
from panda_core.recipes import parse_recipe
from ui.server.events import plainly

from .page import bare, picture

api = app.api


@pytest.fixture(scope="module")
def plain() -> str:
    return bare().recipe.to_json()


def test_generate_returns_the_picture_and_its_recipe(hand):
    image, recipe = api.generate(hand.recipe.to_json())
    assert np.array_equal(np.asarray(image), np.asarray(to_pil(picture(hand))[0]))
    assert parse_recipe(recipe) == app.renderer.pin(hand.recipe)


EDITS = {
    ("add", 1.0, 2.0, -3.0): {"appearance": 2, "strength": -3.0},
    ("vary", 1, 0, 2.5): {"variation": 0, "strength": 2.5},
    ("transfer", 1, 99, 0.5): {"seed": 99, "share": 0.5},
    ("remove", 3): {"strength": 1.0},
}


@pytest.mark.parametrize("given", EDITS, ids=lambda given: given[0])
def test_one_more_edit(plain, given):
    image, recipe = api.edit(plain, *given)
    (edit,) = parse_recipe(recipe).edits
    op, part, wanted = *given[:2], EDITS[given]
    assert edit.op == op and part in edit.region.parts
    assert (len(edit.region.parts) > 1) == (op in ("vary", "transfer"))  # part 1 is of a thing of several
    assert {key: getattr(edit, key) for key in wanted} == wanted
    assert np.array_equal(np.asarray(api.generate(recipe)[0]), np.asarray(image))


def test_a_popular_change_goes_by_its_name_and_a_wrong_name_is_answered_with_the_names(plain):
    _, recipe = api.named(plain, "shorter hair")
    assert len(parse_recipe(recipe).edits) == 1
    with pytest.raises(ValueError, match="longer hair"):
        api.named(plain, "fly away")


@pytest.mark.parametrize("result", ["heat map", "mask", "cut-out", "rest"])
def test_saliency_has_four_results(plain, result):
    image, _ = api.saliency(plain, 0, 0.0, "more", result)
    assert image.mode == {"heat map": "RGB", "mask": "L"}.get(result, "RGBA")


@pytest.mark.parametrize("op", ["add", "vary", "fly"])
@pytest.mark.parametrize("values", [(None, 1, 1), (0.5, 1, 1), (0, 10**9, 1), (0, 1, float("nan")), (0, 1, None)])
def test_what_the_validator_refuses_is_refused(plain, op, values):
    with pytest.raises(ValueError):
        api.edit(plain, op, *values)


def test_the_public_endpoints_are_a_decision():
    dependencies = app.demo.get_config_file()["dependencies"]
    public = {d["api_name"] for d in dependencies if d["api_visibility"] == "public"}
    pictures = {"generate", "named", "edit", "saliency"}
    assert public == pictures | {"rank", "fit", "invert"}


def test_a_refusal_is_plain_text_for_programs(url):
    client = Client(url, verbose=False)
    with pytest.raises(AppError) as caught:
        client.predict('{"v": 2, "generator": "it\'s"}', api_name="/generate")
    assert "it's" in str(caught.value) and "&#" not in str(caught.value)


def test_the_page_never_takes_a_refusal_for_html():
    with pytest.raises(Exception, match="‹script›"):
        plainly(lambda: (_ for _ in ()).throw(ValueError("a <script> was given.")))()


def test_rank_and_fit_give_numbers(url, empty_home):
    client = Client(url, verbose=False)
    found = client.predict('{"v": 2, "generator": "portraits"}', 1, -1, 16, api_name="/rank")
    assert len(found["most"]) == len(found["least"]) == 12 and found["most"][0] in range(16)
    factors_id, measured = client.predict('{"v": 2, "generator": "portraits"}', 3, 4, 0, 64, 0, api_name="/fit")
    assert factors_id.startswith("fit:3,") and 0 < measured["energy"] <= measured["bound"]
