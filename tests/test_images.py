import io

import numpy as np
import pytest
import torch
from PIL import Image

from panda_core import images


def test_pictures_are_rounded_as_everywhere_in_the_field():
    values = torch.tensor([-9.0, -1.0, 0.0, 0.5, 1.0, 9.0]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert images.to_arrays(values)[0, 0, :, 0].tolist() == [0, 0, 128, 191, 255, 255]


def test_a_png_gives_its_recipe_back_and_says_that_it_is_generated():
    picture = Image.new("RGB", (16, 16), (10, 20, 30))
    data = images.png_bytes(picture, '{"v":1,"generator":"ü"}')
    assert images.read_recipe_json(data) == '{"v":1,"generator":"ü"}'
    with Image.open(io.BytesIO(data)) as read:
        assert np.array_equal(np.asarray(read), np.asarray(picture))
        assert "trainedAlgorithmicMedia" in read.info["XML:com.adobe.xmp"]


def jpeg():
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    return out.getvalue()


def bare_png():
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "not a PNG"),
        (jpeg(), "not a PNG"),
        (bare_png(), "holds no recipe"),
        (b"\0" * (images.MAX_FILE + 1), "at most"),
        (images.png_bytes(Image.new("RGB", (8, 8)), "x" * 2 * 10**6), "not a PNG|holds no recipe"),
    ],
    ids=["empty", "broken", "jpeg", "no recipe", "too large", "a bomb"],
)
def test_a_file_that_is_not_ours_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        images.read_recipe_json(data)


def test_a_cut_png_is_refused_or_read_but_never_crashes():
    data = images.png_bytes(Image.new("RGB", (16, 16)), '{"v":1}')
    for end in range(0, len(data), 7):
        try:
            assert images.read_recipe_json(data[:end]) == '{"v":1}'
        except ValueError as error:
            assert str(error).endswith(".")


def test_a_recipe_that_another_program_moved_behind_the_pixels_is_found():
    png = images.png_bytes(Image.new("RGB", (4, 4)), '{"v": 1}')
    start, end = png.index(b"iTXt") - 4, png.index(b"IDAT") - 4
    moved = png[:start] + png[end:-12] + png[start:end] + png[-12:]
    assert moved.index(b"IDAT") < moved.index(b"iTXt")
    assert images.read_recipe_json(moved) == '{"v": 1}'


def test_one_channel_is_shown_grey():
    grey = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    assert np.array_equal(images.to_arrays(grey), images.to_arrays(grey.expand(-1, 3, -1, -1)))


def test_labels_follow_the_strongest_part():
    maps = torch.zeros(3, 2, 2)
    maps[0, 0], maps[2, 0, 1], maps[1, 1, 0] = 0.5, 0.9, 0.19
    assert images.part_labels(maps).tolist() == [[0, 2], [-1, -1]]


def test_an_overlay_tints_only_where_a_part_is():
    image, maps = torch.zeros(1, 3, 4, 4), torch.zeros(2, 4, 4)
    maps[1, :2] = 1
    tinted = np.asarray(images.overlay_parts(image, maps))
    assert (tinted[2:] == 128).all() and (tinted[:2] != 128).any()


def test_a_cut_out_is_transparent_outside_its_mask():
    mask = torch.zeros(4, 4)
    mask[1] = 1
    alpha = np.asarray(images.cut_out(torch.zeros(1, 3, 4, 4), mask))[..., 3]
    assert (alpha[1] == 255).all() and alpha.sum() == 4 * 255


def test_the_difference_of_a_picture_with_itself_is_0():
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    assert float(images.difference(x, x).max()) == 0
    assert float(images.difference(x, -x).max()) <= 2


def test_a_grid_holds_every_picture_and_white():
    sheet = np.asarray(images.grid(torch.full((5, 3, 4, 6), -1.0), 3))
    assert sheet.shape == (8, 18, 3)
    assert (sheet[:4] == 0).all() and (sheet[4:, 12:] == 255).all()


def test_a_heat_map_spans_its_range():
    ramp = np.asarray(images.heat_map(torch.linspace(0, 1, 9)[None]))
    assert ramp[0, 0].tolist() == [13, 8, 70] and ramp[0, -1].tolist() == [240, 249, 33]
    assert np.asarray(images.heat_map(torch.full((2, 2), 3.0))).shape == (2, 2, 3)


def test_an_animation_shows_every_frame_for_ever_and_says_that_it_is_generated():
    frames = [Image.new("RGB", (8, 8), (40 * i, 0, 200)) for i in range(5)]
    data = images.animation(frames)
    with Image.open(io.BytesIO(data)) as film:
        assert (film.format, film.n_frames, film.info["loop"]) == ("WEBP", 5, 0)
        for i in range(5):
            film.seek(i)
            assert abs(film.convert("RGB").getpixel((4, 4))[0] - 40 * i) < 12  # lossy
    assert b"trainedAlgorithmicMedia" in data


def test_a_map_shows_the_picture_in_grey_where_it_is_0_and_colour_at_its_height():
    picture = Image.new("RGB", (16, 16), (200, 30, 30))
    values = torch.zeros(16, 16)
    values[:, 8:] = 5.0
    shown = np.asarray(images.overlay_map(picture, values, 3.0, values > 1)).astype(int)
    assert np.ptp(shown[:, 2], axis=-1).max() == 0
    assert (shown[8, 12] == np.asarray(images.heat_map(torch.tensor([[3.0]]), 0.0, 3.0))[0, 0]).all()
    assert (shown[8, 8] == 255).all() and (shown[8, 15] != 255).any()  # the mask's edge is drawn, the picture's is not


def test_a_checkerboard_is_seen_only_outside_the_mask():
    picture, mask = Image.new("RGB", (32, 32), (200, 30, 30)), torch.zeros(32, 32)
    mask[:, :16] = 1
    shown = np.asarray(images.on_checkerboard(picture, mask))
    assert (shown[:, :16] == (200, 30, 30)).all()
    assert {tuple(colour) for colour in shown[:, 16:].reshape(-1, 3)} == {(204,) * 3, (238,) * 3}
