"""Own pictures and their files: one survives, and no other harms."""

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from panda_core.generators.registry import FAMILIES
from panda_core.generators.split import weights_hash
from panda_core.own_picture import OwnPicture
from tests.own_pictures import TINY, own_picture


@pytest.mark.parametrize("name", TINY)
def test_a_file_survives(name, tmp_path):
    own, _ = own_picture(name)
    own.save(tmp_path / "it.panda")
    again = OwnPicture.load(tmp_path / "it.panda")
    assert again.id == own.id and len(own.id) == 32
    again.check_fits(TINY[name], weights_hash(TINY[name]))
    before, after = (each.reconstruction(TINY[name]) for each in (own, again))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)  # not equal: products depend on where memory begins
    assert torch.equal(again.image, own.image)


def test_the_id_sees_everything():
    own, _ = own_picture()
    changes = {"picture": own.picture + 1, "latents": own.latents + 1, "delta": own.delta + 1, "sigma": own.sigma + 1}
    changes |= {"layer": own.layer + 1, "generator": "x", "weights": "1" * 12, "psi": 0.5, "class_index": 1}
    ids = {replace(own, **{name: value}).id for name, value in changes.items()} | {own.id}
    assert len(ids) == len(changes) + 1


@pytest.mark.parametrize("name", TINY)
def test_delta_is_added_once_wherever_edits_are(name):
    generator = TINY[name]
    own, _ = own_picture(name)
    with torch.no_grad():
        whole = own.reconstruction(generator)
        for layer in generator.layers:
            cut = own.cut(generator, layer)
            assert cut.layer == layer
            shown = generator.tail(own.advance(generator, cut, max(layer, own.layer)))
            torch.testing.assert_close(shown, whole, atol=1e-5, rtol=1e-4)


def test_a_file_of_other_weights_or_another_generator_is_refused():
    own, _ = own_picture()
    with pytest.raises(ValueError, match="was made with weights"):
        own.check_fits(TINY["stylegan2"], "0" * 12)
    other = FAMILIES["stylegan2"].tiny(0, w_dim=16)
    with pytest.raises(ValueError, match="latents in the file has shape"):
        own.check_fits(other, own.weights)


def spoil(path, tensors=None, about=None, form="panda-picture/1"):
    own, _ = own_picture()
    kept = {name: getattr(own, name) for name in ("picture", "latents", "delta", "sigma")} | (tensors or {})
    said = {"generator": "tiny", "weights": "0" * 12, "class": None, "psi": 1.0, "layer": 3, "psnr": {"start": 10.0}}
    text = about if isinstance(about, str) else json.dumps(said | (about or {}))
    kept = {name: tensor for name, tensor in kept.items() if tensor is not None}
    safetensors.torch.save_file(kept, path, {"format": form, "about": text})


def test_a_file_with_the_recipe_of_another_picture_is_refused(tmp_path):
    own, _ = own_picture()
    with pytest.raises(ValueError, match="another picture"):
        own.save(tmp_path / "it.panda", replace(own.recipe(), source="0" * 32))
    own.save(tmp_path / "it.panda")
    data = (tmp_path / "it.panda").read_bytes()
    (tmp_path / "it.panda").write_bytes(data.replace(own.id.encode(), b"0" * 32))
    with pytest.raises(ValueError, match="another picture"):
        OwnPicture.load(tmp_path / "it.panda")


HOSTILE = {
    "no tensors": {"tensors": {"delta": None}},
    "another tensor": {"tensors": {"more": torch.zeros(1)}},
    "nan": {"tensors": {"latents": torch.full((8, 14), torch.nan)}},
    "infinite": {"tensors": {"delta": torch.full((12, 8, 8), torch.inf, dtype=torch.float16)}},
    "dtype": {"tensors": {"delta": torch.zeros(12, 8, 8)}},
    "dimensions": {"tensors": {"delta": torch.zeros(12, 64, dtype=torch.float16)}},
    "empty": {"tensors": {"latents": torch.zeros(0, 14)}},
    "huge side": {"tensors": {"picture": torch.zeros(3, 1, 4096, dtype=torch.uint8)}},
    "negative sigma": {"tensors": {"sigma": torch.full((12,), -1.0)}},
    "sigma's length": {"tensors": {"sigma": torch.ones(5)}},
    "newer": {"form": "panda-picture/9"},
    "no json": {"about": "{"},
    "nested json": {"about": "[" * 100_000},
    "a list": {"about": "[]"},
    "nan psi": {"about": {"psi": float("nan")}},
    "layer": {"about": {"layer": -1}},
    "layer as text": {"about": {"layer": "3"}},
    "generator": {"about": {"generator": "../../etc/passwd\n"}},
    "unknown field": {"about": {"more": 1}},
    "psnr": {"about": {"psnr": {"start": "loud"}}},
    "psnr's stage": {"about": {"psnr": {"start": 1.0, "x" * 10**5: 1.0}}},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(what, tmp_path):
    path = tmp_path / "it.panda"
    spoil(path, **HOSTILE[what])
    with pytest.raises(ValueError, match=r"it\.panda cannot be opened: ") as caught:
        OwnPicture.load(path)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value) and len(str(caught.value)) < 450


def test_a_cut_or_changed_file_is_refused_or_read_but_never_crashes(tmp_path):
    own, _ = own_picture()
    own.save(tmp_path / "it.panda")
    data = (tmp_path / "it.panda").read_bytes()
    rng = np.random.RandomState(0)
    for i in range(120):
        broken = bytearray(data)
        if i % 2:
            broken[rng.randint(min(len(data), 900))] = rng.randint(256)
        else:
            del broken[rng.randint(len(data)) :]
        (tmp_path / "it.panda").write_bytes(broken)
        try:
            OwnPicture.load(tmp_path / "it.panda")
        except ValueError as error:
            assert "it.panda cannot be opened" in str(error)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("panda_core.own_picture.MAX_FILE", 1000)
    own_picture()[0].save(tmp_path / "it.panda")
    with pytest.raises(ValueError, match="at most 0 are accepted"):
        OwnPicture.load(tmp_path / "it.panda")
