import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from panda_core import ranking
from panda_core.method.moments import ChannelMoments
from panda_core.method.variations import learn_variations
from panda_core.progress import Cancelled
from panda_core.ranking import EVERYWHERE, RankingIndex, Table, VariationTable, coefficients, prune
from tests.helpers import random_features

ABOUT = {"weights": "0123456789ab", "layer": 3}


class Pictures:
    """Features of 100 pictures, and how often each was drawn."""

    def __init__(self, seed=0, fail_at=None):
        self.Z = random_features(100, 6, 4, 5, seed, torch.float32)
        g = torch.Generator().manual_seed(seed)
        self.A = torch.linalg.qr(torch.randn(6, 6, generator=g)).Q[:, :5]
        self.P = torch.rand(20, 3, generator=g)
        self.drawn = np.zeros(100, int)
        self.fail_at = fail_at

    def table(self, frame=None):
        sums = ChannelMoments.of(self.Z)
        return Table.of(self.A, self.P, sums.mean.float(), sums.second_moment.float(), frame)

    def __call__(self, first, count):
        if self.fail_at is not None and first >= self.fail_at:
            raise KeyboardInterrupt
        self.drawn[first : first + count] += 1
        return self.Z[first : first + count]


def expected(pictures, j, k):
    p = torch.ones(20) if k == EVERYWHERE else pictures.P[:, k]
    return torch.einsum("c,ncs,s->n", pictures.A[:, j], pictures.Z.flatten(2), p).numpy()


@pytest.mark.parametrize("seed", range(5))
def test_coefficients_are_eqs_17_and_18(seed):
    pictures = Pictures(seed)
    L = coefficients(pictures.Z, pictures.A, pictures.P)
    for j, k in ((0, 0), (4, 2), (2, EVERYWHERE)):
        np.testing.assert_allclose(L[:, j, k].numpy(), expected(pictures, j, k), rtol=1e-3, atol=1e-3 * float(L.std()))


@pytest.mark.parametrize("seed", range(5))
def test_every_question_gets_the_scores_to_half_precision(seed, tmp_path):
    pictures = Pictures(seed)
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    index.grow(pictures, 100, batch=7, shard=30)
    assert len(index) == 100 and len(index.shards) == 4
    for j in range(5):
        for k in (0, 1, 2, EVERYWHERE):
            want = expected(pictures, j, k)
            np.testing.assert_allclose(index.scores(j, k), want, rtol=2e-3, atol=5e-3 * want.std())


def test_an_index_that_grew_is_the_one_made_at_once(tmp_path):
    pictures = Pictures()
    once, grown = (RankingIndex(tmp_path / name, pictures.table(), ABOUT) for name in "ab")
    once.grow(pictures, 100, batch=10, shard=100)
    for upto in (10, 10, 50, 100):
        grown = RankingIndex(tmp_path / "b", pictures.table(), ABOUT)
        grown.grow(pictures, upto, batch=10, shard=20)
    assert (pictures.drawn == 2).all()  # once for each: nothing was drawn again
    for k in (1, EVERYWHERE):
        assert np.array_equal(once.scores(2, k), grown.scores(2, k))
    assert np.array_equal(once.numbers(), grown.numbers())


def test_a_killed_build_goes_on_with_nothing_lost_or_counted_twice(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        RankingIndex(tmp_path, Pictures().table(), ABOUT).grow(Pictures(fail_at=55), 100, batch=5, shard=20)
    (tmp_path / "0000000040.123.part").write_bytes(b"half a shard")
    np.save(tmp_path / "0000000040-20.npy", np.zeros((5, 4, 20), np.float16))  # killed before its note
    pictures = Pictures()
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    assert len(index) == 40
    index.grow(pictures, 100, batch=5, shard=20)
    assert pictures.drawn.tolist() == [0] * 40 + [1] * 60
    assert index.numbers().tolist() == list(range(100))
    want = expected(pictures, 1, 0)
    np.testing.assert_allclose(index.scores(1, 0), want, rtol=2e-3, atol=5e-3 * want.std())


def test_workers_fill_ranges_of_their_own(tmp_path):
    pictures = Pictures()
    workers = [RankingIndex(tmp_path, pictures.table(), ABOUT) for _ in range(3)]
    for worker, (first, upto) in zip(workers, ((70, 100), (0, 40), (40, 70))):
        worker.grow(pictures, upto, first, batch=10, shard=15)
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    assert index.numbers().tolist() == list(range(100))
    assert (pictures.drawn == 1).all()


def test_a_shard_cut_short_does_not_count(tmp_path):
    pictures = Pictures()
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    index.grow(pictures, 40, batch=10, shard=20)
    path = tmp_path / index.shards[0].file
    path.write_bytes(path.read_bytes()[:200])
    assert [s.first for s in RankingIndex(tmp_path, pictures.table(), ABOUT).shards] == [20]


def test_an_index_of_something_else_is_refused(tmp_path):
    RankingIndex(tmp_path, Pictures(0).table(), ABOUT).grow(Pictures(0), 5)
    with pytest.raises(ValueError, match="table differ"):
        RankingIndex(tmp_path, Pictures(1).table(), ABOUT)
    with pytest.raises(ValueError, match="layer differ"):
        RankingIndex(tmp_path, Pictures(0).table(), ABOUT | {"layer": 4})


def test_cancelled_keeps_what_is_finished(tmp_path):
    pictures = Pictures()
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    with pytest.raises(Cancelled):
        index.grow(pictures, 100, batch=10, shard=20, report=lambda p: p.done < 70)
    assert len(index) == 60


@pytest.mark.parametrize("count", [0, 1, 7, 100, 500])
def test_extremes_are_the_sorted_ends(count, tmp_path):
    pictures = Pictures()
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    index.grow(pictures, 100, batch=50, shard=60)
    scores = index.scores(3, 1)
    top, low = index.extremes(scores, count)
    n = min(count, 100)
    assert sorted(scores[top])[::-1] == list(scores[top]) and sorted(scores[low]) == list(scores[low])
    assert len(top) == len(low) == n
    if n:
        assert scores[top].min() >= np.sort(scores)[-n] and scores[low].max() <= np.sort(scores)[n - 1]


def test_weights_add_in_standard_deviations(tmp_path):
    pictures = Pictures()
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    index.grow(pictures, 100, batch=50)
    one = index.weighted([(1, 0, 2.0)])
    assert one.std() == pytest.approx(2, rel=1e-4) and abs(one.mean()) < 1e-4
    both = index.weighted([(1, 0, 2.0), (2, EVERYWHERE, -1.0)])
    np.testing.assert_allclose(both, one + index.weighted([(2, EVERYWHERE, -1.0)]), atol=1e-5)


def test_a_sum_over_the_first_pictures_does_not_depend_on_how_far_the_index_has_grown(tmp_path):
    pictures, terms = Pictures(), [(1, 0, 1.0), (3, EVERYWHERE, -0.5)]
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    index.grow(pictures, 40, shard=20)
    first = index.weighted(terms)
    index.grow(pictures, 100, shard=20)
    assert np.array_equal(index.weighted(terms, 40), first)
    assert not np.array_equal(index.weighted(terms)[:40], first)


def test_another_picture_is_placed_on_the_scale_of_those_in_the_index(tmp_path):
    pictures, terms = Pictures(), [(1, 0, 1.0), (3, EVERYWHERE, -0.5)]
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    index.grow(pictures, 100, batch=10)
    known = index.weighted(terms, 60)
    np.testing.assert_allclose(index.weighted(terms, 60, pictures(20, 5)), known[20:25], atol=5e-3)  # other batches


def test_looking_leaves_nothing_on_the_disk(tmp_path):
    index = RankingIndex(tmp_path / "new", Pictures().table(), ABOUT)
    assert len(index) == len(index.scores(0)) == len(index.weighted([(0, 0, 1.0)])) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("together", [False, True])
def test_threads_that_build_the_same_index_at_once_do_not_break_it(together, tmp_path):
    pictures = Pictures()

    def build(_):
        index = RankingIndex(tmp_path / "same", pictures.table(), ABOUT)
        index.grow(pictures, 100, batch=5, shard=10, together=together)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(build, range(8)))
    index = RankingIndex(tmp_path / "same", pictures.table(), ABOUT)
    assert index.numbers().tolist() == list(range(100))
    want = expected(pictures, 1, 0)
    np.testing.assert_allclose(index.scores(1, 0), want, rtol=2e-3, atol=5e-3 * want.std())


def test_who_builds_together_shares_the_work(tmp_path, monkeypatch):
    """Whenever one has drawn its shard, the other, who works from the end, finishes one of its own."""
    pictures, seen = Pictures(), []
    monkeypatch.setattr(ranking.random, "choice", lambda missing: missing[0])

    def meanwhile(progress):
        seen.append((progress.done, progress.total))
        other = RankingIndex(tmp_path, pictures.table(), ABOUT)
        start, end = list(other._missing(0, 100, 10))[-1]
        if len(seen) < 4:
            other.grow(pictures, end, start)

    one = RankingIndex(tmp_path, pictures.table(), ABOUT)
    one.grow(pictures, 100, batch=10, shard=10, report=meanwhile, together=True)
    assert one.numbers().tolist() == list(range(100))
    assert (pictures.drawn == 1).all()
    assert seen == [(10, 100), (30, 100), (50, 100), (70, 100), (80, 100), (90, 100), (100, 100)]


def test_an_index_with_a_hole_holds_what_is_before_it(tmp_path):
    pictures = Pictures()
    index = RankingIndex(tmp_path, pictures.table(), ABOUT)
    index.grow(pictures, 20)
    index.grow(pictures, 100, first=40)
    assert [count for count in range(100) if index.holds(count)] == list(range(21))


def test_pruning_keeps_what_was_used_last(tmp_path):
    names = ["first", "second", "third", "fourth"]
    for i, name in enumerate(names):
        RankingIndex(tmp_path / name, Pictures().table(), ABOUT).grow(Pictures(), 50)
        os.utime(tmp_path / name, (i, i))
    os.utime(tmp_path / "first")
    size = sum(file.stat().st_size for file in (tmp_path / "first").glob("*.npy"))

    def left():
        return {path.name for path in tmp_path.iterdir()}

    prune(tmp_path, 4 * size, 4)
    assert left() == set(names)
    prune(tmp_path, 4 * size, 3)
    assert left() == {"first", "third", "fourth"}
    prune(tmp_path, 2 * size, 3)
    assert left() == {"first", "fourth"}


@pytest.mark.parametrize(("appearance", "part"), [(5, 0), (-1, 0), (0, 3), (0, -2)])
def test_a_question_outside_the_index_is_refused(appearance, part, tmp_path):
    index = RankingIndex(tmp_path, Pictures().table(), ABOUT)
    with pytest.raises(ValueError, match="0 to 4 and parts 0 to 2"):
        index.scores(appearance, part)


def test_only_what_is_inside_the_frame_counts(tmp_path):
    pictures = Pictures()
    frame = torch.zeros(4, 5)
    frame[1:3, 1:4] = 1
    index = RankingIndex(tmp_path, pictures.table(frame.flatten()), ABOUT)
    index.grow(pictures, 100, batch=50)
    want = torch.einsum("c,nchw->n", pictures.A[:, 0], pictures.Z[:, :, 1:3, 1:4]).numpy()
    np.testing.assert_allclose(index.scores(0), want, rtol=2e-3, atol=5e-3 * want.std())


def test_the_header_says_what_is_indexed(tmp_path):
    RankingIndex(tmp_path, Pictures().table(), ABOUT).grow(Pictures(), 5)
    header = json.loads((tmp_path / "index.json").read_text())
    assert header["layer"] == 3 and header["shape"] == [5, 4]


def test_an_index_of_variations_answers_with_the_pictures_scores(tmp_path):
    Z = random_features(40, 5, 4, 4, 0, torch.float32)
    regions = [(torch.arange(16) % 3 == r).float() for r in range(2)]
    found = tuple(learn_variations(lambda: [Z], p, 3) for p in regions)
    index = RankingIndex(tmp_path / "x", VariationTable(found), {"generator": "any"})
    index.grow(lambda first, count: Z[first : first + count], 40, shard=16)
    again = RankingIndex(tmp_path / "x", VariationTable(found), {"generator": "any"})
    for r, one in enumerate(found):
        for m in range(3):
            np.testing.assert_allclose(again.scores(m, r), one.scores(Z)[:, m], atol=4e-3)  # float16 of up to 4
    best, _ = again.extremes(again.scores(1, 0), 5)
    assert set(best.tolist()) == set(found[0].scores(Z)[:, 1].topk(5).indices.tolist())
    for question in ((3, 0), (0, 2), (0, -1)):
        with pytest.raises(ValueError, match="variations 0 to 2 of regions 0 to 1"):
            again.scores(*question)


def test_two_processes_fill_one_index_and_answer_as_one(tmp_path):
    rank = ["panda_core", "rank", "bundled:l5-call-psi0.8-256x16"]
    rank += ["--appearance", "2", "--part", "4", "--count", "50", "--show", "3"]
    together = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *rank]
    answers = []
    for name, command in (("one", rank), ("two", together)):
        environment = os.environ | {"PANDA_HOME": str(tmp_path / name), "OMP_NUM_THREADS": "1"}
        run = [sys.executable, "-m", *command]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout.split("most:")[1])
    assert answers[0] == answers[1]
    assert len(list(tmp_path.glob("two/rankings/*/*.npy"))) == 2
