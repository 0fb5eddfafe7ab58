"""The trainer of the bundled generator: swaps, resuming, and what it makes of a run."""

import json

import pytest
import torch

from tools import portraits
from tools.adversary import Adversary
from tools.train_portraits import Run, Settings, swap_mask, swapped_latents

TINY = Settings(
    channels=(8, 8, 8, 8),
    w_dim=16,
    stages=((16, 0.0), (32, 0.5)),
    total_minutes=100.0,
    batch=3,
    pool=1024,
    swap_layers=(3,),
)


@pytest.fixture
def small(monkeypatch):
    """No compiler, and pictures that cost nothing: the loop is what is tested."""
    monkeypatch.setattr(torch, "compile", lambda f: f)
    draw = portraits.render
    monkeypatch.setattr(portraits, "render", lambda u, size, supersample=2, aligned=True: draw(u, size, 1, aligned))


def test_a_partner_differs_in_the_factors_of_one_part_only():
    z = torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    partner, between, t = swapped_latents(z, torch.Generator().manual_seed(1))
    change = (portraits.factors_of_latents(partner) - portraits.factors_of_latents(z)).abs() > 1e-4
    parts = [{portraits.FACTORS[j].part for j in row.nonzero().flatten()} for row in change]
    assert all(len(names) == 1 for names in parts) and len(set.union(*parts)) >= 8
    torch.testing.assert_close(partner.square().mean(dim=1), torch.ones(40))
    outside = (portraits.factors_of_latents(between) - portraits.factors_of_latents(z)).abs() > 1e-4
    assert not bool((outside & ~change).any())
    assert float(t.min()) >= 0.35 and float(t.max()) <= 1.15


def test_the_swap_mask_covers_what_differs_and_nothing_far_away():
    pictures = torch.zeros(1, 2, 3, 32, 32)
    pictures[0, 1, :, 8:16, 8:16] = 1.0
    mask = swap_mask(pictures, 8)[0, 0]
    assert bool((mask[2:4, 2:4] == 1).all()) and float(mask[5:].max()) == 0 and float(mask[:, 5:].max()) == 0


def test_a_run_goes_on_where_it_stopped(tmp_path, small):
    run = Run(tmp_path, TINY, torch.device("cpu"))
    run.enter_stage(0.0)
    before = [run.train_step(0.0) for _ in range(3)]
    run.minutes = 40.0
    run.save()
    again = Run(tmp_path, TINY, torch.device("cpu"))
    assert (again.step, again.minutes) == (3, 40.0)
    for one, other in zip(run.generator.state_dict().values(), again.generator.state_dict().values()):
        assert torch.equal(one, other)
    again.enter_stage(0.6)
    assert again.size == 32
    assert all(torch.isfinite(torch.tensor([*before, again.train_step(0.6)])))


def test_a_slice_leaves_a_checkpoint_a_log_and_a_sheet(tmp_path, small):
    run = Run(tmp_path, TINY, torch.device("cpu"))
    run.run(minutes=0.001, sheet_every=0.0)
    assert (tmp_path / "checkpoint.pt").is_file() and list(tmp_path.glob("samples-*.png"))
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert entries[-1]["step"] >= 1 and entries[-1]["held_out_l1"] > 0


def test_the_adversary_learns_to_tell_and_can_be_restored():
    torch.manual_seed(0)
    adversary = Adversary((8, 8, 8), torch.device("cpu"), rate=3e-3)
    real, fake = torch.rand(16, 3, 16, 16) * 0.2 + 0.5, torch.rand(16, 3, 16, 16) * 0.2 - 0.7
    losses = [adversary.step(real, fake) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    other = Adversary((8, 8, 8), torch.device("cpu"), rate=3e-3)
    other.restore(adversary.state())
    assert torch.equal(other.discriminator(real), adversary.discriminator(real)) and other.steps == 30
    assert float(adversary.generator_loss(fake)) > float(adversary.generator_loss(real))


def test_the_adversary_joins_at_full_size_only(tmp_path, small):
    settings = Settings(**{**TINY.__dict__, "adversarial_from": 0.0})
    run = Run(tmp_path, settings, torch.device("cpu"))
    run.enter_stage(0.0)
    run.train_step(0.0)
    assert run.adversary.steps == 0
    run.enter_stage(0.6)
    run.train_step(0.6)
    assert run.adversary.steps == 1
