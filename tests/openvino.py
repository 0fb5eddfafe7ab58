"""A MobileStyleGAN written as OpenVINO programs in a wheel, as they are found in the published one."""

import zipfile
from xml.sax.saxutils import quoteattr

import torch

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
