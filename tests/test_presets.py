import json

import pytest
import torch

from panda_core.catalogue import Catalogue
from panda_core.generators import registry
from panda_core.presets import Preset, examples, presets, read_presets
from panda_core.recipes import Recipe, Region
from panda_core.rendering import Renderer
from tests.helpers import add_edit
from tools import find_presets
from tools.worlds import WORLDS

EDITS = (add_edit(3), add_edit(5, strength=-1.5, region=Region(parts=(0, 2))))
ROW = {
    "name": "smile",
    "note": "from here",
    "edits": Recipe(edits=EDITS).to_dict()["edits"],
    "measured": {"closer": 0.2},
}


def test_a_preset_survives_its_file():
    assert read_presets("tiny", "0123456789ab", json.loads(json.dumps([ROW]))) == (Preset("smile", EDITS, "from here"),)


REFUSED = [
    ("smile", "preset 1 must have a name"),
    (ROW | {"name": ""}, "preset 1 must have a name"),
    (ROW | {"name": "x" * 41}, "preset 1 must have a name"),
    (ROW | {"note": 5}, "preset 1 must have a name"),
    (ROW | {"edits": []}, "'smile' has no edits"),
    (ROW | {"edits": None}, "'smile': edits is null"),
    (ROW | {"edits": [ROW["edits"][0] | {"op": "exec"}]}, "op of edit 1 is 'exec'"),
    (ROW | {"edits": [ROW["edits"][0] | {"strength": float("nan")}]}, "strength of edit 1"),
    ({"name": "smile"}, "'smile': edits is null"),
]


@pytest.mark.parametrize("row, words", REFUSED)
def test_a_wrong_row_is_refused_in_a_sentence(row, words):
    with pytest.raises(ValueError) as refusal:
        read_presets("tiny", None, [row])
    assert words in str(refusal.value) and len(str(refusal.value)) < 300


def test_two_presets_cannot_share_a_name():
    with pytest.raises(ValueError, match="two presets are called 'smile'"):
        read_presets("tiny", None, [ROW, ROW])


@pytest.fixture
def assets(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "ASSETS", tmp_path)
    (tmp_path / "portraits").mkdir()
    return tmp_path / "portraits"


def test_presets_are_for_their_own_weights_only(assets):
    assert presets("portraits", "0123456789ab") == ()  # no file
    (assets / "presets.json").write_text(json.dumps({"v": 1, "weights": "0123456789ab", "presets": [ROW]}))
    assert presets("portraits", "0123456789ab") == (Preset("smile", EDITS, "from here"),)
    assert presets("portraits", "ba9876543210") == ()


@pytest.mark.parametrize("text", ["", "[]", '{"v": 2, "presets": []}', '{"v": 1}', "[" * 99_999, "x" * 1_000_001])
def test_a_damaged_file_is_refused_by_name(assets, text):
    (assets / "presets.json").write_text(text)
    with pytest.raises(ValueError, match=r"presets\.json of portraits cannot be used"):
        presets("portraits", "0123456789ab")


def test_examples_name_presets_that_there_are(assets):
    rows = [{"seed": 7, "named": ["smile", "smile"]}, {"seed": 8, "named": ["smile", "forgotten"]}]
    (assets / "examples.json").write_text(json.dumps({"v": 1, "examples": rows}))
    found = examples("portraits", (Preset("smile", EDITS),))
    assert [(recipe.seed, recipe.edits) for recipe in found] == [(7, EDITS + EDITS)]
    assert examples("portraits", ()) == () and examples("somebody/else", ()) == ()


@pytest.mark.parametrize("text", ["", '{"v": 1}', '{"v": 1, "examples": [3]}', '{"v": 1, "examples": [{"seed": 1}]}',
                                  '{"v": 1, "examples": [{"seed": -1, "named": []}]}', "[" * 99_999])  # fmt: skip
def test_a_damaged_file_of_examples_is_refused_by_name(assets, text):
    (assets / "examples.json").write_text(text)
    with pytest.raises(ValueError, match=r"examples\.json of portraits cannot be used"):
        examples("portraits", ())


# ---- those that ship ----

WEIGHTS = Catalogue().generator("portraits").weights
BUNDLED = presets("portraits", WEIGHTS)
WISHES = {wish.name: wish for wish in find_presets.WISHES}


@pytest.fixture(scope="module")
def renderer():
    return Renderer()


def test_every_shipped_example_can_be_drawn(renderer):
    table = json.loads((registry.ASSETS / "portraits" / "examples.json").read_bytes())
    found = examples("portraits", BUNDLED)
    assert len(found) == len(table["examples"]) >= 6  # none names a preset that is gone
    for recipe in found:
        assert not torch.equal(renderer.image(recipe), renderer.base(recipe))


def test_at_least_sixteen_presets_ship():
    assert len(BUNDLED) >= 16


@pytest.mark.parametrize("preset", BUNDLED, ids=lambda preset: preset.name)
def test_a_shipped_preset_changes_its_place_and_little_else(renderer, preset):
    """Looked at on seeds that nothing was fitted to; how well each does is measured by the tool, not here."""
    wish, generator = WISHES[preset.name], renderer.catalogue.generator("portraits").generator
    seeds, z, _ = find_presets.latents_for(wish, generator.z_dim, 0, 4)
    task = find_presets.make_task(generator, [preset.edits[0].layer], z, wish)
    assert len(preset.edits) <= find_presets.MAX_EDITS
    pictures = torch.cat([renderer.image(Recipe("portraits", WEIGHTS, None, s, 1.0, preset.edits)) for s in seeds])
    figures = find_presets.measure(task, pictures)
    assert figures["visible"] > 0.02  # what the page calls visible
    assert figures["outside"] < 0.5
    assert figures["closer"] > 0


# ---- how they are found ----


def test_changed_latents_change_the_named_factors_only():
    z = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    before = WORLDS["portraits"].factors_of_latents(z)
    after = WORLDS["portraits"].factors_of_latents(find_presets.changed_latents(z, {"mouth_curve": 0.9, "gaze": 0.2}))
    curve, gaze = (WORLDS["portraits"].factor_names.index(name) for name in ("mouth_curve", "gaze"))
    others = [i for i in range(len(WORLDS["portraits"].factor_names)) if i not in (curve, gaze)]
    torch.testing.assert_close(after[:, others], before[:, others], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[:, [curve, gaze]], torch.tensor([[0.9, 0.2]]).expand(6, 2), atol=1e-5, rtol=0)


def test_a_change_that_two_edits_make_is_found_exactly(renderer):
    factors_id = next(iter(renderer.catalogue.bundled("portraits").values()))
    factors = renderer.catalogue.factors("portraits", factors_id)
    A, p = factors.appearances, factors.scaled_parts
    change = 3.0 * torch.outer(A[:, 7], p[:, 0]) - 2.0 * torch.outer(A[:, 3], p[:, 1])
    info = factors.info
    differs = (p[:, 0] + p[:, 1]).reshape(1, 1, info.height, info.width)
    layer = find_presets.Layer(factors, factors_id, torch.ones(len(A), len(p)))
    edits = find_presets.pursue(layer, change, differs)
    made = torch.zeros_like(change)
    for edit in edits:
        step = renderer.step(Recipe("portraits", edits=(edit,)), 0)
        made += step.alpha * torch.outer(A[:, edit.appearance], step.region)
    assert float((made - change).norm() / change.norm()) < 1e-3
