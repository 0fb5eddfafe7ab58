"""The strength of an edit as a film, called directly."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import app
from panda_core.images import to_pil
from panda_core.jpegs import resized
from panda_core.ops import OPS
from panda_core.progress import Cancelled
from panda_core.studio.session import Session
from panda_core.studio.trying import STRENGTHS
from ui.panels.trying import TryingPanel

from .page import go_on, picture

panel = TryingPanel(app.pictures)


@pytest.fixture(scope="module")
def shown(hand) -> Session:
    return hand.keep_made(panel.make_film, panel.make_film(hand, go_on))


def test_a_film_goes_from_one_end_of_the_slider_to_the_other_and_back(hand, shown):
    low, high, *_ = OPS[hand.edit.op].slider
    wanted = [np.asarray(to_pil(resized(picture(hand.set_strength(end)), 256))[0], float) for end in (low, high)]
    saved = json.loads(panel.save(shown))
    assert saved["name"].endswith(".webp")
    with Image.open(io.BytesIO(base64.b64decode(saved["data"]))) as film:
        assert film.n_frames == 2 * STRENGTHS - 2
        for number, frame in zip((0, STRENGTHS - 1), wanted):
            film.seek(number)
            assert np.abs(np.asarray(film.convert("RGB"), float) - frame).mean() < 6  # lossy


def test_the_film_is_the_same_wherever_the_slider_stands(hand, shown):
    assert panel.make_film(hand.set_strength(0.5), go_on) == shown.made(panel.make_film)
    assert "data:image/webp;base64," in panel.show(shown)


def test_it_can_be_cancelled(hand):
    other = hand.go_to(123_456, with_edits=True)
    with pytest.raises(Cancelled):
        panel.make_film(other, lambda progress: progress.done < 2)
    assert panel.film(other) is None


def test_without_an_edit_or_a_film_a_sentence_says_what_to_do(hand):
    with pytest.raises(ValueError, match="choose a change"):
        panel.make_film(hand.let_go(), go_on)
    with pytest.raises(ValueError, match="press the button"):
        panel.save(hand)
