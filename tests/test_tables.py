"""The tables' methods against references, their choice and measures on planted truth, and that a run goes on."""

import copy
import json

import numpy as np
import pytest
import torch

from benchmarks import report, tables
from benchmarks.evaluation import ssim_map
from benchmarks.labels import logistic, spearman
from benchmarks.methods import Candidate, Ground, ganspace, lelsd, lowrankgan, resefa, sae, sefa, stylespace, variations
from benchmarks.methods.base import along_each_style, along_styles, in_deviations
from panda_core.catalogue import Loaded
from panda_core.fitting import fit_layer
from panda_core.generators.split import Latents, weights_hash
from panda_core.generators.stylegan2 import StyleGAN2
from tools.truth import Task, Wish, joined, seeds_for
from tools.worlds import WORLDS


@pytest.fixture(scope="module")
def ground():
    generator = StyleGAN2.tiny(0)
    return Ground(generator, {}, 2, 1)


def random_psd(n: int, rank: int, seed: int) -> torch.Tensor:
    X = torch.randn(n, rank, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return X @ X.t()


def test_components_are_those_of_an_svd():
    w = torch.randn(200, 7, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 8)
    Vh = np.linalg.svd((w - w.mean(dim=0)).double().numpy(), full_matrices=False)[2]
    found = ganspace.components(w).double().numpy()
    assert np.allclose(np.abs(Vh @ found), np.eye(7), atol=1e-4)  # float32 out of float64


def test_sefa_finds_what_styles_answer_to_most():
    rng = torch.Generator().manual_seed(1)
    affines = [torch.randn(n, 6, generator=rng) for n in (9, 5)]
    v = sefa.directions(affines)[:, 0]
    others = torch.nn.functional.normalize(torch.randn(6, 500, generator=rng), dim=0)
    answer = sum((A @ v).square().sum() for A in affines)
    assert answer >= sum((A @ others).square().sum(dim=0) for A in affines).max()
    assert torch.isclose(answer, torch.linalg.matrix_norm(torch.cat(affines), 2) ** 2, rtol=1e-4)


@pytest.mark.parametrize("i", [2, 3])  # with and without an RGB layer behind it
def test_a_style_channel_moves_one_convolution_and_no_rgb_layer(ground, i):
    generator = ground.generator
    moved = copy.deepcopy(generator)
    moved.convs[i].affine.bias[4] += 3 * 0.7 / moved.convs[i].affine.bias_gain
    latents = generator.sample([5], 1.0)
    edit = stylespace.channel(generator, i, 4, 0.7)
    after = generator.tail(edit(generator.head(latents, i), torch.tensor([0.0, 3.0])))
    assert torch.allclose(after[:1], generator(latents), atol=1e-5)
    assert torch.allclose(after[1:], moved(latents), atol=1e-5)
    assert not torch.allclose(after[:1], after[1:], atol=1e-3)


def test_jacobians_are_what_backpropagation_says(ground):
    generator = copy.deepcopy(ground.generator).double()
    ws = generator.styles(Latents(ground.generator.sample([30_000], 1.0).z.double(), 1.0))
    found = ground.jacobians[0].double()
    for seed in range(3):
        v = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        step = torch.zeros(14, dtype=torch.float64, requires_grad=True)
        (generator.tail(generator.from_styles(ws + step))[0] * v).sum().backward()
        error = step.grad - torch.einsum("chw,chwk->k", v, found)
        assert error.norm() < 0.2 * step.grad.norm()  # steps of 0.1 across the kinks of leaky ReLUs


def test_robust_pca_separates_low_rank_from_sparse():
    L = random_psd(30, 2, 0)
    S = torch.zeros_like(L)
    spots = torch.randperm(900, generator=torch.Generator().manual_seed(0))[:40]
    S.view(-1)[spots] = 25.0
    assert (lowrankgan.low_rank(L + S) - L).norm() < 1e-3 * L.norm()


def test_lowrankgan_leaves_alone_what_moves_the_rest():
    inside, outside = random_psd(10, 3, 0), random_psd(10, 4, 1)
    V = lowrankgan.directions(inside, outside, 0.99999, 3)
    moved = (V * (outside @ V)).sum(dim=0) / V.square().sum(dim=0)
    assert moved.max() < 1e-8 * outside.trace()
    assert ((V * (inside @ V)).sum(dim=0) > 1e-3).all()


def test_resefa_has_the_best_quotient():
    inside, outside = random_psd(8, 3, 2), random_psd(8, 8, 3)
    V = resefa.directions(inside, outside)
    noise = 0.01 * outside.trace() / 8 * torch.eye(8).double()
    values = np.linalg.eigvals(np.linalg.solve((outside + noise).numpy(), inside.numpy())).real
    quotient = (V * (inside @ V)).sum(dim=0) / (V * ((outside + noise) @ V)).sum(dim=0)
    assert np.allclose(quotient.numpy(), np.sort(values)[::-1], atol=1e-8 * values.max())


def test_lelsd_learns_to_stay_inside(ground):
    region = torch.zeros(32, 32)
    region[:, :16] = 1
    generator, w = ground.generator, ground.w
    first, last = (lelsd.directions(ground, region, 2, steps) for steps in (0, 10))
    cut = generator.from_styles(w[0].expand(1, len(generator.convs) + 1, -1))

    def share(V):
        return lelsd.share_inside(generator, cut, along_each_style(w.std(dim=0).norm() * V.t())(cut), region, [3, 5])

    assert share(last).mean() > share(first).mean() + 0.01
    assert torch.allclose(last.norm(dim=0), torch.ones(2))


def test_a_sparse_autoencoder_finds_a_planted_dictionary():
    rng = torch.Generator().manual_seed(0)
    D = torch.nn.functional.normalize(torch.randn(12, 16, generator=rng), dim=1)
    codes = torch.rand(4000, 12, generator=rng) * (torch.rand(4000, 12, generator=rng) < 0.15)
    model = sae.train(codes @ D, size=24, active=4, steps=400)
    found = model.encode(codes @ D)
    assert ((found > 0).sum(dim=1) <= 4).all()
    near = (D @ model.decoder.t()).amax(dim=1)
    assert (near > 0.8).sum() >= 10  # of 12; seen 11, from random columns none


def test_edits_drawn_together_are_those_drawn_alone(ground):
    generator = ground.generator
    cut = generator.head(generator.sample([3], 1.0), 2)
    v = in_deviations(torch.ones(14), ground.w)
    edits = [along_styles(v, 2, None)(cut, torch.tensor([1.0, 2.0])), cut.with_features(cut.features + 1)]
    alone = torch.cat([generator.tail(edit) for edit in edits])
    assert torch.allclose(generator.tail(joined(edits)), alone, atol=1e-5)


@pytest.mark.parametrize("n", [1, 6, 7])
def test_every_batch_is_of_one_size_and_draws_what_was_asked(ground, n, monkeypatch):
    monkeypatch.setattr(tables, "BATCH", 6)
    monkeypatch.setattr(tables.shutil, "which", lambda name: None)  # compiling is the compiler's business
    generator, sizes = ground.generator, []

    def draw(cut, shrink):
        sizes.append(len(cut.features))
        return generator.preview(cut, shrink)

    cut = generator.head(generator.sample(range(n), 1.0), 2)
    found = tables.compiled(draw)(cut, 2)
    assert torch.allclose(found, generator.preview(cut, 2), atol=1e-5)
    assert sizes == [6] * (1 if n <= 6 else 2)


def test_the_planted_direction_is_chosen_and_measured_as_perfect(ground, monkeypatch):
    monkeypatch.setattr(tables, "NARROWED", 4)  # of twelve: the others count for the strength
    generator, rng = ground.generator, torch.Generator().manual_seed(0)
    V = torch.randn(14, 6, generator=rng)
    cuts = generator.start(generator.sample(range(12), 1.0))
    before = generator.tail(cuts)
    wanted = torch.cat([generator.tail(along_styles(-2 * V[:, 4], 0, None)(cuts[i : i + 1], torch.ones(1)))
                        for i in range(12)])  # fmt: skip
    scale = wanted.abs().max()
    generator = _Scaled(generator, scale)  # pictures stay in [-1, 1]
    task = Task(list(range(12)), {0: cuts}, before / scale, wanted / scale, 1)
    candidates = [Candidate(f"{n}", 0, along_styles(v, 0, None), 2 / 0.65) for n, v in enumerate(V.t())]
    c, strength = tables.choose(generator.preview, task, candidates)
    assert (c.words, round(strength, 4)) == ("4", -2.0)
    measured, _ = tables.measure(generator.preview, task, c, strength)
    assert measured["share"] > 0.999
    assert measured["gained"] == 1.0
    assert measured["left"] == 0.0


class _Scaled:
    def __init__(self, generator, scale):
        self.generator, self.scale = generator, scale

    def preview(self, cut, shrink):
        return self.generator.tail(cut) / self.scale


def test_alignment_is_what_the_best_multiple_makes_up_for():
    rng = torch.Generator().manual_seed(0)
    change, wanted = torch.randn(1, 3, 4, 4, generator=rng), torch.randn(3, 4, 4, generator=rng)
    t = torch.linspace(0, 3, 30_001)[:, None, None, None]
    for sign in (1, -1):
        best = (wanted.square().sum() - (sign * t * change - wanted).square().flatten(1).sum(dim=1)).max()
        assert torch.isclose(tables.alignment(sign * change, wanted)[0], best.clamp_min(0), atol=1e-3)


def test_equal_effect_lies_between_two_strengths():
    inside, outside = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 2.5])
    assert tables.ratio_at(torch.tensor(2.0), inside, outside) == pytest.approx(1.5 / 2)
    assert np.isnan(tables.ratio_at(torch.tensor(4.0), inside, outside))


def test_ssim_is_the_formula_at_a_pixel():
    a, b = torch.rand(2, 1, 3, 24, 24, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    assert torch.allclose(ssim_map(a, a), torch.ones(1, 24, 24).double())
    x = np.arange(-5, 6)
    g = np.exp(-(x**2) / 4.5)
    weight = np.outer(g, g) / g.sum() ** 2
    expected = []
    for p, q in zip(a[0].numpy(), b[0].numpy()):
        p, q = p[7:18, 6:17], q[7:18, 6:17]
        mp, mq = (weight * p).sum(), (weight * q).sum()
        vp, vq, pq = (
            (weight * (p - mp) ** 2).sum(),
            (weight * (q - mq) ** 2).sum(),
            (weight * (p - mp) * (q - mq)).sum(),
        )
        c1, c2 = 0.02**2, 0.06**2
        expected.append((2 * mp * mq + c1) * (2 * pq + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert float(ssim_map(a, b)[0, 12, 11]) == pytest.approx(np.mean(expected))


def test_rank_correlation_is_numpys_of_ranks_and_logistic_regression_separates():
    rng = torch.Generator().manual_seed(0)
    scores, values = torch.randn(50, 2, generator=rng), torch.randn(50, generator=rng)
    ranks = [x.numpy().argsort().argsort() for x in (scores[:, 1], values)]
    assert float(spearman(scores, values)[1]) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    X = torch.randn(400, 3, generator=rng)
    b = logistic(X, X @ torch.tensor([2.0, -1.0, 0.0]) > 0.5)
    assert ((X @ b[:-1] + b[-1] > 0) == (X @ torch.tensor([2.0, -1.0, 0.0]) > 0.5)).float().mean() > 0.97


@pytest.fixture(scope="module")
def tiny_run_parts():
    generator = StyleGAN2.tiny(0, z_dim=64)
    loaded = Loaded(generator, weights_hash(generator))
    return generator, {3: fit_layer("it", loaded, 3, R_S=4, samples=32, psi=1.0)}


def test_a_second_start_goes_on_and_the_report_says_what_was_measured(tiny_run_parts, tmp_path, monkeypatch):
    generator, factors = tiny_run_parts
    asked = []

    def learn(ground):
        asked.append("learned")
        return lambda aim: iter([Candidate("a push", 0, along_styles(ground.w[0], 0, None))])

    def other(ground):
        return lambda aim: iter([Candidate("another", 0, along_styles(ground.w[1], 0, None))])

    monkeypatch.setattr(tables, "METHODS", {"variations": learn, "GANSpace": other})
    monkeypatch.setattr(tables.shutil, "which", lambda name: None)
    sizes = tables.Sizes(select=2, report=3, learn=1)
    wishes = [Wish("mouth open", "mouth_openness", 0.97), Wish("smile", "mouth_curve", 0.97)]

    def start():
        return tables.Run(WORLDS["portraits"], generator, factors, sizes, tmp_path)

    first = start().wish(wishes[0])
    assert asked == ["learned"]
    cell = start().folder / "mouth-open" / "variations.json"
    assert start().wish(wishes[0]) == first
    assert asked == ["learned"]  # everything was there
    (start().folder / "mouth-open" / "ganspace.json").unlink()
    cell.write_text(json.dumps(first["variations"] | {"share": 0.4321}))
    assert start().wish(wishes[0])["variations"]["share"] == 0.4321  # the finished cell was kept
    assert asked == ["learned"]

    folder = report.write(start(), wishes, "this machine", tmp_path / "report")
    words, page = ((folder / name).read_text() for name in ("report.md", "report.html"))
    assert "**0.43**" in words
    assert "<strong>0.43</strong>" in page
    assert "Not measured yet: smile" in words
    assert "](mouth-open.jpg)" in words
    assert 'src="data:image/jpeg' in page
    assert (folder / "mouth-open.jpg").is_file()


def test_the_readmes_table_is_the_reports():
    words = report.README.read_text()
    assert report.between(words, report.short_table()) == words
    grouped = [factor for factors in report.GROUPS.values() for factor in factors]
    assert sorted(grouped) == sorted({wish.factor for wish in tables.WISHES["portraits"]})


def test_seeds_that_are_chosen_on_are_not_reported():
    wish = Wish("no glasses", "glasses", 0.1)
    chosen = seeds_for(WORLDS["portraits"], wish, 64, tables.CHOSEN_ON, tables.FULL.select)
    shown = seeds_for(WORLDS["portraits"], wish, 64, 0, tables.FULL.report)
    assert not set(chosen) & set(shown)
    assert max(shown) < tables.CHOSEN_ON


def test_variations_are_candidates_only_where_they_are_stored(tiny_run_parts):
    generator, factors = tiny_run_parts
    aim = type("Aim", (), {"differs": torch.ones(32, 32)})()
    assert list(variations.learn(Ground(generator, factors, 1, 1))(aim)) == []
