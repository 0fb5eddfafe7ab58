"""Files: every published format loads to the same network, and every damaged or hostile one ends in one sentence."""

import pytest
import torch

from panda_core.checkpoints import load_generator, read_metadata, save_generator
from panda_core.generators.registry import FAMILIES
from panda_core.generators.split import weights_hash


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_generator_comes_back_with_the_same_hash_and_pictures(family, tmp_path):
    generator = FAMILIES[family].tiny(3)
    save_generator(generator, tmp_path / "g.safetensors", {"licence": "MIT"})
    again = load_generator(tmp_path / "g.safetensors")
    latents = generator.sample([1, 2], 0.7, 0 if generator.n_classes else None)
    assert weights_hash(again) == weights_hash(generator)
    assert torch.equal(again(latents), generator(latents))
    assert read_metadata(tmp_path / "g.safetensors")["licence"] == "MIT"


def test_half_precision_on_disk_is_loaded_as_single(tmp_path):
    generator = FAMILIES["stylegan2"].tiny(3)
    save_generator(generator, tmp_path / "g.safetensors", dtype=torch.float16)
    again = load_generator(tmp_path / "g.safetensors")
    assert {t.dtype for t in again.state_dict().values()} == {torch.float32}
    assert read_metadata(tmp_path / "g.safetensors")["hash"] == weights_hash(again)
