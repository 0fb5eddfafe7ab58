import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import safetensors.torch
import torch

from panda_core.factors import _TENSORS, Ends, Factors
from panda_core.fitting import feature_source
from panda_core.method.parts import combine_parts, fix_signs, scale_parts
from panda_core.method.variations import learn_variations
from tests.helpers import GENERATOR, LOADED, fit_tiny


@pytest.fixture(scope="module")
def factors():
    return fit_tiny(3)


def test_a_file_holds_everything(factors, tmp_path):
    factors = factors.with_info(part_names={0: "hair", 3: "left eye"}, appearance_names={11: "dark"})
    path = factors.path(tmp_path)
    assert str(path.relative_to(tmp_path)) == f"factors/{LOADED.weights}/l3-call-psi1-12x4.safetensors"
    factors.save(path)
    read = Factors.load(path)
    assert read.info == factors.info
    for name in ("appearances", "parts", "mean", "second_moment", "sigma", "suggested"):
        assert torch.equal(getattr(read, name), getattr(factors, name))
    assert (read.part_name(3), read.part_name(1)) == ("left eye", "part 1")


@pytest.fixture(scope="module")
def varied(factors):
    """Factors with two things, variations of one of them and of a part, and names for an end or two."""
    Z = feature_source(GENERATOR, 3, 1.0)(0, 24)
    found = {parts: learn_variations(lambda: [Z], combine_parts(factors.parts, parts), 3) for parts in ((0, 2), (1,))}
    found = {parts: dataclasses.replace(v, units=v.units.half()) for parts, v in found.items()}
    ends = {"0,2": [None, Ends("no hat", "hat", 0.8, (0.9, 0.7)), Ends("frown", "smile", shares=None)]}
    named = factors.with_info(things=((0, 2), (1, 3)), thing_names={"0,2": "hair"}, ends=ends, background=(2, -1))
    return dataclasses.replace(named, variations=found)


def test_a_file_holds_things_and_what_varies_in_them(varied, tmp_path):
    varied.save(tmp_path / "f.safetensors")
    read = Factors.load(tmp_path / "f.safetensors")
    assert read.info == varied.info and set(read.variations) == {(0, 2), (1,)}
    for parts, found in varied.variations.items():
        for name in ("units", "deviations", "centres", "support", "region"):
            assert torch.equal(getattr(read.variations[parts], name), getattr(found, name)), name
    assert (read.thing_of(2), read.thing_of(3)) == ((0, 2), (1, 3))
    assert [read.region_name(parts) for parts in ((2, 0), (1,), (1, 3))] == ["hair", "part 1", "part 1, part 3"]
    assert read.around((2,)) == ((2,), (0, 2)) and read.around((0, 2)) == ((0, 2),)
    assert read.ends((2, 0), 1) == Ends("no hat", "hat", 0.8, (0.9, 0.7))
    assert read.ends((2, 0), 2) == Ends("frown", "smile", shares=None)  # named by eye
    assert read.ends((0, 2), 0) is read.ends((0, 2), 7) is read.ends((1,), 0) is None
    assert read.digest() == varied.digest() != varied.with_info(part_names={0: "hair"}).digest()


def test_a_file_of_format_1_opens_with_every_part_a_thing(factors, tmp_path):
    old = {f.name: getattr(factors.info, f.name) for f in dataclasses.fields(factors.info)}
    for new in ("things", "background", "thing_names", "ends"):
        del old[new]
    tensors = {key: getattr(factors, name).contiguous() for key, name in _TENSORS.items()}
    metadata = {"format": "1", "info": json.dumps(old | {"reach": {"1,2": 7.5}})}
    safetensors.torch.save_file(tensors, tmp_path / "old.safetensors", metadata)
    assert Factors.load(tmp_path / "old.safetensors").things == ((0,), (1,), (2,), (3,))


@pytest.mark.parametrize(
    ("key", "tensor", "message"),
    [
        ("variations.0,2.units", lambda t: t[:, :-1].contiguous(), "variations has shape"),
        ("variations.0,2.units", lambda t: t[:, :, :-1].contiguous(), "variations has shape"),
        ("variations.0,2.units", lambda t: t * torch.inf, "finite"),
        ("variations.0,2.units", lambda t: t.long(), "torch.int64"),
        ("variations.0,2.deviations", lambda t: t[:-1], "deviations has shape"),
        ("variations.0,2.deviations", lambda t: None, "lack a tensor"),
        ("variations.0,9.units", lambda t: torch.zeros(1, 12, 3), "lack a tensor or name a part"),
        ("variations.2,0.centres", lambda t: torch.zeros(3), "lack a tensor"),
        ("variations.x.units", lambda t: torch.zeros(1, 12, 3), "does not hold together"),
        ("variations.units", lambda t: torch.zeros(1, 12, 3), "does not hold together"),
        ("variations.1.other", lambda t: torch.zeros(3), "does not hold together|no variation has"),
    ],
)
def test_damaged_variations_are_refused_in_one_sentence(varied, tmp_path, key, tensor, message):
    path = tmp_path / "f.safetensors"
    varied.save(path)
    with safetensors.safe_open(path, "pt") as file:
        tensors, metadata = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    changed = tensor(tensors.get(key))
    tensors = {k: t for k, t in (tensors | {key: changed}).items() if t is not None}
    safetensors.torch.save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=message):
        Factors.load(path)


@pytest.mark.parametrize("things", [((0, 1),), ((0, 1, 2, 3), (3,)), ((0, 1, 2, 4),)])
def test_things_that_are_not_a_partition_are_refused(factors, things):
    with pytest.raises(ValueError, match="must be in exactly one"):
        factors.with_info(things=things)


def test_factors_fit_the_generator_they_were_learned_from(factors):
    factors.check_fits(LOADED.weights, GENERATOR.layers)


@pytest.mark.parametrize(
    ("weights", "layers", "message"),
    [
        ("f" * 12, GENERATOR.layers, "this generator has weights ffffffffffff"),
        (LOADED.weights, {3: (12, 16, 16)}, r"layer 3 of shape \(12, 8, 8\)"),
        (LOADED.weights, {2: (12, 8, 8)}, "no such layer"),
    ],
)
def test_what_does_not_match_is_said(factors, weights, layers, message):
    with pytest.raises(ValueError, match=message):
        factors.check_fits(weights, layers)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("parts", lambda x: x - 1, "negative"),
        ("parts", lambda x: x[:-1], "P has shape"),
        ("appearances", lambda x: x * torch.nan, "finite"),
        ("sigma", lambda x: x.t(), "sigma has shape"),
        ("suggested", lambda x: x + 100, "suggested"),
        ("mean", lambda x: x[1:], "mean has shape"),
    ],
)
def test_tensors_that_do_not_hold_together_are_refused(factors, field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(factors, **{field: value(getattr(factors, field))})


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_file_that_is_not_ours_is_refused_by_name(content, tmp_path):
    path = tmp_path / "alien.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="alien"):
        Factors.load(path)


def test_a_newer_file_is_refused(factors, tmp_path, monkeypatch):
    monkeypatch.setattr("panda_core.factors.FORMAT", 3)
    factors.save(tmp_path / "new.safetensors")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 3"):
        Factors.load(tmp_path / "new.safetensors")


@pytest.mark.parametrize("seed", range(5))
def test_scaled_parts_reach_from_0_to_1(seed):
    P = torch.rand(64, 6, generator=torch.Generator().manual_seed(seed)) + 3
    scaled = scale_parts(P)
    assert torch.equal(scaled.amin(dim=0), torch.zeros(6))
    assert torch.equal(scaled.amax(dim=0), torch.ones(6))


def test_a_constant_part_scales_to_0():
    assert torch.equal(scale_parts(torch.full((9, 1), 2.0)), torch.zeros(9, 1))


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_rule_undoes_any_flip(seed):
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(20, 7, generator=g)
    flips = torch.where(torch.rand(7, generator=g) < 0.5, -1.0, 1.0)
    assert torch.equal(fix_signs(A), fix_signs(A * flips))


def test_units_are_standard_deviations_of_the_data(factors):
    """Strength 1 at a part moves a_jᵀZp̂ by one σ over samples; elsewhere a_jᵀz by one σ over all positions."""
    latents = GENERATOR.sample([2**31 + i for i in range(32)], 1.0)
    Z = GENERATOR.head(latents, 3).features.flatten(2).double()
    for j, k in ((0, 0), (5, 3), (11, 1)):
        a, p = factors.appearances[:, j].double(), factors.scaled_parts[:, k].double()
        moved = factors.alpha_at_part(j, k) * (p @ p)
        # the features are kept in half precision between the passes
        assert float(moved) == pytest.approx(float(torch.einsum("c,ncs,s->n", a, Z, p).std(correction=0)), rel=1e-3)
        everywhere = torch.einsum("c,ncs->ns", a, Z)
        assert factors.alpha_anywhere(j) == pytest.approx(float(everywhere.std(correction=0)), rel=1e-4)
        assert factors.threshold(j) == pytest.approx(float(everywhere.mean()), rel=1e-4, abs=1e-5)


def rewritten(factors, path, info=None, **tensors):
    """The file of these factors with other tensors or metadata in it, as a stranger could make it."""
    held = {key: getattr(factors, name).contiguous() for key, name in _TENSORS.items()}
    metadata = {"format": "1", "info": json.dumps(dataclasses.asdict(factors.info) | (info or {}))}
    safetensors.torch.save_file(held | tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    "info",
    [
        {"layer": True},
        {"energy": "all of it"},
        {"energy": float("nan")},
        {"solver": 7},
        {"samples": -1},
        {"is_raw": 1},
        {"class_index": "cat"},
        {"reach": {"0,0": float("inf")}},
        {"part_names": ["hair"]},
        {"stability": [None]},
        {"colour": "red"},
    ],
)
def test_metadata_of_another_kind_are_refused(factors, tmp_path, info):
    with pytest.raises(ValueError, match=r"odd\.safetensors does not hold together"):
        Factors.load(rewritten(factors, tmp_path / "odd.safetensors", info))


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("A", lambda t: t.long()),
        ("P", lambda t: t > 0),
        ("suggested", lambda t: t.float()),
        ("mean", lambda t: t[None]),
    ],
)
def test_tensors_of_another_kind_are_refused(factors, tmp_path, key, change):
    tensor = change(getattr(factors, _TENSORS[key])).contiguous()
    with pytest.raises(ValueError, match="does not hold together"):
        Factors.load(rewritten(factors, tmp_path / "odd.safetensors", **{key: tensor}))


def test_half_precision_is_read_as_float32(factors, tmp_path):
    read = Factors.load(rewritten(factors, tmp_path / "half.safetensors", P=factors.parts.half()))
    assert read.parts.dtype == torch.float32


def test_names_are_one_line_of_plain_text(factors, tmp_path):
    odd = {"part_names": {"1": "left\neye\u202e\x00 " + "x" * 200}}
    name = Factors.load(rewritten(factors, tmp_path / "names.safetensors", odd)).part_name(1)
    assert name.startswith("left eye x") and name.isprintable() and len(name) <= 80


def test_a_name_is_given_changed_and_taken_away(factors):
    one = factors.rename("part", 2, "  left   eye ")
    assert (one.part_name(2), factors.part_name(2)) == ("left eye", "part 2")
    assert one.rename("appearance", 0, "dark").info.appearance_names == {0: "dark"}
    assert one.rename("part", 2, "").info == factors.info
    for wrong in ("x" * 41, "a\x07b", "a\u202eb"):
        with pytest.raises(ValueError, match="plain text of at most 40"):
            factors.rename("part", 0, wrong)


def test_the_digest_is_of_everything(factors):
    other = [
        factors.rename("part", 0, "hair"),
        dataclasses.replace(factors, sigma=factors.sigma * 2),
        dataclasses.replace(factors, parts=factors.parts.flip(1)),
    ]
    assert len({factors.digest(), *(f.digest() for f in other)}) == 4
    assert dataclasses.replace(factors, parts=factors.parts.clone()).digest() == factors.digest()


def test_who_saves_the_same_factors_at_once_never_leaves_half_of_them(factors, tmp_path):
    path = tmp_path / "a.safetensors"
    factors.save(path)

    def save_and_read(_) -> bool:
        factors.save(path)
        return Factors.load(path).info == factors.info

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(save_and_read, range(80)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_same_factors_are_the_same_file(factors, tmp_path):
    paths = [tmp_path / f"{i}.safetensors" for i in range(8)]  # the library alone writes one of two, each as often
    for path in paths:
        factors.save(path)
    assert len({path.read_bytes() for path in paths}) == 1
