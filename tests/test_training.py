"""The trainer of the bundled generators: pairs, the fast path, Muon, resuming, and what a run leaves."""

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from panda_core.checkpoints.load import save_generator
from panda_core.generators.split import Latents
from panda_core.generators.stylegan2 import StyleGAN2
from tools.fast_stylegan2 import FastStyleGAN2
from tools.muon import Muon, orthogonalised
from tools.pairs import Batch, Pool, new_latents, swap_mask, swapped_latents
from tools.train import Run, Settings, fit_loss, load_network, settings_of_weights, stages_of_text
from tools.worlds import WORLDS

CPU = torch.device("cpu")
TINY = Settings(
    channels=(8, 8, 8, 8),
    w_dim=16,
    mapping_width=16,
    stages=((16, 0.0), (32, 0.5)),
    total_minutes=100.0,
    batch=4,
    fresh=2,
    pool=16,
    warm_up=3,
    held_out=4,
)


@pytest.fixture(params=WORLDS.values(), ids=WORLDS)
def world(request):
    return request.param


def new_run(folder, world=WORLDS["portraits"], settings=TINY) -> Run:
    return Run(folder, world, settings, CPU, torch.float32)


def everything(run: Run) -> list[torch.Tensor]:
    """All numbers that a run's future depends on."""
    states = [run.generator.state_dict(), run.mean.state_dict(), run.pool.state(), {"p": run.pool.pictures}]
    states += [s for optimiser in (run.adam, run.muon) for s in optimiser.state_dict()["state"].values()]
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


def test_a_partner_differs_in_the_factors_of_one_part_only(world):
    z = torch.randn(60, 64, generator=torch.Generator().manual_seed(0))
    partner, between, t = swapped_latents(world, z, torch.Generator().manual_seed(1))
    change = (world.factors_of_latents(partner) - world.factors_of_latents(z)).abs() > 1e-4
    parts = [{world.factors[j].part for j in row.nonzero().flatten()} for row in change]
    assert all(len(names) == 1 for names in parts)
    assert len(set.union(*parts)) >= 8 and set.union(*parts) <= world.swapped.keys()
    torch.testing.assert_close(partner.square().mean(dim=1), torch.ones(60))
    outside = (world.factors_of_latents(between) - world.factors_of_latents(z)).abs() > 1e-4
    assert not bool((outside & ~change).any())
    assert float(t.min()) >= 0.35 and float(t.max()) <= 1.15


def test_a_rare_thing_is_drawn_more_often_than_it_comes(world):
    rng = torch.Generator().manual_seed(0)
    assert len(new_latents(replace(world, rare=next(iter(world.presence))), 1, 64, rng)) == 1
    for thing, start in world.presence.items():
        u = world.factors_of_latents(new_latents(replace(world, rare=thing), 2000, 64, rng))
        share = float((u[:, world.factor_names.index(thing)] > start).float().mean())
        assert share == pytest.approx(0.45, abs=0.01)
        others = [k for k, factor in enumerate(world.factors) if factor.name != thing]
        assert float((u[:, others].mean(dim=0) - 0.5).abs().max()) < 0.03  # five deviations


def test_the_swap_mask_covers_what_differs_and_nothing_far_away():
    pictures = torch.zeros(1, 2, 3, 32, 32)
    pictures[0, 1, :, 8:16, 8:16] = 1.0
    mask = swap_mask(pictures, 8)[0, 0]
    assert bool((mask[2:4, 2:4] == 1).all()) and float(mask[5:].max()) == 0 and float(mask[:, 5:].max()) == 0


def test_the_pool_holds_the_pictures_of_its_latents(world):
    pool = Pool(world, 12, 4, 64, 32, CPU)
    pool.fill()
    batch = Batch.empty(6, 64, 16, CPU)
    pool.take(batch)
    true = world.render(world.factors_of_latents(batch.latents[:, 0]), 16, 2)
    torch.testing.assert_close(batch.pictures[:, 0], true.images, atol=1.01 / 255, rtol=0)  # 8 bits
    heavy = torch.tensor([1.0 + world.heavy.get(part, 0) for part in world.parts])
    weight = torch.einsum("bmhw,m->bhw", true.masks, heavy)
    torch.testing.assert_close(batch.weight[:, 0, 0], weight, atol=0.051, rtol=0)  # tenths
    before = pool.t.clone()
    pool.refresh()
    assert int((pool.t != before).sum()) == 4


@pytest.mark.parametrize("seed", range(3))
def test_the_fast_path_is_the_generator(seed):
    torch.manual_seed(seed)
    generator = StyleGAN2((12, 10, 8, 6), z_dim=10, w_dim=14, mapping_layers=2)
    for conv in generator.convs:
        conv.noise_strength.data.fill_(0.3)
        conv.bias.data.normal_()
    z, fast = torch.randn(3, 10), FastStyleGAN2(generator, torch.float32)
    kernels = fast.kernels(7)
    for first in (1, 2, 5):
        cut, mine = generator.head(Latents(z), first), fast.advance(fast.start(z), first, kernels)
        torch.testing.assert_close(mine.features, cut.features, atol=1e-5, rtol=1e-5)
        cut, mine = generator.advance(cut, 7), fast.advance(mine, 7, kernels)
        torch.testing.assert_close(mine.features, cut.features, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mine.carry["rgb"], cut.carry["rgb"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(16, 144), (48, 48), (96, 40)])
def test_an_update_of_muon_is_nearly_orthogonal(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    large = torch.linalg.svdvals(matrix) > 0.1 * torch.linalg.matrix_norm(matrix, 2)
    assert float(values[large].min()) > 0.65 and float(values.max()) < 1.25  # where Newton-Schulz's five steps end
    U, _, Vh = torch.linalg.svd(matrix, full_matrices=False)
    nearest = torch.nn.functional.cosine_similarity(orthogonalised(matrix).flatten(), (U @ Vh).flatten(), dim=0)
    assert float(nearest) > 0.95


def test_muon_s_step_has_the_size_of_its_rate_whatever_the_gradient_s():
    steps = []
    for scale in (1e-3, 1e3):
        weight = torch.nn.Parameter(torch.zeros(8, 4, 3, 3))
        weight.grad = scale * torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
        Muon([weight], torch.tensor(0.01)).step()
        steps.append(weight.detach())
    torch.testing.assert_close(steps[0], steps[1], atol=1e-5, rtol=1e-3)
    rms = float(steps[0].square().mean().sqrt())
    assert rms == pytest.approx(0.01 * 0.2, rel=0.3)  # a share √(8 / (8·36)) of 0.2 √36 singular values near 1


def test_a_few_steps_lower_the_loss(tmp_path, world):
    run = new_run(tmp_path, world, replace(TINY, stages=((16, 0.0),)))
    losses = []
    for _ in range(40):
        run.train_step(0.0)
        losses.append(float(run.loss))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_stopped_and_resumed_run_is_the_uninterrupted_one(tmp_path):
    """Bit for bit, over a change of size."""
    whole, first = new_run(tmp_path / "whole"), new_run(tmp_path / "parts")
    progress = (0.0, 0.1, 0.4, 0.6, 0.8, 0.9)
    for p in progress:
        whole.train_step(p)
    for p in progress[:4]:
        first.train_step(p)
    first.minutes = 60.0
    first.save()
    second = new_run(tmp_path / "parts", settings=replace(TINY, batch=99))  # the checkpoint's settings count
    assert (second.step, second.minutes, second.size, second.settings) == (4, 60.0, 32, TINY)
    for p in progress[4:]:
        second.train_step(p)
    pairs = list(zip(everything(whole), everything(second), strict=True))
    assert len(pairs) > 100 and all(torch.equal(one, other) for one, other in pairs)


def test_a_run_keeps_to_its_world(tmp_path):
    new_run(tmp_path).save()
    with pytest.raises(ValueError, match="is of the world portraits; choose another folder for scenes"):
        new_run(tmp_path, WORLDS["scenes"])


def test_a_slice_leaves_a_checkpoint_a_log_and_pairs(tmp_path):
    run = new_run(tmp_path)
    run.run(minutes=0.01, report_every=0.002, stop=threading.Event())
    assert (tmp_path / "checkpoint.pt").is_file() and (tmp_path / "pairs.png").is_file()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) >= 2 and lines[-1]["step"] == run.step and lines[-1]["held_out_l1"] > 0
    again = new_run(tmp_path)
    assert again.step == run.step and again.minutes == run.minutes > 0


def test_what_goes_wrong_leaves_the_last_checkpoint(tmp_path):
    run = new_run(tmp_path)
    run.train_step(0.0)
    run.report(1.0)
    run.generator.const.data.fill_(float("nan"))
    run.train_step(0.0)
    with pytest.raises(FloatingPointError, match=r"step 2; the last checkpoint is intact"):
        run.report(1.0)
    assert new_run(tmp_path).step == 1


def test_a_run_starts_from_weights_of_any_width():
    shape = {"z_dim": 10, "w_dim": 14, "mapping_layers": 3, "mapping_width": 20}
    generator = StyleGAN2((12, 10, 8, 6), **shape)
    settings = settings_of_weights(TINY, generator.state_dict())
    assert (settings.channels, settings.z_dim, settings.w_dim) == ((12, 10, 8, 6), 10, 14)
    assert (settings.mapping_layers, settings.mapping_width, settings.batch) == (3, 20, TINY.batch)
    with pytest.raises(ValueError, match=r"no 'mapping.layers.0.weight' among the weights"):
        settings_of_weights(TINY, {})
    with pytest.raises(ValueError, match="stages go to 32 pixels; the network's 3 sizes to 16"):
        settings_of_weights(TINY, StyleGAN2((12, 10, 8), **shape).state_dict())


def test_the_network_of_a_run_comes_without_the_sizes_that_it_never_saw(tmp_path):
    run = new_run(tmp_path, settings=replace(TINY, stages=((16, 0.0), (32, 0.99))))
    run.train_step(0.0)
    run.save()
    network, how = load_network(tmp_path / "checkpoint.pt")
    assert network.resolution == 16 and "1 steps of 4 pairs" in how
    z = run.mean.sample([3])
    torch.testing.assert_close(network(z), run.mean.preview(run.mean.start(z), 2))


def test_a_network_comes_from_bare_and_from_own_safetensors(tmp_path):
    generator = StyleGAN2((12, 10, 8), z_dim=10, w_dim=14, mapping_layers=3, mapping_width=20)
    save_file(generator.state_dict(), tmp_path / "bare.safetensors")
    save_generator(generator, tmp_path / "own.safetensors", {"how": "by hand"})
    for name, said in (("bare", ""), ("own", "by hand")):
        network, how = load_network(tmp_path / f"{name}.safetensors")
        assert how == said and network.resolution == 16
        assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), generator.state_dict().values()))


def test_the_loss_is_nothing_for_the_true_picture_and_heavy_pixels_count_more():
    true, weight = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    assert float(fit_loss(true, true, weight, 1.0)) == 0
    made = true.clone()
    made[..., 2, 2] += 0.5
    heavy = weight.clone()
    heavy[..., 2, 2] = 5
    assert fit_loss(made, true, heavy, 0.0) > 2 * fit_loss(made, true, weight, 0.0) > 0


@pytest.mark.parametrize("text", ["", "64", "64:0.1", "48:0", "128:0,64:0.5", "64:0,128:0", "64:0,,"])
def test_stages_that_cannot_be_are_refused(text):
    with pytest.raises(Exception, match="must"):
        stages_of_text(text)


def test_the_command_ends_a_slice_on_a_signal_and_goes_on(tmp_path):
    command = [sys.executable, "-m", "tools.train", "--world", "scenes", "--unaligned", "--run", str(tmp_path)]
    command += ["--stages", "16:0", "--report-every", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read().splitlines()
    assert process.returncode == 0
    last = json.loads(rest[-1]) if rest else first
    again = subprocess.run([*command, "--minutes", "0.001"], capture_output=True, text=True, check=True)
    assert json.loads(again.stdout.splitlines()[-1])["step"] == last["step"] + 1
    refused = subprocess.run([*command, "--start", "nothing"], capture_output=True, text=True)
    assert refused.returncode == 2 and "has a checkpoint; leave out --start to go on" in refused.stderr
