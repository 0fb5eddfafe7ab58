"""MobileStyleGAN read from OpenVINO programs in a wheel."""

import math

import pytest
import torch
import torch.nn.functional as F

from panda_core.checkpoints.load import load_generator
from panda_core.generators.mobile_stylegan import MobileStyleGAN, inverse_haar

from .openvino import programs, write


@pytest.fixture(scope="module")
def tiny():
    return MobileStyleGAN.tiny(3)


def test_the_programs_of_a_wheel_are_the_generator_that_they_were_made_from(tiny, tmp_path):
    read = load_generator(write(tmp_path / "faces-1.0-py3-none-any.whl", programs(tiny)))
    assert read.config == tiny.config
    latents = tiny.sample([1, 2], 1.0)
    torch.testing.assert_close(read(latents), tiny(latents), rtol=1e-4, atol=1e-5)


def test_the_mean_style_is_that_of_many_latents(tiny, tmp_path):
    read = load_generator(write(tmp_path / "faces.zip", programs(tiny)))
    w = tiny.mapping(tiny.sample(range(4000)).z)
    error = (read.w_avg - w.mean(dim=0)).abs() / (w.std(dim=0) / math.sqrt(4000))
    assert error.max() < 5


@pytest.mark.parametrize(
    "spoil, cut, words",
    [
        (lambda xml: xml[:-20], None, "not XML"),
        (lambda xml: xml.replace("<net", '<!DOCTYPE net [<!ENTITY a "b">]><net'), None, "entities"),
        (lambda xml: xml, 100, "not within its numbers"),
        (lambda xml: xml.replace('offset="0"', 'offset="-4"'), None, "not within its numbers"),
        (lambda xml: xml.replace("m.input.input", "m.other"), None, "damaged or was cut short"),
        (lambda xml: xml + " " * 5 * 2**20, None, "larger than any"),
        (lambda xml: xml.replace("layers.0.conv2", "layers.9.conv2"), None, "damaged or was cut short"),
    ],
)
def test_what_is_no_mobile_stylegan_is_refused_in_one_sentence(tiny, tmp_path, spoil, cut, words):
    with pytest.raises(ValueError, match=words):
        load_generator(write(tmp_path / "faces.whl", programs(tiny), spoil, cut))


def test_the_inverse_haar_transform_undoes_the_orthonormal_one():
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    low, v, h, diagonal = (a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2
    bands = torch.cat([low, torch.stack([v, h, diagonal], dim=2).flatten(1, 2)], dim=1)
    torch.testing.assert_close(inverse_haar(bands), x)


def test_a_preview_keeps_the_means_of_what_is_constant_over_its_cells():
    tiny = MobileStyleGAN.tiny(3)
    for conv in tiny.convs[3:]:  # pointwise, without noise: what is constant over 2 x 2 cells stays so
        conv.depthwise[:] = 0.0
        conv.depthwise[:, :, 1, 1] = 1.0
        conv.noise[:] = 0.0
    cut = tiny.head(tiny.sample([5, 6]), 3)
    cut.features[:, cut.features.shape[1] // 4 :] = 0.0  # no high bands
    preview = tiny.preview(cut, 2)
    assert preview.shape == (2, 3, 16, 16)
    torch.testing.assert_close(F.avg_pool2d(preview, 2), F.avg_pool2d(tiny.tail(cut), 4), rtol=1e-4, atol=1e-5)
