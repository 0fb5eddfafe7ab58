"""Checkpoints in the states that people have them in: each makes the official picture, or its refusal says why.

checkpoints_met/ holds small random networks in formats that public bug reports tell of (of pickles, the source text is
taken out), and expected.safetensors what the published implementations made of each: z, psi, c, image.
"""

import pickle
import sys
import types
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from panda_core.checkpoints import convert, load_generator
from panda_core.checkpoints.layouts import LAYOUTS
from panda_core.checkpoints.objects import BAND_KEYS, INPUT_KEYS
from panda_core.checkpoints.storages import KNOWN, LazyTensor, read_zip
from panda_core.checkpoints.unpickler import Array, Inert, read_pickle
from panda_core.generators.split import Latents, weights_hash

MET = Path(__file__).parent / "checkpoints_met"
EXPECTED = load_file(MET / "expected.safetensors")
REFUSED = {  # file -> what its refusal says
    "ada_arch_resnet.pkl": "architecture 'orig' or 'resnet'; only 'skip'",
    "ada_other_filter.pkl": r"resample_filter is not what it is in all published networks",
    "ajbrock_G_ema.pth": "is a BigGAN or another generator of ajbrock's or StudioGAN's code.*BigGAN-deep",
    "diffusion.bin": "part of a diffusion model",
    "eg3d_like.pkl": "is an EG3D generator",
    "empty.pt": "it is empty.*get it again",
    "exported_ada_conditional.pt": r"style.1.weight is \(16, 32\), not square.*embedding.*use the file that it was",
    "fastgan.pth": "is a FastGAN",
    "gdrive_page.pkl": "web page.*download the file itself",
    "gf_pggan_lod.pth": r"middle of its growth \(lod is 0.5, not 0\).*fully grown",
    "gf_pggan_lod1.pth": r"middle of its growth \(lod is 1, not 0\).*fully grown",
    "gf_pggan_no_lod.pth": "if it is fully grown, add its lod",
    "human_64x32.pkl": "not square but 2:1",
    "latent_tensor.pt": "holds a tensor, and none",
    "latents_list.pt": "holds a list",
    "lernapparat_stylegan1.pt": "StyleGAN1 under other names than genforce's",
    "lfs_pointer.pkl": "git lfs pull",
    "model.onnx": "ONNX",
    "numpy.npz": "NumPy",
    "projected_fastgan.pkl": "is a FastGAN, Projected GAN's generator",
    "ros_from_conditional_ada.pt": "not square",
    "ros_swagan.pt": "SWAGAN",
    "rosinality_stylegan1.model": "StyleGAN1 under other names than genforce's",
    "sefa_factor.pt": "it holds 'ckpt', 'eigvec', and none",
    "sg3_res48.pkl": "resolution is 48; it must be a power of two",
    "studiogan.pth": "StudioGAN",
    "tf1.ckpt.index": "TensorFlow.*legacy.py",
    "tf_py2_text.pkl": "TensorFlow.*legacy.py",
    "tf_stylegan2.pkl": "TensorFlow.*legacy.py",
    "torchscript.pt": r"TorchScript.*state_dict\(\)",
    "truncated.pt": "cut short, so get it again",
    "zipped_pkl.zip": "network-snapshot-000200.pkl.*unpack it first",
}
NOISELESS = "ros_no_noises.pt"  # its noise is not in the file: no picture is the official one
FILES = sorted(str(p.relative_to(MET)) for p in MET.rglob("*") if p.is_file() and not p.name.endswith("config.json"))
LOADED = [file for file in FILES if file not in REFUSED and file not in ("expected.safetensors", NOISELESS)]


def expected(file):
    stem = file.split("/")[0].split(".")[0] if not file.startswith("ada_mapping") else "ada_mapping_lr_0.1"
    given = Latents(EXPECTED[f"{stem}.z"], float(EXPECTED[f"{stem}.psi"]), EXPECTED.get(f"{stem}.c"))
    return given, EXPECTED[f"{stem}.image"]


def is_official(generator, file):
    latents, image = expected(file)
    with torch.inference_mode():
        made = generator(latents)
    return made.shape == image.shape and (made - image).abs().max() <= 2e-4 * max(1.0, image.std())


def refusal(path):
    with pytest.raises(ValueError, match="cannot be loaded") as error:
        load_generator(path)
    text = str(error.value)
    assert text.startswith(path.name) and text.endswith(".") and "\n" not in text and len(text) < 800, text
    return text


@pytest.mark.parametrize("file", LOADED)
def test_a_file_as_people_have_it_makes_the_official_picture(file):
    assert is_official(load_generator(MET / file), file)


@pytest.mark.parametrize("file", REFUSED)
def test_a_file_that_is_not_read_is_refused_with_the_true_reason(file):
    with pytest.raises(ValueError, match=f"(?s){REFUSED[file]}"):
        refusal_text = refusal(MET / file)
        raise ValueError(refusal_text)


def test_noise_that_a_file_lacks_is_the_same_at_every_load():
    one, other = load_generator(MET / NOISELESS), load_generator(MET / NOISELESS)
    assert weights_hash(one) == weights_hash(other)
    assert all(conv.noise.std() > 0.5 for conv in one.convs)


# ---- wrappers, prefixes and neighbours, by rule

WHOLE = "ros_converted.pt"
STATE = torch.load(MET / WHOLE, weights_only=True)
TABLE, MEAN = STATE["g_ema"], STATE["latent_avg"]


def prefixed(prefix, state=TABLE):
    return {prefix + name: tensor for name, tensor in state.items()}


class Settings(dict):
    pass


PREFIXES = (
    "module.",
    "_orig_mod.",
    "decoder.",
    "generator.",
    "g_ema.",
    "G_ema.",
    "g_ema.module.",
    "model.netG.module.",
)
KEYS = ("state_dict", "params_ema", "ema", "model", "generator_ema", "netG")
WRAPPED = {
    **{f"prefix {p}": prefixed(p) for p in PREFIXES},
    **{f"under {key}": {key: TABLE} for key in KEYS},
    "nested": {"state_dict": {"models": {"generator": prefixed("module.")}}},
    "an average beside what it averages": {"state_dict": prefixed("generator.", {k: 2 * t for k, t in TABLE.items()})
                                           | prefixed("generator_ema.") | {"discriminator.c.weight": torch.zeros(3)}},
    "a counter": {"g_ema": {**TABLE, "norm.num_batches_tracked": torch.tensor(3)}},
    "an averaged model": prefixed("module.") | {"n_averaged": torch.tensor(5)},
    "parameters": {"g_ema": {k: torch.nn.Parameter(t) for k, t in TABLE.items()}},
    "a table of a class of its own": Settings(g_ema=Settings(TABLE)),
    "a repeated mean": {"g_ema": TABLE, "latent_avg": MEAN.repeat(8, 1)},
    "a mean in numpy": {"g_ema": TABLE, "latent_avg": MEAN.numpy()},
    "a repeated mean in numpy": {"g_ema": TABLE, "latent_avg": MEAN.numpy()[None].repeat(8, 0)},
    "neighbours": {"g_ema": TABLE, "path": Path("x"), "device": torch.device("cuda:1"), "dtype": torch.float16,
                   "settings": types.SimpleNamespace(a=1), "score": np.float64(3), "set": {1, 2}, "pair": {(1, 2): 3},
                   "objects": np.array([None, {}], dtype=object), "complex": torch.zeros(2, dtype=torch.complex64)},
}  # fmt: skip


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("save", ["zip", "legacy", "pickle"])
def test_a_generator_is_found_under_any_wrapper_and_what_is_beside_it_is_not_read(kind, save, tmp_path):
    value = {"latent_avg": MEAN, **WRAPPED[kind]}
    if save == "pickle":
        (tmp_path / "g").write_bytes(pickle.dumps(value))
    else:
        torch.save(value, tmp_path / "g", _use_new_zipfile_serialization=save == "zip")
    assert weights_hash(load_generator(tmp_path / "g")) == weights_hash(load_generator(MET / WHOLE))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_foreign_safetensors_are_read_by_their_names(prefix, tmp_path):
    save_file(prefixed(prefix) | {"latent_avg": MEAN}, tmp_path / "g.safetensors", {"format": "pt"})
    assert is_official(load_generator(tmp_path / "g.safetensors"), WHOLE)


def nest(value, depth):
    for _ in range(depth):
        value = {"state_dict": value}
    return value


def refers_to_itself():
    table = {"g_ema": TABLE}
    table["model"] = table
    return table


NESTED = "nested in a way that no checkpoint's are"
NOT_ONE = {
    "two tables that fit": ({"a": TABLE, "b": {"c": TABLE}}, "it holds 2 generators, 'a', 'b.c'; save the one"),
    "two averages": ({"g_ema": TABLE, "ema": TABLE}, "it holds 2 generators, 'g_ema', 'ema'"),
    "a wrapper in a wrapper, a thousand deep": (nest(TABLE, 300), NESTED),
    "a wrapper in itself": (refers_to_itself(), NESTED),
    "another mean for each layer": ({"g_ema": TABLE, "latent_avg": torch.randn(8, 16)}, "another one for every"),
    "a mean that is no tensor": ({"g_ema": TABLE, "latent_avg": [1, 2]}, "latent_avg is not a tensor"),
    "names of nothing known": ({"a": {"x.weight": MEAN}, "b": 1}, "it holds 'a', 'b', and none of the generators"),
    "some noise lost": ({"g_ema": {k: t for k, t in TABLE.items() if k != "noises.noise_3"}}, "lacks 1 tensors"),
    "some strengths lost": (
        {"g_ema": {k: t for k, t in TABLE.items() if k != "convs.1.noise.weight" and "noises" not in k}},
        "lacks 8 tensors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_ONE)
def test_a_file_that_holds_not_one_sound_generator_is_refused(case, tmp_path):
    value, sentence = NOT_ONE[case]
    torch.save(value, tmp_path / "g.pt")
    assert sentence in refusal(tmp_path / "g.pt")


def test_a_wrapper_in_a_wrapper_a_hundred_thousand_deep_costs_nothing(tmp_path):
    pickled = b"\x80\x04" + b"}X\x01\x00\x00\x00a" * 100_000 + b"N" + b"s" * 100_000 + b"."
    (tmp_path / "g.pkl").write_bytes(pickled)
    assert "nested in a way" in refusal(tmp_path / "g.pkl")


# ---- what network objects say of their own arithmetic


class Network:
    """Pickles as one of NVIDIA's network objects."""

    def __init__(self, state):
        self.meta = {"type": "class", "version": 6, "module_src": "#", "class_name": "Network", "state": state}

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


def again(value):
    """What a pickle held, so that it can be changed and pickled once more."""
    if isinstance(value, Inert) and value.state is not None:
        return Network({name: again(kept) for name, kept in value.state.items()})
    if isinstance(value, LazyTensor | Array):
        loaded = value.load()
        return loaded.clone() if isinstance(value, LazyTensor) else loaded.numpy()
    if isinstance(value, dict):
        return {name: again(kept) for name, kept in value.items()}
    return type(value)(map(again, value)) if isinstance(value, list | tuple) else value


def opened(file):
    if not file.endswith(".pkl"):
        with (MET / file).open("rb") as stream:
            return again(read_zip(stream, 2**30))
    return again(read_pickle(BytesIO((MET / file).read_bytes()), KNOWN)["G_ema"])


def walk(network, name=""):
    """(name, state) of a network and of all in it."""
    yield name, network.meta["state"]
    for child, module in network.meta["state"]["_modules"].items():
        yield from walk(module, f"{name}.{child}".strip("."))


@pytest.fixture
def repickle(tmp_path, monkeypatch):
    """repickle(network) -> the path of a pickle of it."""
    module = types.ModuleType("torch_utils.persistence")
    exec("def _reconstruct_persistent_obj(meta): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)

    def write(value):
        (tmp_path / "g.pkl").write_bytes(pickle.dumps(value))
        return tmp_path / "g.pkl"

    return write


OBJECTS = {
    "stylegan2-nvidia": ["ada_conditional.pkl", "sg3repo_stylegan2.pkl"],
    "stylegan3-nvidia": ["sg3_t.pkl", "sg3_map8.pkl"],
    "stylegan2-rosinality": ["ros_whole_module.pt"],
}
ROWS = [(file, row) for layout, files in OBJECTS.items() for file in files for row in LAYOUTS[layout]["attributes"]]
GAINS = [(file, row) for layout, files in OBJECTS.items() for file in files for row in LAYOUTS[layout]["gains"]]


def other(value):
    match value:
        case bool():
            return not value
        case str() | None:
            return "relu"
        case int() | float():
            return value * 3
    return (7, 7)


def names_of(cases):
    return [f"{file} {row[0].pattern} {row[1]}" for file, row in cases]


@pytest.mark.parametrize("wrap", [lambda g: g, lambda g: {"G_ema": g, "D": None}, lambda g: {"G": g}])
@pytest.mark.parametrize("file", [file for files in OBJECTS.values() for file in files])
def test_a_network_object_is_read_bare_or_in_a_table(file, wrap, repickle):
    assert is_official(load_generator(repickle(wrap(opened(file)))), file)


@pytest.mark.parametrize(("file", "row"), ROWS, ids=names_of(ROWS))
def test_an_attribute_that_is_not_what_our_code_does_is_refused(file, row, repickle):
    pattern, attribute, _ = row
    network = opened(file)
    found = [(name, state) for name, state in walk(network) if pattern.fullmatch(name) and attribute in state]
    if not found:
        assert "embed" in pattern.pattern  # a network without classes
        return
    name, state = found[-1]
    state[attribute] = other(state[attribute])
    assert f"its {name} has {attribute} = " in refusal(repickle(network))


@pytest.mark.parametrize(("file", "row"), GAINS, ids=names_of(GAINS))
def test_another_gain_is_worked_into_the_tensors(file, row, repickle):
    pattern, weight_gain, bias_gain, _ = row
    network = opened(file)
    for name, state in walk(network):
        if pattern.fullmatch(name) and "weight" in state["_parameters"] and weight_gain in state:
            for entry, gain in (("weight", weight_gain), ("bias", bias_gain)):
                if gain:
                    state[gain] = state[gain] * 4
                    state["_parameters"][entry] = state["_parameters"][entry] / 4
    assert is_official(load_generator(repickle(network)), file)


@pytest.mark.parametrize("file", OBJECTS["stylegan3-nvidia"])
@pytest.mark.parametrize("key", sorted(BAND_KEYS | INPUT_KEYS))
def test_a_stylegan3_of_another_geometry_than_its_settings_is_refused(file, key, repickle):
    network = opened(file)
    state = [state for name, state in walk(network) if key in state and name != "synthesis.input"][2:3]
    (state,) = state or [dict(walk(network))["synthesis.input"]]
    match state[key]:
        case bool():
            state[key] = not state[key]
        case [low, *others]:
            state[key] = [low + 1, *others]
        case number:
            state[key] = number * 2
    assert "geometry" in refusal(repickle(network))


@pytest.mark.parametrize("file", OBJECTS["stylegan2-nvidia"])
def test_layers_that_differ_in_what_all_share_are_refused(file, repickle):
    for key, value in (("conv_clamp", 17.0), ("use_noise", False)):
        network = opened(file)
        next(state for _, state in walk(network) if key in state)[key] = value
        assert f"differ in {key}" in refusal(repickle(network))


@pytest.mark.parametrize("file", ["ada_conditional.pkl", "sg3_t.pkl"])
def test_a_mean_that_was_never_kept_is_measured(file, repickle):
    network = opened(file)
    mapping = dict(walk(network))["mapping"]
    true_mean = mapping["_buffers"].pop("w_avg")
    mapping["w_avg_beta"] = None
    generator = load_generator(repickle(network))
    classes = torch.eye(generator.n_classes).repeat(1000, 1) if generator.n_classes else None
    z = torch.randn(5000, generator.z_dim, generator=torch.Generator().manual_seed(1))
    mean = generator.mapping(z, classes).mean(0)
    assert (generator.w_avg - mean).abs().max() < 0.1 * mean.abs().max()
    assert generator.w_avg.shape == true_mean.shape


def state_dict(network):
    return {f"{name}.{key}".strip("."): tensor for name, state in walk(network) for kind in ("_parameters", "_buffers")
            for key, tensor in state[kind].items() if tensor is not None}  # fmt: skip


@pytest.mark.parametrize("file", ["ada_conditional.pkl", "sg3_t.pkl", "ada_no_noise.pkl"])
def test_a_state_dict_under_nvidias_names_counts_as_published(file, tmp_path):
    torch.save(state_dict(opened(file)), tmp_path / "g.pt")
    assert is_official(load_generator(tmp_path / "g.pt"), file)


@pytest.mark.parametrize(("file", "sentence"), [("sg3_margin4.pkl", "geometry"), ("sg3_14layers_64.pkl", None)])
def test_a_stylegan3_state_dict_of_other_settings_shows_it(file, sentence, tmp_path):
    torch.save(state_dict(opened(file)), tmp_path / "g.pt")
    if sentence is None:
        assert is_official(load_generator(tmp_path / "g.pt"), file)
    else:
        assert sentence in refusal(tmp_path / "g.pt")


def test_a_stylegan3_state_dict_of_another_cutoff_is_refused(tmp_path):
    state = state_dict(opened("sg3_t.pkl"))
    name = next(name for name in state if name.endswith("up_filter"))
    torch.save(state | {name: state[name].roll(1)}, tmp_path / "g.pt")
    assert "other settings than the published ones" in refusal(tmp_path / "g.pt")


def test_a_whole_network_of_a_layout_whose_arithmetic_is_not_known_says_how_to_save_it(repickle):
    state = torch.load(MET / "gf_pggan.pth", weights_only=True)["generator_smooth"]
    network = Network({"_modules": {}, "_parameters": dict(state), "_buffers": {}})
    assert "torch.save(network.state_dict(), file)" in refusal(repickle(network))


# ---- beside the file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "config.json beside it is not JSON"),
        ("3", "no table of settings"),
        ('{"layers": []}', "says nothing of attention_layer_position"),
    ],
)
def test_a_config_json_that_is_none_is_named(text, sentence, tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes((MET / "bg_hub" / "pytorch_model.bin").read_bytes())
    (tmp_path / "config.json").write_text(text)
    assert sentence in refusal(tmp_path / "pytorch_model.bin")


def test_converting_into_a_folder_asks_for_a_name_and_what_is_written_has_the_mode_of_new_files(tmp_path):
    with pytest.raises(ValueError, match="is a folder; name the file to write"):
        convert(MET / WHOLE, tmp_path)
    convert(MET / WHOLE, tmp_path / "g.safetensors")
    (tmp_path / "new").touch()
    assert (tmp_path / "g.safetensors").stat().st_mode == (tmp_path / "new").stat().st_mode
