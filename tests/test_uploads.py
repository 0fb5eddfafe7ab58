"""Pictures that people bring: right, or one sentence."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from panda_core import uploads
from panda_core.images import to_arrays
from panda_core.uploads import Crop, prepare_picture


def noise(width=32, height=32, mode="RGB", seed=0):
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    array = np.random.RandomState(seed).randint(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(array[..., 0] if channels == 1 else array)


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_picture_of_the_right_size_is_taken_as_it_is():
    image = noise()
    assert np.array_equal(to_arrays(prepare_picture(encoded(image), 32))[0], np.asarray(image))


def test_a_picture_several_times_as_large_is_averaged():
    image = noise(256, 256)
    expected = np.asarray(image).astype(float).reshape(32, 8, 32, 8, 3).mean(axis=(1, 3))
    got = to_arrays(prepare_picture(encoded(image), 32))[0]
    assert np.abs(got - expected).max() <= 1.5  # two roundings


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_lies_upright_whatever_exif_says(orientation):
    image = noise()
    turned = {
        1: image, 2: image.transpose(0), 3: image.transpose(3), 4: image.transpose(1), 5: image.transpose(5),
        6: image.transpose(2), 7: image.transpose(6), 8: image.transpose(4),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = to_arrays(prepare_picture(encoded(turned, exif=exif), 32))[0]
    assert np.array_equal(got, np.asarray(image))


def test_transparency_lies_on_white():
    image = noise(mode="RGBA")
    image.putalpha(Image.fromarray(np.repeat([[0, 255]], 32, axis=0).repeat(16, axis=1).astype(np.uint8)))
    got = to_arrays(prepare_picture(encoded(image), 32))[0]
    assert (got[:, :16] == 255).all() and np.array_equal(got[:, 16:], np.asarray(image)[:, 16:, :3])


def test_every_mode_is_read_as_its_colours():
    plain = Image.new("RGB", (40, 40), (200, 120, 40))
    grey = Image.fromarray(np.full((40, 40), 150 * 257, np.uint16))
    cases = [(plain, "PNG"), (plain.quantize(4), "PNG"), (plain.quantize(4), "GIF"), (plain, "WEBP"), (plain, "BMP"),
             (plain, "JPEG"), (plain.convert("CMYK"), "JPEG"), (plain, "AVIF")]  # fmt: skip
    for image, kind in cases:
        got = to_arrays(prepare_picture(encoded(image, kind), 32))[0]
        assert np.abs(got.astype(int) - (200, 120, 40)).max() <= 6, (image.mode, kind)
    assert np.abs(to_arrays(prepare_picture(encoded(grey), 32))[0].astype(int) - 150).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_it_is_the_first_frame(kind):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    got = to_arrays(prepare_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:]), 32))[0]
    assert np.abs(got.astype(int) - (255, 0, 0)).max() <= 6


def test_forty_megapixels_are_read():
    image = Image.new("L", (8000, 5000), 90)
    assert np.abs(to_arrays(prepare_picture(encoded(image, "JPEG"), 32))[0].astype(int) - 90).max() <= 2


def test_a_crop_shows_what_lies_there():
    image = noise(64, 64)
    quarter = to_arrays(prepare_picture(encoded(image), 32, Crop(0.25, 0.75, 2.0)))[0]
    assert np.array_equal(quarter, np.asarray(image)[32:, :32])
    wide = noise(96, 32)
    right = to_arrays(prepare_picture(encoded(wide), 32, Crop(x=5 / 6)))[0]
    assert np.array_equal(right, np.asarray(wide)[:, 64:])


@pytest.mark.parametrize("turn, quarters", [(90, -1), (-90, 1), (180, 2)])
def test_a_turned_crop_is_turned_clockwise(turn, quarters):
    image = noise()
    got = to_arrays(prepare_picture(encoded(image), 32, Crop(turn=turn)))[0]
    assert np.array_equal(got, np.rot90(np.asarray(image), quarters))


def test_a_crop_beyond_the_picture_carries_its_border_on():
    image = Image.new("RGB", (64, 64), (10, 20, 30))
    assert (to_arrays(prepare_picture(encoded(image), 32, Crop(0.0, 1.0, 0.5, 30.0)))[0] == (10, 20, 30)).all()


def test_a_large_photograph_is_decoded_small_and_its_crop_keeps_its_place():
    ramp = np.linspace(0, 255, 4000).astype(np.uint8)
    image = Image.fromarray(np.repeat(np.repeat(ramp[None], 3000, axis=0)[..., None], 3, axis=2))
    got = to_arrays(prepare_picture(encoded(image, "JPEG", quality=95), 32, Crop(0.7, 0.4, 3.0)))[0][..., 0].astype(
        float
    )
    expected = 255 * (0.7 + (np.arange(32) + 0.5 - 16) / 32 * (1000 / 4000))
    assert np.abs(got - expected).max() < 3


def bomb(width, height):
    """A PNG that claims so many pixels and holds hardly any."""
    data = bytearray(encoded(Image.new("1", (16, 16))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


REFUSED = {
    "empty": (b"", "not a picture"),
    "text": (b"hello", "not a picture"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "pdf": (b"%PDF-1.7\n" + b"0" * 100, "PDF document"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50, "HEIC"),
    "tiff": (encoded(noise(), "TIFF"), "not a picture"),
    "cut": (encoded(noise())[:500], "damaged"),
    "cut jpeg": (encoded(noise(200, 200), "JPEG")[:900], "damaged"),
    "41 megapixels": (bomb(8200, 5000), "at most 40 megapixels"),
    "a bomb": (bomb(50_000, 50_000), "40 megapixels"),
    "tiny": (encoded(noise(8, 8)), "at least 16 pixels"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_picture_for_us_is_refused_in_one_sentence(what):
    data, words = REFUSED[what]
    with pytest.raises(ValueError, match=words) as caught:
        prepare_picture(data, 32)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("panda_core.uploads.MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="at most"):
        prepare_picture(encoded(noise(64, 64)), 32)


@pytest.mark.parametrize("change", [{"x": -0.1}, {"y": 1.1}, {"zoom": 0.0}, {"turn": 200}, {"zoom": float("nan")}])
def test_a_crop_out_of_range_is_refused(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} is"):
        Crop(**change)


def test_a_heavy_file_is_kept_smaller_and_shows_the_same(monkeypatch):
    image = Image.linear_gradient("L").resize((300, 200)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(image, exif=exif)
    assert uploads.lighter(data) is data
    monkeypatch.setattr(uploads, "LIGHT", 10)
    monkeypatch.setattr(uploads, "LIGHT_SIDE", 150)
    kept = uploads.lighter(data)
    with Image.open(io.BytesIO(kept)) as small:
        assert small.size == (100, 150)
    assert float((prepare_picture(kept, 32) - prepare_picture(data, 32)).abs().max()) < 0.05
