"""Examples under the tabs, called directly."""

import json

import pytest

import app
from panda_core.generators import registry
from panda_core.generators.registry import GENERATORS
from panda_core.studio.opening import Opening
from ui.panels.examples import ExamplesPanel
from ui.pictures import PagePictures

from .page import edited, event


@pytest.fixture
def panel(tmp_path, monkeypatch):
    """panel(examples) of a page whose generator ships with these: JSON, or text that is none."""
    (tmp_path / "portraits").mkdir()
    (tmp_path / "portraits" / "factors").symlink_to(GENERATORS["portraits"].folder() / "factors")
    monkeypatch.setattr(registry, "ASSETS", tmp_path)

    def panel(examples) -> ExamplesPanel:
        text = examples if isinstance(examples, str) else json.dumps(examples)
        (tmp_path / "portraits" / "examples.json").write_text(text)
        return ExamplesPanel(PagePictures(app.renderer), Opening(app.renderer))

    return panel


def fields(session) -> dict:
    return json.loads(app.renderer.pin(session.recipe).to_json())


def test_an_example_is_a_picture_before_and_after_that_opens(panel):
    session = edited()
    shown = panel([fields(session)])
    (tile,) = shown.tiles(session)["items"]
    assert tile["on"] and tile["label"] == app.pictures.edits_words(session)
    assert tile["image"] != tile["before"]
    opened = shown.open(session.reset(), event(index=0))
    assert opened.recipe == session.recipe and opened.undo().recipe == session.reset().recipe


def test_an_example_of_other_weights_or_parts_is_left_out(panel):
    session, good = edited(), fields(edited())
    other = good | {"weights": "0" * 12}
    gone = good | {"edits": [good["edits"][0] | {"factors": "bundled:l5-call-psi0.8-1x1"}]}
    assert panel([other, good, gone, {}, None]).recipes(session) == [session.recipe]


@pytest.mark.parametrize("text", ["", "{", "7", "null", '{"examples": []}', "[[]]"])
def test_a_damaged_file_is_no_examples(panel, text):
    assert panel(text).tiles(edited())["items"] == []


@pytest.mark.parametrize("name", [name for name, spec in GENERATORS.items() if spec.bundled])
def test_the_examples_that_ship_all_open(name):
    session = app.opening.start(name)
    given = json.loads((GENERATORS[name].folder() / "examples.json").read_text())
    assert len(ExamplesPanel(app.pictures, app.opening).recipes(session)) == len(given) > 0


def test_a_generator_without_examples_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "ASSETS", tmp_path)
    assert ExamplesPanel(app.pictures, app.opening).recipes(edited()) == []
