"""The Rank tab's handlers, called directly, on the bundled generator; its indexes in a folder of the test."""

import itertools
import re
import shutil

import gradio as gr
import numpy as np
import pytest

import app
from panda_core.progress import Cancelled
from panda_core.ranking import EVERYWHERE
from tests.test_app import event
from ui import page, rank, region, view
from ui.session import Session

COUNT = 20


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANDA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(rank, "SHARD", 5)
        view.kept._items.clear()
        yield patch
    view.kept._items.clear()


@pytest.fixture(scope="module")
def asked(home) -> Session:
    """The fourth concept at the third part, among 20 pictures; an edit made."""
    session = rank.choose_count(region.pick(view.start(), event(part=2)), COUNT)
    return rank.choose_concept(session, event(index=3))


@pytest.fixture(scope="module")
def built(asked) -> Session:
    rank.build(asked, lambda progress: True)
    return asked


def amounts(session: Session, appearance: int, part: int) -> np.ndarray:
    """a_jᵀZp of the pictures, one by one (II Eqs. 17, 18)."""
    factors = view.factors_of(session)
    generator = view.renderer.generator(session.recipe)
    a, p = factors.appearances[:, appearance], factors.parts[:, part] if part >= 0 else 1.0
    cuts = [generator.head(generator.sample([seed], session.recipe.psi), session.layer) for seed in range(COUNT)]
    return np.array([float((a @ cut.features[0].flatten(1) * p).sum()) for cut in cuts])


def check_order(answer: rank.Answer, scores: np.ndarray) -> None:
    tolerance = {"rtol": 0, "atol": 5e-3 * scores.std()}  # stored in half precision: near ones may change places
    np.testing.assert_allclose(scores[answer.least], np.sort(scores)[: rank.SHOWN], **tolerance)
    np.testing.assert_allclose(scores[answer.most], np.sort(scores)[::-1][: rank.SHOWN], **tolerance)


def test_pictures_are_in_the_order_of_what_they_have_at_the_part(built):
    check_order(rank.answer(built), amounts(built, 3, 2))


def test_with_no_part_or_several_the_whole_picture_counts(built):
    scores = amounts(built, 3, EVERYWHERE)
    for parts in ([], [1, 4]):
        anywhere = region.choose_parts(built, parts)
        check_order(rank.answer(anywhere), scores)
        assert "anywhere" in rank.asked_words(anywhere)


def test_the_next_question_needs_no_network(built, monkeypatch):
    generator = view.renderer.generator(built.recipe)
    monkeypatch.setattr(generator, "head", lambda *_: pytest.fail("a network"))
    other = rank.choose_look(region.pick(built, event(part=5)), event(index=1))
    assert rank.answer(other) and rank.answer(other).most != rank.answer(built).most


def test_a_question_that_nobody_asked_says_what_to_do(asked):
    elsewhere = asked.set_psi(0.35)
    assert rank.answer(elsewhere) is None and "press" in rank.asked_words(elsewhere)
    assert rank.gallery(elsewhere, "most")["items"] == [] and rank.histogram(elsewhere) == ""
    assert not rank.opened(elsewhere)[0].folder.exists()  # looking leaves nothing on the disk


def test_results_come_from_the_disk(built):
    shown = rank.gallery(built, "most"), rank.histogram(built)
    view.kept._items.clear()
    assert (rank.gallery(built, "most"), rank.histogram(built)) == shown


def test_cancelled_keeps_what_is_finished(asked):
    elsewhere = asked.set_psi(0.6)
    with pytest.raises(Cancelled):
        rank.build(elsewhere, lambda progress: progress.done <= 10)
    assert len(rank.opened(elsewhere)[0]) == 10
    assert rank.answer(elsewhere) is None
    told = []
    rank.build(elsewhere, lambda progress: told.append((progress.done, progress.total)) or True)
    assert told == [(5, 10), (10, 10)]
    assert rank.answer(elsewhere)


def test_indexes_do_not_pile_up(asked, home):
    home.setattr(rank, "INDEXES", 2)
    for psi in (0.41, 0.42, 0.43, 0.44):
        rank.build(rank.choose_count(asked.set_psi(psi), 1), lambda progress: True)
    folder = rank.opened(asked)[0].folder.parent
    assert len(list(folder.iterdir())) == 3  # two, and the one that was built after making room
    home.setattr(rank, "INDEXES", 200)
    rank.build(asked, lambda progress: True)


def test_an_answer_whose_index_was_dropped_is_asked_for_again(asked):
    elsewhere = rank.choose_count(asked.set_psi(0.5), 5)
    rank.build(elsewhere, lambda progress: True)
    shutil.rmtree(rank.answer(elsewhere).folder)
    assert rank.answer(elsewhere) is None and rank.histogram(elsewhere) == ""


def test_a_click_opens_a_picture_and_the_edits_stay(built):
    tiles = rank.gallery(built, "least")
    opened = page.open_seed(built, event(seed=tiles["items"][4]["seed"]))
    assert opened.recipe.seed == rank.answer(built).least[4] and opened.recipe.edits == built.recipe.edits
    assert rank.gallery(opened, "least")["items"][4]["on"]
    assert opened.undo().recipe == built.recipe


def test_a_click_on_what_is_about_to_be_replaced_does_nothing(built):
    looks = rank.look_tiles(built)["of"]
    moved = region.pick(built, event(part=4))
    assert rank.choose_look(moved, event(index=0, of=looks)) is None


def test_the_marker_says_how_many_have_less(built):
    seeds, scores = range(COUNT), amounts(built, 3, 2)
    for seed in seeds[:4]:
        less = int(re.search(r"(\d+) of 100 have less", rank.histogram(page.go_to_seed(built, seed)))[1])
        assert less == pytest.approx(100 * float((scores < scores[seed]).mean()), abs=100 / COUNT)  # one near neighbour


def test_the_looks_of_a_part_are_those_that_vary_most_there(built):
    sigma = view.factors_of(built).sigma[: rank.INDEXED, 2]
    numbers = rank.part_looks(built)
    assert float(sigma[numbers].min()) == pytest.approx(float(sigma.sort(descending=True).values[rank.LOOKS - 1]))
    assert len(rank.look_tiles(built)["items"]) == rank.LOOKS
    assert rank.look_tiles(region.choose_parts(built, []))["note"].endswith(".")


def test_a_sum_of_concepts(built):
    both = rank.add_term(rank.choose_concept(rank.add_term(built, 1.0), event(index=7)), -0.5)
    one, other = (amounts(built, j, 2) for j in (3, 7))
    total = (one - one.mean()) / one.std() - 0.5 * (other - other.mean()) / other.std()
    check_order(rank.answer(both), total)
    np.testing.assert_allclose(rank.answer(both).scores, total, atol=5e-3)  # stored in half precision
    assert rank.answer(rank.keep_terms(both, [])).most == rank.answer(rank.choose_concept(built, event(index=7))).most


def test_terms_come_and_go(built):
    session = rank.add_term(rank.add_term(built, 1.0), -0.3)
    (row,) = rank.term_words(session)
    assert row.startswith("-0.3 × ")  # the same concept again has the new weight
    two = rank.add_term(rank.choose_concept(session, event(index=5)), 0.7)
    dropped = rank.keep_terms(two, [words for words in rank.term_words(two) if words != row] + ["no term"])
    assert [term[2] for term in rank.in_hand(dropped).terms] == [0.7]
    assert rank.show_sum(dropped).value == rank.term_words(dropped)


def test_what_was_chosen_among_other_concepts_waits(built):
    summed = rank.add_term(built, 1.0)
    elsewhere = app.set_layer(summed, next(layer for layer in summed.layers if layer != summed.layer))
    assert rank.terms_of(elsewhere) == ()
    back = app.set_layer(elsewhere, summed.layer)
    assert rank.in_hand(back) == rank.in_hand(summed)


def nine_terms(session: Session) -> Session:
    for j in range(9):
        session = rank.add_term(rank.choose_concept(session, event(index=j)), 1.0)
    return session


MISTAKES = {
    "concept": lambda s: rank.choose_concept(s, event(index=24)),
    "look": lambda s: rank.choose_look(s, event(index=rank.LOOKS)),
    "look kind": lambda s: rank.choose_look(s, event(index=True)),
    "count": lambda s: rank.choose_count(s, 10**6),
    "count kind": lambda s: rank.choose_count(s, "100"),
    "weight": lambda s: rank.add_term(s, 0),
    "weight too large": lambda s: rank.add_term(s, 1.5),
    "weight not a number": lambda s: rank.add_term(s, float("nan")),
    "weight kind": lambda s: rank.add_term(s, "1"),
    "nothing to add": lambda s: rank.add_term(rank.keep(s, concept=None), 1.0),
    "nothing to order by": lambda s: rank.build(rank.keep(s, concept=None), lambda progress: True),
    "too many": nine_terms,
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(built, kind):
    with pytest.raises(ValueError) as caught:
        MISTAKES[kind](built)
    assert 10 < len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_the_endpoint_returns_both_ends(built):
    *waiting, ends = app.rank(built.recipe.to_json(), 3.0, 2.0, float(COUNT))
    assert ends == {"most": rank.answer(built).most, "least": rank.answer(built).least}
    assert set(waiting) <= {None}


BAD = [(None, 0, 20), (0.5, 0, 20), (64, 0, 20), (0, 16, 20), (0, -2, 20), (0, 0, 0), (0, 0, 10_001), (0, 0, None)]


@pytest.mark.parametrize("values", BAD)
def test_the_endpoint_refuses_before_it_works(built, values, monkeypatch):
    monkeypatch.setattr(rank, "build", lambda *_, **__: pytest.fail("work"))
    with pytest.raises(gr.Error):
        list(app.rank(built.recipe.to_json(), *values))


def test_two_builders_share_the_work(asked):
    """One builds while the other does, in turns; nothing is broken, and what both see in the end is whole."""
    elsewhere = asked.set_psi(0.25)
    begun = itertools.count()

    def report(progress) -> bool:
        if next(begun) == 0:
            rank.build(elsewhere, lambda progress: True)
        return True

    rank.build(elsewhere, report)
    assert rank.opened(elsewhere)[0].verify() == [] and rank.answer(elsewhere)
