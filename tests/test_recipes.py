import base64
import copy
import json
import random
import re
import zlib
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from panda_core.links import MAX_LINK, decode_link, encode_link
from panda_core.ops import OPS, Edit
from panda_core.origin import Origin
from panda_core.recipes import MAX_JSON, Recipe, parse_recipe
from panda_core.regions import Mask, Region

sides = st.integers(1, 24)


@st.composite
def masks(draw):
    height, width = draw(sides), draw(sides)
    cells = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    return Mask.from_tensor(torch.tensor(cells).reshape(height, width).float())


numbers = st.integers(0, 65_535)
parts = st.lists(numbers, min_size=1, max_size=6, unique=True).map(tuple)
regions = st.one_of(
    st.just(Region(all=True)),
    st.builds(Region, mask=masks()),
    st.builds(Region, parts, st.sampled_from(["none", "dense"]), st.just(32), st.none() | masks()),
    st.builds(Region, parts, st.just("graph"), st.integers(1, 65_535), st.none() | masks()),
)
ids = st.sampled_from(
    [
        "bundled:l5-call-psi0.8-512x8",
        "hub:owner/name@main/factors/a.safetensors",
        "fit:5,512,8,1000,0,0.8,all",
        "fit:7,32,16,auto,3,1,207",
    ]
)
sizes = st.one_of(
    st.tuples(st.floats(-100, 100), st.none()),
    st.tuples(st.none(), st.floats(-1e6, 1e6)),
)


origins = st.builds(
    Origin,
    st.sampled_from(["portraits", "stylegan2-ffhq-256"]),
    st.none() | st.just("0123456789ab"),
    st.none() | st.integers(0, 999),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
) | st.builds(Origin, st.just("portraits"), psi=st.floats(0, 1), source=st.just("0123456789abcdef" * 2))


@st.composite
def edits(draw):
    op = draw(st.sampled_from(list(OPS)))
    head, on = (op, draw(st.integers(0, 99)), draw(ids), draw(regions)), draw(st.booleans())
    if op in ("add", "rewrite"):
        strength, alpha = draw(sizes)
        source, target = draw(st.lists(numbers, min_size=2, max_size=2, unique=True))
        more = {"appearance": source} if op == "add" else {"source": source, "target": target}
        return Edit(*head, **more, strength=strength, alpha=alpha, on=on)
    if op == "vary":
        head = (*head[:3], replace(head[3], refine="none", k=32))
        return Edit(*head, variation=draw(numbers), strength=draw(st.floats(-100, 100)), on=on)
    if op == "transfer":
        other = {"seed": draw(st.integers(0, 2**32 - 1))} if draw(st.booleans()) else {"picture": draw(origins)}
        return Edit(*head, **other, share=draw(st.floats(0, 1)), on=on)
    return Edit(*head, strength=draw(st.floats(0, 10)), on=on)


recipes = st.builds(
    Recipe,
    st.sampled_from(["portraits", "stylegan2-ffhq-256"]),
    st.none() | st.just("0123456789ab"),
    st.none() | st.integers(0, 999),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.lists(edits(), max_size=4).map(tuple),
)


@given(recipes)
@settings(max_examples=150, deadline=None)
def test_a_recipe_survives_json(recipe):
    assert parse_recipe(recipe.to_json()) == recipe
    assert parse_recipe(recipe.to_json().encode()) == recipe
    assert parse_recipe(recipe.to_dict()) == recipe


@given(recipes)
@settings(max_examples=150, deadline=None)
def test_a_recipe_survives_a_link(recipe):
    link = encode_link(recipe)
    assert re.fullmatch(r"[\w-]+", link)
    assert decode_link(link) == recipe


@given(masks())
@settings(max_examples=100, deadline=None)
def test_a_mask_survives_its_run_lengths(mask):
    assert Mask.from_tensor(mask.tensor()) == mask


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_uniform_mask_survives(value):
    mask = torch.full((5, 7), value)
    assert torch.equal(Mask.from_tensor(mask).tensor(), mask)


def test_an_everyday_link_is_short():
    edit = Edit("add", 5, "bundled:l5-call-psi0.8-512x8", Region((3,)), appearance=17, strength=2.5)
    assert len(encode_link(Recipe(weights="0123456789ab", seed=1234567, edits=(edit, edit)))) < 120


def test_a_link_of_version_1_opens_as_before():
    link = (
        "1Izq4IWGMJcANLfCEOMn-MjSyqDA0w-oxS3SPGVoi-8wUa8BiRLkxNkdUoFgIT7JI0WmMiE4THVhSNtQzhViZlphTDApNAA"  # of 7cfadf8
    )
    first = Edit("add", 5, "bundled:l5-call-psi0.8-128x16", Region((9,)), appearance=19, strength=5.0)
    second = Edit("rewrite", 3, "bundled:x", Region(all=True), source=3, target=4, alpha=1.5, on=False)
    assert decode_link(link) == Recipe("portraits", seed=18, psi=0.8, edits=(first, second))


@pytest.mark.parametrize("op", OPS)
def test_every_op_has_its_slider_within_its_bounds_and_words(op):
    low, high, step, start = OPS[op].slider
    read = next(iter(OPS[op].sizes.values()))
    assert low <= start <= high and step > 0
    assert [read("size", value) for value in (low, high, start)] == [low, high, start]


EDIT = {"op": "add", "layer": 5, "factors": "bundled:x", "region": {"parts": [1]}, "appearance": 7, "strength": 2.0}
RECIPE = {"v": 1, "generator": "portraits", "weights": None, "class": None, "seed": 0, "psi": 0.8, "edits": [EDIT]}
MASK = {"size": [2, 3], "rle": "1,5"}


def changed(path, value):
    out = copy.deepcopy(RECIPE)
    place = out
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return out


def without(*path):
    out = copy.deepcopy(RECIPE)
    place = out
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return out


E0 = ("edits", 0)
REFUSED = [
    (changed(("v",), 3), "version 3"),
    (changed(("v",), "1"), "v is '1'"),
    (changed(("v",), True), "v is true"),
    (changed(("seeds",), 1), "'seeds'"),
    (without("generator"), "lacks generator"),
    (without("v"), "lacks v"),
    (changed(("generator",), "../../etc/passwd"), "generator is"),
    (changed(("generator",), ["portraits"]), "a list of 1"),
    (changed(("generator",), "x" * 10**7), "generator is 'xxx"),
    (changed(("weights",), "0123"), "weights is '0123'"),
    (changed(("weights",), 5), "weights is 5"),
    (changed(("class",), -1), "class is -1"),
    (changed(("class",), "cat"), "class is 'cat'"),
    (changed(("seed",), -1), "seed is -1"),
    (changed(("seed",), 2**32), "seed is 4294967296"),
    (changed(("seed",), 1.0), "seed is 1.0"),
    (changed(("seed",), True), "seed is true"),
    (changed(("seed",), 10**400), "seed is a huge number"),
    (changed(("seed",), None), "seed is null"),
    (changed(("psi",), float("nan")), "psi is nan"),
    (changed(("psi",), float("inf")), "psi is inf"),
    (changed(("psi",), 10**400), "psi is a huge number"),
    (changed(("psi",), "0.8"), "psi is '0.8'"),
    (changed(("psi",), False), "psi is false"),
    (changed(("edits",), {}), "edits is an object of 0"),
    (changed(("edits",), [EDIT] * 65), "a list of 65"),
    (changed(("edits",), [None]), "edit 1 is null"),
    (changed((*E0, "op"), "delete"), "op of edit 1 is 'delete'"),
    (changed((*E0, "op"), ["add"]), "op of edit 1"),
    (changed((*E0, "source"), 1), "'source'"),
    (changed((*E0, "layer"), 5.5), "layer of edit 1 is 5.5"),
    (changed((*E0, "factors"), "file:///etc/passwd"), "factors of edit 1"),
    (changed((*E0, "factors"), "bundled:../../secret"), "factors of edit 1"),
    (changed((*E0, "factors"), "local:../0123456789ab"), "factors of edit 1"),
    (changed((*E0, "factors"), "fit:5,512,8,1000,0,0.8"), "factors of edit 1"),
    (changed((*E0, "factors"), None), "factors of edit 1 is null"),
    (changed((*E0, "appearance"), -1), "appearance of edit 1 is -1"),
    (changed((*E0, "appearance"), float("nan")), "appearance of edit 1 is nan"),
    (changed((*E0, "strength"), float("-inf")), "strength of edit 1 is -inf"),
    (changed((*E0, "strength"), 1e300), "strength of edit 1 is 1e\\+300"),
    (changed((*E0, "strength"), [2]), "strength of edit 1 is a list of 1"),
    (changed((*E0, "alpha"), 1.0), "edit 1 has both"),
    (without(*E0, "strength"), "edit 1 has neither"),
    (without(*E0, "appearance"), "lacks appearance"),
    (changed((*E0, "on"), 1), "on of edit 1 is 1"),
    (changed((*E0, "region"), {}), "an object of 0; it must name one"),
    (changed((*E0, "region"), "all"), "region of edit 1 is 'all'"),
    (changed((*E0, "region"), {"all": True, "parts": [1]}), "must name one of"),
    (changed((*E0, "region"), {"all": 1}), "all in region of edit 1 is 1"),
    (changed((*E0, "region"), {"all": True, "k": 3}), "'k'"),
    (changed((*E0, "region"), {"parts": []}), "a list of 0"),
    (changed((*E0, "region"), {"parts": [1, 1]}), "each part once"),
    (changed((*E0, "region"), {"parts": [True]}), "a part in region of edit 1 is true"),
    (changed((*E0, "region"), {"parts": [1], "refine": "sparse"}), "'sparse'"),
    (changed((*E0, "region"), {"parts": [1], "k": 0}), "k in region of edit 1 is 0"),
    (changed((*E0, "region"), {"mask": None}), "mask in region of edit 1 is null"),
    (changed((*E0, "region"), {"mask": MASK | {"size": [2]}}), "size of mask"),
    (changed((*E0, "region"), {"mask": MASK | {"size": [2, 10**9]}}), "size of mask"),
    (changed((*E0, "region"), {"mask": MASK | {"size": [2, 4]}}), "covers 6 cells; a 2 x 4 mask has 8"),
    (changed((*E0, "region"), {"mask": MASK | {"rle": "1,,5"}}), "run lengths"),
    (changed((*E0, "region"), {"mask": MASK | {"rle": "-1,7"}}), "run lengths"),
    (changed((*E0, "region"), {"mask": MASK | {"rle": "٣,3"}}), "run lengths"),
    (changed((*E0, "region"), {"mask": MASK | {"rle": "0," * 10**6 + "6"}}), "run lengths"),
    (changed((*E0, "region"), {"parts": [1], "keep": MASK | {"x": 1}}), "'x'"),
    (None, "the recipe is null"),
    ([RECIPE], "the recipe is a list"),
]


def new(op, **more):
    """A recipe of version 2 with one edit of a new op."""
    region = more.pop("region", {"parts": [1]})
    return RECIPE | {"v": 2, "edits": [{"op": op, "layer": 5, "factors": "bundled:x", "region": region} | more]}


OTHER = {"generator": "portraits", "seed": 3}
REFUSED += [
    (new("vary", variation=0, strength=1.0) | {"v": 1}, "op of edit 1 is 'vary'; it must be 'add' or 'rewrite'"),
    (new("vary", strength=1.0), "lacks variation"),
    (new("vary", variation=-1, strength=1.0), "variation of edit 1 is -1"),
    (new("vary", variation=0), "edit 1 has neither; it takes strength"),
    (new("vary", variation=0, alpha=1.0), "'alpha'"),
    (new("vary", variation=0, strength=1e3), "strength of edit 1 is 1000"),
    (new("vary", variation=0, strength=1, region={"parts": [1], "refine": "dense"}), "edit 1 varies refined parts"),
    (new("transfer", share=1.0), "edit 1 has neither; it takes seed or picture"),
    (new("transfer", share=1.0, seed=1, picture=OTHER), "edit 1 has both; it takes seed or picture"),
    (new("transfer", share=1.5, seed=1), "share of edit 1 is 1.5"),
    (new("transfer", share=1.0, seed=2**32), "seed of edit 1 is 4294967296"),
    (new("transfer", share=1.0, picture=OTHER | {"seed": -1}), "seed of picture of edit 1 is -1"),
    (new("transfer", share=1.0, picture=OTHER | {"edits": []}), "picture of edit 1 has a field 'edits'"),
    (new("transfer", share=1.0, picture={"seed": 1}), "picture of edit 1 lacks generator"),
    (RECIPE | {"source": "0" * 32}, "has a seed and a source"),
    (changed(("source",), "0" * 31), "source is '000"),
    (new("remove", strength=-1.0), "strength of edit 1 is -1"),
    (new("remove", strength=1.0, appearance=3), "'appearance'"),
]


@pytest.mark.parametrize(("recipe", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_refused_in_one_short_sentence(recipe, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_recipe(recipe)
    text = str(caught.value)
    assert len(text) < 300
    assert "\n" not in text and text.endswith(".")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 10**7, "10000000 characters"),
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8|not JSON"),
        ("[" * 60_000, "nested too deeply"),
        ('{"v":' * 10_000, "nested too deeply"),
        ('{"v":1,"generator":"portraits","psi":NaN}', "NaN"),
        ('{"v":1,"generator":"portraits","psi":-Infinity}', "-Infinity"),
        ('{"v":1,"generator":"portraits","psi":1e999}', "psi is inf"),
        ('{"v":1,"v":1,"generator":"portraits"}', "twice"),
        ('{"v":1,"generator":"portraits","seed":' + "9" * 5000 + "}", "5000 digits"),
        ("null", "the recipe is null"),
        ('"portraits"', "the recipe is 'portraits'"),
    ],
)
def test_text_that_is_no_recipe_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_recipe(text)
    assert len(str(caught.value)) < 300


def bomb() -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(b'{"v":1,"generator":"' + b"a" * 10**6) + packer.flush()
    return "1" + base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("", "0 characters"),
        ("1" * (MAX_LINK + 1), f"{MAX_LINK + 1} characters"),
        (None, "null"),
        ("3abcd", "another version"),
        ("1!!!!", "damaged"),
        ("1\u00e9\u00e9\u00e9\u00e9", "damaged"),
        ("1AAAA", "damaged"),
        (bomb(), "more than a recipe"),
    ],
    ids=range(8),
)
def test_hostile_links_are_refused(link, message):
    with pytest.raises(ValueError, match=message):
        decode_link(link)


def test_cut_and_altered_links_never_do_worse_than_a_sentence():
    edit = Edit("add", 5, "bundled:l5-call-psi0.8-512x8", Region((3,)), appearance=17, strength=2.5)
    link = encode_link(Recipe(edits=(edit,)))
    rng = random.Random(0)
    refused = 0
    for _ in range(500):
        at = rng.randrange(1, len(link))
        broken = link[:at] if rng.random() < 0.5 else link[:at] + rng.choice("Ab9_-") + link[at + 1 :]
        try:
            assert isinstance(decode_link(broken), Recipe)
        except ValueError:
            refused += 1
    assert refused > 250


def test_factors_that_exist_only_here_make_no_link():
    edit = Edit("add", 5, "local:0123456789ab", Region(all=True), appearance=0, strength=1.0)
    with pytest.raises(ValueError, match="only here"):
        encode_link(Recipe(edits=(edit,)))


def test_a_recipe_too_long_for_a_link_says_so():
    noise = torch.rand(3, 120, 120, generator=torch.Generator().manual_seed(0))
    edits = tuple(
        Edit("add", 5, "bundled:x", Region(mask=Mask.from_tensor(n)), appearance=0, strength=1.0) for n in noise
    )
    with pytest.raises(ValueError, match="download it"):
        encode_link(Recipe(edits=edits))


def test_edits_are_ordered_by_layer_then_as_listed():
    layers = [7, 3, 5, 3]
    edits = tuple(Edit("add", l, "bundled:x", Region(all=True), appearance=0, strength=1.0) for l in layers)
    assert Recipe(edits=edits).ordered() == [1, 3, 2, 0]


def test_the_shortest_recipe_is_enough():
    assert parse_recipe({"v": 1, "generator": "portraits"}) == Recipe()
    assert len(json.dumps(Recipe().to_dict())) < MAX_JSON
