"""The Rank tab's handlers, called directly, on the bundled generator; its indexes in a folder of the test."""

import itertools
import shutil

import numpy as np
import pytest

import app
from panda_core.progress import Cancelled
from panda_core.ranking import EVERYWHERE
from panda_core.runtime.kept import Kept
from panda_core.studio import ordering
from panda_core.studio.ordering import AXIS, EXTREMES, Answer, Term
from panda_core.studio.session import Session
from ui.seeds import open_seed

from .page import choose, event, go_on, things

COUNT = 20
tab = app.rank_tab


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANDA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(ordering, "SHARD", 5)
        patch.setattr(app.pictures, "kept", Kept(256))
        yield patch


@pytest.fixture(scope="module")
def start(home) -> Session:
    """The second thing chosen, among 20 pictures; an edit made."""
    return tab.choose_count(choose(app.opening.start(), 1), COUNT)


@pytest.fixture(scope="module")
def varied(start) -> Session:
    """By its first variation."""
    session = tab.choose_variation(start, event(index=0))
    tab.build(session, go_on)
    return session


@pytest.fixture(scope="module")
def built(start) -> Session:
    """By the fourth appearance at the third part."""
    session = tab.choose_appearance(app.choosing.choose(start, [2]), event(index=3))
    tab.build(session, go_on)
    return session


def features(session: Session) -> list:
    generator = app.renderer.generator(session.recipe)
    samples = (generator.sample([seed], session.recipe.psi) for seed in range(COUNT))
    return [generator.head(latents, session.layer).features for latents in samples]


def amounts(session: Session, appearance: int, part: int) -> np.ndarray:
    """a_jᵀZp of the pictures, one by one (II Eqs. 17, 18)."""
    factors = app.pictures.factors(session)
    a, p = factors.appearances[:, appearance], factors.parts[:, part] if part >= 0 else 1.0
    return np.array([float((a @ Z[0].flatten(1) * p).sum()) for Z in features(session)])


def check_order(answer: Answer, scores: np.ndarray) -> None:
    tolerance = {"rtol": 0, "atol": 5e-3 * scores.std()}  # stored in half precision: near ones may change places
    np.testing.assert_allclose(scores[answer.least], np.sort(scores)[:EXTREMES], **tolerance)
    np.testing.assert_allclose(scores[answer.most], np.sort(scores)[::-1][:EXTREMES], **tolerance)


def test_pictures_are_in_the_order_of_what_varies_in_the_thing(varied):
    found, number = app.pictures.factors(varied).variations[things(varied)[1]], tab.in_hand(varied).chosen.number
    check_order(tab.answer(varied), np.array([float(found.scores(Z)[0, number]) for Z in features(varied)]))


def test_pictures_are_in_the_order_of_what_they_have_at_the_part(built):
    check_order(tab.answer(built), amounts(built, 3, 2))


def test_with_no_part_or_several_the_whole_picture_counts(built):
    for parts in ([], [1, 2]):
        session = tab.choose_appearance(app.choosing.choose(built, parts), event(index=3))
        assert tab.in_hand(session).chosen == Term("appearance", 3, EVERYWHERE)
        check_order(tab.answer(session), amounts(built, 3, EVERYWHERE))


def test_what_varies_has_its_names_and_shows_what_more_of_it_does(varied):
    tiles = tab.variation_tiles(varied)["items"]
    ends = app.pictures.factors(varied).ends(things(varied)[1], tab.in_hand(varied).chosen.number)
    assert tiles[0]["label"] == ends.high and tiles[0]["on"] and not tiles[1]["on"]
    assert ends.high in tab.asked_words(varied)
    assert tab.variation_tiles(app.choosing.choose(varied, []))["items"] == []


def test_the_next_question_needs_no_network(varied, monkeypatch):
    generator = app.renderer.generator(varied.recipe)
    monkeypatch.setattr(generator, "head", lambda *_: pytest.fail("a head"))
    assert tab.answer(tab.choose_variation(varied, event(index=1)))


def test_a_question_that_nobody_asked_says_what_to_do(varied):
    other = varied.set_psi(0.31)
    assert tab.answer(other) is None and "Rank them" in tab.asked_words(other)
    assert tab.order_button(other).interactive and not tab.order_button(varied).interactive
    assert tab.axis(other)["items"] == [] and tab.axis_words(other) == ""


def test_results_come_from_the_disk(varied, monkeypatch):
    shown = tab.axis(varied), tab.asked_words(varied)
    monkeypatch.setattr(app.pictures, "kept", Kept(8))
    assert (tab.axis(varied), tab.asked_words(varied)) == shown


def test_the_axis_goes_from_the_least_to_the_most(varied):
    items, answer = tab.axis(varied)["items"], tab.answer(varied)
    seeds = [item["seed"] for item in items]
    assert len(seeds) == min(AXIS, COUNT) and (seeds[0], seeds[-1]) == (answer.least[0], answer.most[0])
    assert (np.diff(answer.scores[seeds]) >= -5e-3 * answer.scores.std()).all()  # stored in half precision
    assert [item["seed"] for item in items if item["on"]] == [varied.recipe.seed]
    outside = varied.go_to(COUNT + 3)  # not among those that are ordered, yet it has its place
    shown = [item["seed"] for item in tab.axis(outside)["items"]]
    assert len(shown) == COUNT + 1 and COUNT + 3 in shown and "framed" in tab.axis_words(outside)


def test_with_nothing_chosen_it_says_why_nothing_can_be_ordered(start):
    assert not tab.order_button(start).interactive and not tab.asked_words(start)


def test_the_words_say_how_many_have_less(varied):
    top = varied.go_to(tab.answer(varied).most[0])
    assert "more of it than 95 of 100" in tab.asked_words(top)  # 19 of 20


def test_a_click_opens_that_picture_as_it_is_shown(varied):
    tile = tab.axis(varied)["items"][0]
    opened = open_seed(varied, event(seed=tile["seed"]))
    assert opened.recipe.seed == tile["seed"] and not opened.recipe.edits


def test_cancelled_keeps_what_is_finished(varied):
    elsewhere = varied.set_psi(0.6)
    with pytest.raises(Cancelled):
        tab.build(elsewhere, lambda progress: progress.done <= 10)
    assert len(tab.opened(elsewhere)[0]) == 10
    assert tab.answer(elsewhere) is None
    told = []
    tab.build(elsewhere, lambda progress: told.append((progress.done, progress.total)) or True)
    assert told == [(5, 10), (10, 10)]
    assert tab.answer(elsewhere)


def test_indexes_do_not_pile_up(varied, home):
    home.setattr(ordering, "INDEXES", 2)
    for psi in (0.41, 0.42, 0.43, 0.44):
        tab.build(tab.choose_count(varied.set_psi(psi), 1), go_on)
    folder = tab.opened(varied)[0].folder.parent
    assert len(list(folder.iterdir())) == 3  # two, and the one that was built after making room
    home.setattr(ordering, "INDEXES", 200)
    tab.build(varied, go_on)


def test_an_answer_whose_index_was_dropped_is_asked_for_again(varied):
    elsewhere = tab.choose_count(varied.set_psi(0.5), 5)
    tab.build(elsewhere, go_on)
    shutil.rmtree(tab.answer(elsewhere).folder)
    assert tab.answer(elsewhere) is None and tab.axis(elsewhere)["items"] == []


def test_a_sum_of_appearances(built):
    tab.build(built, go_on)
    both = tab.add_term(tab.choose_appearance(tab.add_term(built, 1.0), event(index=7)), -0.5)
    one, other = (amounts(built, j, 2) for j in (3, 7))
    total = (one - one.mean()) / one.std() - 0.5 * (other - other.mean()) / other.std()
    check_order(tab.answer(both), total)
    np.testing.assert_allclose(tab.answer(both).scores, total, atol=5e-3)  # stored in half precision


def test_a_sum_of_what_varies(varied):
    both = tab.add_term(tab.choose_variation(tab.add_term(varied, 1.0), event(index=1)), 0.5)
    assert [term[:3] for term in tab.in_hand(both).terms] == [term[:3] for term, _ in tab.variations(varied)[:2]]
    assert tab.answer(both)


def test_terms_come_and_go(varied):
    session = tab.add_term(tab.add_term(varied, 1.0), -0.3)
    (row,) = tab.term_words(session)
    assert row.startswith("-0.3 × ")  # the same again has the new weight
    two = tab.add_term(tab.choose_variation(session, event(index=1)), 0.7)
    dropped = tab.keep_terms(two, [words for words in tab.term_words(two) if words != row] + ["no term"])
    assert [term.weight for term in tab.in_hand(dropped).terms] == [0.7]
    assert tab.show_sum(dropped).value == tab.term_words(dropped)


def test_what_was_chosen_of_other_factors_waits(varied):
    summed = tab.add_term(varied, 1.0)
    elsewhere = summed.choose_layer(next(layer for layer in summed.layers if layer != summed.layer))
    assert tab.terms_of(elsewhere) == ()
    assert tab.in_hand(elsewhere.choose_layer(summed.layer)) == tab.in_hand(summed)


def nine_terms(session: Session) -> Session:
    for j in range(9):
        session = tab.add_term(tab.choose_appearance(session, event(index=j)), 1.0)
    return session


MISTAKES = {
    "variation": lambda s: tab.choose_variation(s, event(index=24)),
    "variation kind": lambda s: tab.choose_variation(s, event(index=True)),
    "appearance": lambda s: tab.choose_appearance(s, event(index=24)),
    "count": lambda s: tab.choose_count(s, 10**6),
    "count kind": lambda s: tab.choose_count(s, "100"),
    "weight": lambda s: tab.add_term(s, 0),
    "weight too large": lambda s: tab.add_term(s, 1.5),
    "weight not a number": lambda s: tab.add_term(s, float("nan")),
    "weight kind": lambda s: tab.add_term(s, "1"),
    "nothing to add": lambda s: tab.add_term(tab.keep(s, chosen=None), 1.0),
    "nothing to order by": lambda s: tab.build(tab.keep(s, chosen=None), go_on),
    "too many": nine_terms,
    "both kinds": lambda s: tab.add_term(tab.choose_appearance(tab.add_term(s, 1.0), event(index=1)), 1.0),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(varied, kind):
    with pytest.raises(ValueError) as caught:
        MISTAKES[kind](varied)
    assert 10 < len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_the_endpoint_gives_both_ends(built):
    tab.build(built, go_on)
    found = app.api.order_seeds(built.recipe.to_json(), 3.0, 2.0, float(COUNT), go_on)
    assert found == {"most": tab.answer(built).most, "least": tab.answer(built).least}


BAD = [(None, 0, 20), (0.5, 0, 20), (64, 0, 20), (0, 16, 20), (0, -2, 20), (0, 0, 0), (0, 0, 10_001), (0, 0, None)]


@pytest.mark.parametrize("values", BAD)
def test_the_endpoint_refuses_before_it_works(built, values, monkeypatch):
    monkeypatch.setattr(tab, "build", lambda *_, **__: pytest.fail("work"))
    with pytest.raises(ValueError):
        app.api.order_seeds(built.recipe.to_json(), *values, go_on)


def test_two_builders_share_the_work(varied):
    """One builds while the other does, in turns; what both see in the end is whole."""
    elsewhere = varied.set_psi(0.25)
    begun = itertools.count()

    def report(progress) -> bool:
        if next(begun) == 0:
            tab.build(elsewhere, go_on)
        return True

    tab.build(elsewhere, report)
    assert len(tab.opened(elsewhere)[0]) == COUNT and tab.answer(elsewhere)
