"""Links: a recipe in the address of a page."""

import base64
import binascii
import zlib

from .reading import show
from .recipes import MAX_JSON, Recipe, parse_recipe

MAX_LINK = 8_000  # characters of a link's parameter
# What most recipes hold, so that a link need not say it, by the version that a link begins with; never to be changed.
_DICTIONARY_1 = (
    b'"keep":{"size":[],"rle":""}"all":true"alpha":"refine":"graph","dense","k":32'
    b'{"v":1,"generator":"portraits","weights":"","class":null,"seed":0,"psi":0.8,"edits":[{"op":"rewrite","layer":5,'
    b'"factors":"bundled:l5-call-psi0.8-","region":{"mask":{"size":[16,16],"rle":""}},"source":0,"target":1,'
    b'"strength":1.0,"on":true},{"op":"add","layer":5,"factors":"bundled:l5-call-psi0.8-512x8","region":{"parts":[1]},'
    b'"appearance":0,"strength":2.0,"on":true}]}'
)
_DICTIONARY_2 = _DICTIONARY_1 + (
    b'"picture":{"generator":"scenes"{"op":"remove","layer":3,"op":"transfer","layer":5,"share":1.0,'
    b'{"v":2,"generator":"portraits","weights":"df86816f5a88","class":null,"seed":0,"psi":0.8,"edits":['
    b'{"op":"vary","layer":7,"factors":"bundled:l7-call-psi0.8-128x16","region":{"parts":[0,1]},"variation":0,'
    b'"strength":-3.0,"on":true},{"op":"vary","layer":3,"factors":"bundled:l3-call-psi0.8-256x12",'
    b'"region":{"parts":[2]},"variation":1,"strength":3.0,"on":true}]}'
)
_DICTIONARIES = {"1": _DICTIONARY_1, "2": _DICTIONARY_2}


def encode_link(recipe: Recipe) -> str:
    """The recipe as the value of a link's `r` parameter: JSON, deflated, base64url.

    Raises: ValueError if factors exist only on this machine, or the recipe is too long for a link.
    """
    if any(e.factors.startswith("local:") for e in recipe.edits):
        raise ValueError("An edit uses factors that exist only here; send their file and the PNG instead.")
    if recipe.generator.startswith("file:"):
        raise ValueError("The generator is a file that exists only here; links need one that is listed or on the Hub.")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_DICTIONARY_2)
    data = packer.compress(recipe.to_json().encode()) + packer.flush()
    link = "2" + base64.urlsafe_b64encode(data).decode().rstrip("=")
    if len(link) > MAX_LINK:
        raise ValueError(f"The link would be {len(link)} characters long, of at most {MAX_LINK}; download it instead.")
    return link


def decode_link(text: str) -> Recipe:
    """What `encode_link` made; the result has passed the validator.

    Raises: ValueError in one sentence, whatever the text is; never unpacks more than a recipe may hold.
    """
    if not isinstance(text, str) or not 2 <= len(text) <= MAX_LINK:
        size = f"{len(text)} characters long" if isinstance(text, str) else show(text)
        raise ValueError(f"The link is {size}; links have 2 to {MAX_LINK} characters.")
    if text[0] not in _DICTIONARIES:
        raise ValueError("The link is damaged, or made by another version of this page.")
    try:
        data = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj(-15, zdict=_DICTIONARIES[text[0]])
        plain = unpacker.decompress(data, MAX_JSON)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError("The link is damaged; it must be copied whole.") from error
    if not unpacker.eof:
        raise ValueError("The link is damaged or holds more than a recipe; it must be copied whole.")
    return parse_recipe(plain)
