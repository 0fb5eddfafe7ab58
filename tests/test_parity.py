"""Parity with the official code: every tensor that a fixture holds is made again from its weights and inputs.

The fixtures lie in the folder PANDA_PARITY_DIR, else in tests/data/parity; parity.json says what each tensor is.
"""

import json
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from panda_core.checkpoints.layouts import read_state
from panda_core.checkpoints.load import build
from panda_core.generators.split import Latents

FOLDER = Path(os.environ.get("PANDA_PARITY_DIR") or Path(__file__).parent / "data" / "parity")
FIXTURES = {fixture["name"]: fixture for fixture in json.loads((FOLDER / "parity.json").read_text())["fixtures"]}
GIVEN = ("weights.", "input.", "ckpt.")  # the rest is to be reproduced, but for directions and matrices


def make_generator(fixture, tensors):
    state = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    constructor = fixture["constructor"]
    arguments = constructor["kwargs"]
    clamp = 256 if "networks_stylegan" in constructor["class"] else None  # the defaults of NVIDIA's two repositories
    options = {
        "genforce-pth": None,
        "rosinality-pt": {"latent_avg": tensors.get("ckpt.latent_avg")},
        "nvidia-pkl": {"conv_clamp": clamp, **arguments, **arguments.get("synthesis_kwargs", {})},
        "hf-biggan": arguments,
    }[fixture["checkpoint_format"]]
    return build(*read_state(state, options))


@lru_cache(maxsize=1)
def reproduce(name):
    """The reference tensors of a fixture and what our generator makes instead, by name."""
    fixture = FIXTURES[name]
    tensors = load_file(FOLDER / fixture["file"])
    generator = make_generator(fixture, tensors)
    inputs, got = fixture["inputs"], {}
    psi = inputs["truncation_psi"]
    latents = Latents(
        tensors["input.z"],
        1.0 if psi is None else psi,
        tensors.get("input.c"),
        inputs["truncation_cutoff"],
    )
    for entry in fixture["layers"]:
        assert entry["key"] in tensors, f"{entry['key']} is announced, but not in the file"

    taps = [
        conv.register_forward_hook(lambda m, args, x, i=i: got.update({f"inner.layer{i}": x}))
        for i, conv in enumerate(getattr(generator, "convs", []))
    ]
    start = generator.start(latents)
    got |= {key: value for key, value in start.carry.items() if key in ("ws", "cond")}
    if hasattr(generator, "mapping"):
        got["w"] = generator.mapping(latents.z, latents.classes)
    cuts = {layer: generator.head(latents, layer) for layer in generator.layers}
    for layer, cut in cuts.items():
        got[f"layer.{layer}"] = cut.features
        if "rgb" in cut.carry:
            got[f"skip.{layer}"] = cut.carry["rgb"]
    got["image"] = generator(latents)
    for tap in taps:
        tap.remove()

    for i, edit in enumerate(fixture.get("edits") or [fixture["edit"]]):
        key, cut = f"edit{i + 1}" if i else "edit", cuts[edit["layer"]]
        edited = cut.with_features(cut.features + tensors[edit["direction"]])
        got[f"{key}.image"] = generator.tail(edited)
        if "panda_image" in edit:  # PandA's own pictures: the running RGB image does not cross the cut
            bare = {**cut.carry, "rgb": torch.zeros_like(cut.carry["rgb"])}
            got[f"{key}.panda_image"] = generator.tail(replace(cut, carry=bare))
            got[f"{key}.panda_edit_image"] = generator.tail(replace(edited, carry=bare))

    for case in fixture.get("cases", []):
        if "truncation" in case:
            other = replace(latents, psi=case["truncation"])
        else:
            other = replace(latents, psi=case["truncation_psi"], psi_layers=case["truncation_cutoff"])
        got[f"case.{case['name']}.image"] = generator(other)
        if "ws" in case:
            got[f"case.{case['name']}.ws"] = generator.start(other).carry["ws"]

    if "transform_case" in fixture:
        generator.input.transform.copy_(tensors["transform.matrix"])
        got["transform.layer.0"] = generator.start(latents).features
        got["transform.image"] = generator(latents)

    wanted = {
        key: value
        for key, value in tensors.items()
        if not key.startswith(GIVEN) and not key.endswith((".direction", ".matrix"))
    }
    return wanted, got


def kind(tensor_name):
    """What sort of tensor it is: layer.5 -> layer, case.psi1.ws -> ws, edit2.image -> edit image."""
    first, last = tensor_name.split(".")[0].rstrip("0123456789"), tensor_name.split(".")[-1]
    return {"case": last, "edit": f"edit {last}"}.get(first, first)


@pytest.mark.parametrize("name", FIXTURES)
def test_every_tensor_of_the_official_code_is_reproduced(name, record_property):
    wanted, got = reproduce(name)
    assert wanted.keys() <= got.keys(), f"not reproduced: {sorted(wanted.keys() - got.keys())}"
    assert {"image", "edit.image"} <= wanted.keys()
    tolerance, failures, worst = FIXTURES[name]["tolerance"]["tol"], [], {}
    for key, reference in wanted.items():
        assert got[key].shape == reference.shape, key
        error = (got[key] - reference).abs().max().item()
        exact = key.split(".")[-1] in ("w", "ws", "cond")
        scale = 1.0 if exact else max(1.0, reference.std().item())
        worst[kind(key)] = max(worst.get(kind(key), 0.0), error / scale)
        if not error <= (1e-5 if exact else tolerance) * scale:
            failures.append(f"{key}: {error:.2e}, std {reference.std().item():.2e}")
    for key, value in worst.items():
        record_property(key, f"{value:.1e}")
    assert not failures, "\n".join(failures)
