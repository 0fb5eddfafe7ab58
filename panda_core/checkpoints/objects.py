"""What the network objects in a file say of their own arithmetic: compared with ours, then used or refused."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .unpickler import Array

Options = Mapping[str, Any] | None
Objects = Mapping[str, Mapping[str, Any]]  # name -> attributes
NO_OBJECTS: Objects = {}
ENDS = {f"{end}_{key}" for end in ("in", "out") for key in ("cutoff", "half_width", "sampling_rate", "size")}
BAND_KEYS = {"tmp_sampling_rate", "is_torgb", "up_factor", "down_factor", "padding"} | ENDS
INPUT_KEYS = {"bandwidth", "sampling_rate", "size"}


def heed_objects(
    layout: dict[str, Any], state: Mapping[str, Tensor], objects: Objects, options: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict and options of network objects, after all that they say of themselves.

    A missing constructor argument means different things in NVIDIA's two repositories, so what counts is what the
    layers themselves keep.

    Raises: ValueError if one does what our code does not.
    """
    if "attributes" not in layout:
        raise ValueError("it is a whole network object; save its weights alone: torch.save(network.state_dict(), file)")
    check_attributes(layout["attributes"], state, objects)
    state = work_in_gains(layout["gains"], state, objects)
    return state, {**options, **read_settings(layout, state, objects)}


def check_attributes(rows: list[Any], state: Mapping[str, Tensor], objects: Objects) -> None:
    for pattern, attribute, wanted in rows:
        for name, kept in objects.items():
            found = attribute in kept and pattern.fullmatch(name)
            if found and not agrees(kept[attribute], wanted, state.get(f"{name}.weight")):
                raise ValueError(f"its {name} has {attribute} = {shown(kept[attribute])}; only {wanted} is read")


def work_in_gains(rows: list[Any], state: Mapping[str, Tensor], objects: Objects) -> dict[str, Tensor]:
    """The state dict, with tensors scaled where a dense layer has another gain than ours would."""
    scaled = dict(state)
    for pattern, weight_gain, bias_gain, multiplier in rows:
        for name in (name for name in objects if pattern.fullmatch(name) and f"{name}.weight" in state):
            usual = multiplier / math.sqrt(fan_in(state[f"{name}.weight"]))
            for entry, gain, ours in (("weight", weight_gain, usual), ("bias", bias_gain, multiplier)):
                factor = plain_number(objects[name].get(gain, ours)) / ours
                if not math.isclose(factor, 1.0, rel_tol=1e-5):
                    scaled[f"{name}.{entry}"] = state[f"{name}.{entry}"].float() * factor
    return scaled


def read_settings(layout: dict[str, Any], state: Mapping[str, Tensor], objects: Objects) -> dict[str, Any]:
    """What NVIDIA's networks say that the tensors do not; nothing of any other."""
    layers = [kept for name, kept in objects.items() if "conv_clamp" in kept and f"{name}.affine" in objects]
    if not layers:
        return {}
    clamps = {None if layer["conv_clamp"] is None else plain_number(layer["conv_clamp"]) for layer in layers}
    noisy = {layer["use_noise"] is True for layer in layers if "use_noise" in layer}
    if len(clamps) > 1 or len(noisy) > 1:
        raise ValueError(f"its layers differ in {'conv_clamp' if len(clamps) > 1 else 'use_noise'}; that is not read")
    if noisy == {True} and not any(name.endswith(".noise_strength") for name in state):
        raise ValueError("its layers say that they add noise, but have none")
    synthesis = objects.get("synthesis", {})
    given = {**synthesis.get("_init_kwargs", {}), **synthesis}
    wanted = {*layout.get("options", {}).values(), "lrelu_upsampling"} & given.keys() - {"conv_clamp"}
    first = objects.get("synthesis.input", {})
    geometries = [layer for layer in layers if "out_cutoff" in layer]
    bands = [{key: read_geometry(layer[key]) for key in BAND_KEYS & layer.keys()} for layer in geometries]
    return {key: plain_number(given[key]) for key in wanted} | {
        "conv_clamp": clamps.pop(),
        "has_mean": objects.get("mapping", {}).get("w_avg_beta", 0) is not None,
        "input": {key: plain_number(kept) for key, kept in first.items() if key in INPUT_KEYS},
        **({"bands": bands} if bands else {}),
    }


def read_geometry(value: Any) -> Any:
    """A number, or a StyleGAN3 layer's padding [left, right, top, bottom]."""
    return value if isinstance(value, list) and len(value) == 4 else plain_number(value)


def agrees(value: Any, wanted: Any, weight: Tensor | None) -> bool:
    """Whether an attribute is what our code does; it comes from a file, so that it may be of any type."""
    if wanted == "1/sqrt(in)":
        wanted = 1 / math.sqrt(fan_in(weight))
    elif wanted == "sqrt(2)":
        wanted = math.sqrt(2.0)
    if isinstance(wanted, list):
        return isinstance(value, list | tuple) and len(value) == len(wanted) and all(map(agrees, value, wanted, wanted))
    if isinstance(wanted, float):
        return isinstance(value, int | float) and math.isclose(value, wanted, rel_tol=1e-5)
    return type(value) is type(wanted) and value == wanted


def fan_in(weight: Tensor) -> int:
    """Inputs of a layer, from its weight [..., out, in] or [..., out, in, k, k]."""
    return weight.flatten(0, -4)[0].numel() if weight.ndim > 3 else weight.shape[-1]


def shown(value: Any) -> str:
    return repr(value)[:40] if value is None or isinstance(value, str | int | float) else "something else"


def plain_number(value: Any) -> float:
    """A number that NVIDIA's code keeps as such, or as an array of [height, width]."""
    if isinstance(value, Array) and value.claim <= 64:
        value = value.load().tolist()
    if isinstance(value, list) and value and all(type(n) is type(value[0]) and n == value[0] for n in value):
        value = value[0]
    if not isinstance(value, int | float):
        raise ValueError("it has a setting that is not a number")
    return value
