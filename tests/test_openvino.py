"""MobileStyleGAN read from OpenVINO programs in a wheel, written here as they are found in the published one."""

import math
import zipfile
from xml.sax.saxutils import quoteattr

import pytest
import torch
import torch.nn.functional as F

from panda_core.checkpoints.load import load_generator
from panda_core.generators.mobile_stylegan import MobileStyleGAN, inverse_haar

SCALAR = torch.tensor(0.2)  # such stand between the weights


def scaled(dense):
    """(weight, bias) of a Dense as they act."""
    return dense.weight * dense.gain, dense.bias * dense.bias_gain


def programs(g):
    """(mapping, synthesis): lists of (name, tensor) in the published order: modulations from the last to the first."""
    mapping = [("Constant_5", SCALAR.reshape(1, 1))]
    for i, layer in enumerate(g.mapping.layers):
        weight, bias = scaled(layer)
        mapping += [(str(171 + 2 * i), weight), (str(172 + 2 * i), bias), (f"LeakyRelu_{i}", SCALAR.reshape(1))]

    def modulation(theirs, dense, divided_by=1.0):
        weight, bias = (x / divided_by for x in scaled(dense))
        scale = [] if divided_by == 1.0 else [("Constant", torch.full((1, 1, 1, 1), divided_by))]
        return [(f"{theirs}.modulation.weight", weight), (f"{theirs}.modulation.bias", bias[None]), *scale]

    count = len(g.ups)
    styles = modulation(f"m.layers.{count - 1}.to_img.conv", g.image_affine, g.to_image.shape[1] ** -0.5)
    names = ["m.conv1"] + [f"m.layers.{i // 2}.conv{1 + i % 2}" for i in range(2 * count)]
    for i in reversed(range(len(names))):
        styles += modulation(f"{names[i]}.conv", g.convs[i].affine, g.convs[i].weight.shape[1] ** -0.5 / 3)
        if i % 2:
            styles += modulation(f"m.layers.{i // 2}.up", g.ups[i // 2])
    body = [("m.input.input", g.const[None])]
    for name, conv in zip(names, g.convs):
        if conv.depthwise is not None:
            body += [("1539", torch.full((4, 1, 1, 2, 1), 0.7)), (f"{name}.conv.weight_dw", conv.depthwise[:, :, None])]
        body += [("Mul_39_copy", conv.weight), ("1531", conv.noise[None, None])]
        body += [(f"{name}.bias", conv.bias[None, :, None, None]), ("LeakyRelu", SCALAR.reshape(1))]
    last = f"m.layers.{count - 1}.to_img"
    body += [(f"{last}.conv.weight", g.to_image), (f"{last}.bias", g.image_bias[None, :, None, None])]
    return mapping, styles + body


def write(path, networks, spoil=lambda xml: xml, cut=None):
    with zipfile.ZipFile(path, "w") as archive:
        for name, tensors in zip(("Mapping", "Synthesis"), networks):
            numbers, layers = b"", []
            for i, (words, tensor) in enumerate(tensors):
                data = tensor.detach().contiguous().numpy().tobytes()
                shape = ", ".join(map(str, tensor.shape))
                layers.append(f'<layer id="{i}" name={quoteattr(words)} type="Const"><data element_type="f32" '
                              f'offset="{len(numbers)}" shape="{shape}" size="{len(data)}"/></layer>')  # fmt: skip
                numbers += data
            xml = f'<?xml version="1.0" ?><net name="torch-jit" version="10"><layers>{"".join(layers)}</layers></net>'
            archive.writestr(f"faces/data/{name}Network.xml", spoil(xml))
            archive.writestr(f"faces/data/{name}Network.bin", numbers[:cut])
    return path


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
