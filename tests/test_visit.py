"""Events of one visit: which move counts, what is sent, what is shown at the end."""

import copy
import math

import gradio as gr
import pytest

import app
from panda_core.reading import read_field
from ui.components.plain import Picture
from ui.visit import Visit, changing, moving, reading


@pytest.fixture
def visit() -> Visit:
    return copy.deepcopy(Visit(app.opening.start))


def go(session, *seed):
    return (session.go_to(read_field("Seed", *seed, 0, 99, whole=True)),) if seed else None


def test_a_visit_begins_on_the_start_page(visit):
    assert visit.session == app.opening.start()
    other = copy.deepcopy(visit)
    changing(go)(visit, 7)
    assert (visit.session.recipe.seed, other.session.recipe) == (7, app.opening.start().recipe)


def test_of_a_work_s_result_and_its_cancel_button_the_first_one_counts(visit):
    handler = changing(go, work="fit")
    visit.begin("fit")
    assert handler(visit, 7)[0].session.recipe.seed == 7
    assert not visit.take("fit")  # cancelled too late
    visit.begin("fit")
    assert visit.take("fit")  # cancelled in time
    assert handler(visit, 8) == gr.skip() and visit.session.recipe.seed == 7


def test_a_move_of_a_slider_that_was_overtaken_changes_nothing(visit):
    handler = changing(go, slider="seed")
    for sent, seed in (([3, 10.0], 3), ([4, 20.0], 4), ([5, 15.0], 4), ([6, 20.0], 4), (7, 7), ([8, "x"], 8)):
        handler(visit, sent)
        assert visit.session.recipe.seed == seed
    for wrong in ([], [1], [None, 30.0], [[1], 40.0], [math.nan, 45.0], None):
        with pytest.raises(gr.Error, match="Seed"):
            handler(visit, wrong)
    handler(visit, [9, math.nan])
    assert visit.session.recipe.seed == 8
    handler(visit, [9, 50.0])
    assert visit.session.recipe.seed == 9
    changing(lambda session, x: (session,), slider="another")(visit, [0, 1.0])  # each has its own order


def test_a_move_is_answered_unless_it_was_overtaken_and_what_it_showed_is_sent_again(visit):
    picture, handler = (
        Picture(),
        moving(lambda session, given: (session.go_to(given["seed"]), {"frame": given["seed"]})),
    )
    visit.news([picture], [{"scene": 1, "frame": 2}])
    assert handler(visit, {"seed": 7, "at": 20.0}) == {"frame": 7} and visit.session.recipe.seed == 7
    assert handler(visit, {"seed": 8, "at": 10.0}) is None and visit.session.recipe.seed == 7
    assert visit.news([picture], [{"scene": 1, "frame": 2}]) == [{"frame": 2, "shown": [2]}]  # not the scene


@pytest.mark.parametrize("wrong", [None, 3, {}, {"at": "x"}, {"at": None, "seed": 3}, {"at": math.nan, "seed": 3}])
def test_a_move_that_is_none_changes_nothing(visit, wrong):
    assert moving(lambda session, given: pytest.fail("moved"))(visit, wrong) is None


def test_what_comes_after_the_picture_is_of_the_session_at_its_end(visit):
    seen = []

    def show(session):
        seen.append(session.recipe.seed)
        if len(seen) == 1:  # another event's answer comes first
            visit.session = visit.session.go_to(4)
        return session.recipe.seed

    assert reading(show)(visit) == 4 and len(seen) == 2


def test_a_notice_is_for_one_event(visit):
    changing(lambda session: (app.opening.open_link("1broken"),))(visit)
    assert visit.session.notice == ""


def test_only_what_differs_from_what_was_sent_is_sent(visit):
    words, button, field, picture = gr.HTML(), gr.Button("x"), gr.Number(), Picture()
    shown = [words, button, field, picture]

    def values(text, on, scene):
        return [text, gr.Button(interactive=on), 3, {"scene": scene, "frame": [1, 2], "shown": ["here"]}]

    first = visit.news(shown, values("a", True, "s"))
    assert first[0] == "a" and first[1].constructor_args == {"interactive": True} and first[3]["scene"] == "s"
    again = visit.news(shown, values("a", True, "s"))
    assert again[:3] == [gr.skip(), gr.skip(), 3]  # what is in a field only the visitor knows
    assert again[3] == {"shown": ["here", 2]}  # never the answer before once more, which browsers do not hear
    some = visit.news(shown, values("b", True, "t"))
    assert some == ["b", gr.skip(), 3, {"scene": "t", "shown": ["here", 3]}]
    assert visit.news([words], [gr.skip()]) == [gr.skip()]
    visit.forget([words])
    assert visit.news(shown, values("b", True, "t"))[0] == "b"
