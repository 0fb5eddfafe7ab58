"""Parts against exact masks, and what a table of a generator without truth is made of."""

import torch

from benchmarks import refine_truth, third_party
from benchmarks.evaluation import mask_iou
from benchmarks.methods import Candidate
from benchmarks.methods.base import of_features
from panda_core.generators.stylegan2 import StyleGAN2
from tools.truth import Task
from tools.worlds import WORLDS


def test_overlaps_are_ious_of_thresholded_parts_where_the_thing_is_there():
    rng = torch.Generator().manual_seed(0)
    maps, exact = torch.rand(3, 2, 64, 64, generator=rng), torch.rand(3, 4, 64, 64, generator=rng) > 0.5
    exact[1, 2] = False
    found = refine_truth.overlaps(maps, exact)
    t = float(refine_truth.THRESHOLDS[3])
    assert torch.isclose(found[0, 1, 3, 2], mask_iou(maps[0, 1] >= t, exact[0, 2]))
    assert found[1, :, :, 2].isnan().all()
    assert found.isnan().sum() == found[1, :, :, 2].numel()


def test_the_camera_moves_features_where_the_world_moves_its_things():
    """Exact masks of the aligned world, moved as features, are those of its twin."""
    world, generator = WORLDS["portraits"].unaligned(), StyleGAN2.tiny(0, z_dim=64)
    latents = generator.sample(range(8), 1.0)
    aligned = WORLDS["portraits"].of_seeds(range(8), 64, 64).masks[:, 1:]
    generator.head = lambda *_: refine_truth.Cut(aligned, 3, {"rgb": aligned[:, :3]})
    moved = refine_truth.through(world, generator, 3)(range(8)).features
    exact = world.render(world.factors_of_latents(latents.z), 64).masks[:, 1:]
    hair = WORLDS["portraits"].parts.index("hair") - 1
    assert mask_iou(moved > 0.5, exact > 0.5)[:, hair].min() > 0.95
    assert mask_iou(aligned > 0.5, exact > 0.5)[:, hair].min() < 0.7


def test_roir_is_taken_where_the_change_inside_is_a_quarter_of_another_picture():
    M = torch.zeros(8, 8)
    M[:, :4] = 1
    before = torch.zeros(2, 3, 8, 8)
    task = Task([0, 1], {0: refine_truth.Cut(before, 0, {})}, before, before + 1, 1)
    push = torch.where(M > 0, 0.4, 0.1).expand(1, 3, 8, 8)  # outside a quarter of what it does inside
    grows = Candidate("", 0, of_features(lambda Z, s: Z + s[:, None, None, None] * push), 1.0)
    found = third_party.ratios(lambda cut, shrink: cut.features, task, grows, 1, M)
    assert torch.allclose(found, torch.full((2,), 0.25))
    weak = Candidate("", 0, grows.edit, 0.1)
    assert third_party.ratios(lambda cut, shrink: cut.features, task, weak, 1, M).isnan().all()
