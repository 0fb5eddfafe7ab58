"""What strangers may send: every value is refused in a sentence or taken; nobody's budget is another's."""

import copy
import inspect
import io
import json
import struct
import time
import types
import zlib

import gradio as gr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

import app
from panda_core.images import RECIPE_KEY
from panda_core.links import decode_link, encode_link
from panda_core.recipes import Recipe, parse_recipe
from ui.server import limits
from ui.server.events import plainly
from ui.visit import Visit

UNEXPECTED = "Something went wrong"
WITHOUT_CLOCK = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
HOSTILE = [
    *(None, True, -1, 0, 3, 0.5, float("nan"), float("inf"), 1e308, 2**70, "", "x", "3", "A" * 9_000, "\ud800", "\x00"),
    *("<script>alert(1)</script>", "../../etc/passwd", "bundled:../../x", "../x", "1,2,3", "None", "9" * 500),
    *([], [None], [2**70], [float("nan")], [[]] * 1000, {}, {"a": 1}, {"index": {}}, b"", b"\x89PNG\r\n\x1a\n" + b"\0"),
]  # fmt: skip
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.floats(), st.integers(), st.binary(max_size=40))
HANDLERS = {f"{f.fn.__module__.removeprefix('ui.')}.{f.fn.__name__}": f for f in app.demo.fns.values() if f.fn}
OURS = sorted(
    name
    for name, f in HANDLERS.items()
    if f.fn.__module__.startswith(("ui.", "panda_core.studio.", "app"))
    and not any(isinstance(b, gr.State) for b in f.inputs[1:])
)  # what a State holds comes from the server
GIVEN = [
    name
    for name in OURS
    if any(not isinstance(block, gr.State) for block in HANDLERS[name].inputs)
    or {gr.EventData, gr.Request} & {p.annotation for p in inspect.signature(HANDLERS[name].fn).parameters.values()}
]
SCRIPTED = [name for name in OURS if "evt" in inspect.signature(HANDLERS[name].fn).parameters]


@pytest.fixture(scope="module")
def start():
    return app.opening.start()


def call(name: str, session, values: list):
    """A handler with these values of its inputs, or of its event's data."""
    block, visit = HANDLERS[name], Visit(app.opening.start)
    visit.session = session
    with_visit = bool(block.inputs) and isinstance(block.inputs[0], gr.State)
    takes = inspect.signature(block.fn).parameters.values()
    if any(p.annotation is gr.EventData for p in takes):
        values = [gr.EventData(None, values[0] if isinstance(values[0], dict) else dict(index=values[0], of=values[1]))]
    elif any(p.annotation is gr.Request for p in takes):
        values = [gr.Request(query_params={"r": str(values[0])})]
    else:
        values = values[: len(block.inputs) - with_visit]
    made = block.fn(visit, *values) if with_visit else block.fn(*values)
    return list(made) if isinstance(made, types.GeneratorType) else made


@pytest.mark.parametrize("name", GIVEN)
@WITHOUT_CLOCK
@given(values=st.lists(hostile, min_size=8, max_size=8))
def test_a_handler_takes_a_value_or_refuses_it_in_a_sentence(start, name, values):
    try:
        call(name, start, values)
    except gr.Error as error:
        assert UNEXPECTED not in error.message, error.__cause__
        assert 10 < len(error.message) < 400 and "\n" not in error.message


@pytest.mark.parametrize("name", sorted(set(OURS) - set(GIVEN)))
def test_a_handler_that_takes_nothing_works_or_says_why_not(start, name):
    try:
        call(name, start, [])
    except gr.Error as error:
        assert UNEXPECTED not in error.message, error.__cause__


@pytest.mark.parametrize("name", SCRIPTED)
@WITHOUT_CLOCK
@given(value=hostile, other=hostile)
def test_what_a_script_sends_is_checked(start, name, value, other):
    data = {key: value for key in ("part", "parts", "where", "rle", "index", "seed", "from", "to", "strength")}
    data |= {"action": other, "several": other, "of": other}
    try:
        call(name, start, [data])
    except gr.Error as error:
        assert UNEXPECTED not in error.message, error.__cause__


def mutated(fields: dict, path: list[int], value, kind: int) -> dict:
    """A recipe with one of its values replaced, dropped or doubled, wherever the path leads."""
    fields = node = copy.deepcopy(fields)
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return fields
        key, path = keys[path[0] % len(keys)], path[1:]
        if path and isinstance(node[key], dict | list):
            node = node[key]
            continue
        if kind == 0:
            del node[key]
        elif kind == 1 and isinstance(node, dict):
            node[f"{key}x"] = node[key]
        else:
            node[key] = value
        return fields


RECIPE = {"v": 2, "generator": "portraits", "weights": None, "class": None, "seed": 5, "psi": 0.8, "edits": [
    {"op": "add", "layer": 5, "factors": "bundled:l5-call-psi0.8-256x16", "region": {"parts": [1], "refine": "graph",
     "k": 4, "keep": {"size": [16, 16], "rle": "0,256"}}, "appearance": 2, "strength": 1.0, "on": True},
    {"op": "vary", "layer": 3, "factors": "bundled:l3-call-psi0.8-256x12", "region": {"parts": [9]}, "variation": 4,
     "strength": -2.0},
    {"op": "transfer", "layer": 3, "factors": "bundled:l3-call-psi0.8-256x12", "region": {"parts": [0]}, "seed": 6,
     "share": 0.5},
    {"op": "rewrite", "layer": 3, "factors": "bundled:l3-call-psi0.8-256x12", "region": {"all": True}, "source": 1,
     "target": 2, "alpha": 0.5}]}  # fmt: skip
steps = st.lists(st.integers(0, 20), min_size=1, max_size=5)


@settings(WITHOUT_CLOCK, max_examples=60)
@given(path=steps, value=hostile, kind=st.integers(0, 3))
def test_a_mutated_recipe_is_drawn_or_refused(path, value, kind):
    fields = mutated(RECIPE, path, value, kind)
    try:
        text = json.dumps(fields)
    except TypeError:  # bytes are not JSON
        return
    try:
        image, recipe = plainly(app.api.generate)(text)
        assert image.size == (256, 256) and parse_recipe(recipe)
    except gr.Error as error:
        assert UNEXPECTED not in error.message, (text, error.__cause__)


@settings(WITHOUT_CLOCK, max_examples=400)
@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400), junk=st.text(max_size=50))
def test_a_mutated_link_opens_or_is_refused(at, byte, cut, junk):
    whole = encode_link(parse_recipe(RECIPE))
    for text in (whole[: at % len(whole)] + chr(byte) + whole[at % len(whole) + 1 :], whole[:cut], junk, whole + junk):
        try:
            assert isinstance(decode_link(text), Recipe)
        except ValueError as error:
            assert "\n" not in str(error)


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"iTXt", data) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_bombs_in_pictures_are_refused(start):
    text = RECIPE_KEY.encode() + b"\0\1\0\0\0" + zlib.compress(b" " * 200_000_000, 9)
    for data in (png(8, 8, text), png(2**31 - 1, 2**31 - 1, b"x"), png(60_000, 60_000, text[:50])):
        with pytest.raises(gr.Error) as caught:
            call("sharing.open_file", start, [data])
        assert UNEXPECTED not in caught.value.message


def test_a_picture_with_a_strange_recipe_is_refused(start):
    for recipe in (
        '{"v":1,"generator":"../../etc/passwd"}',
        "[" * 60_000,
        '{"v":1,"generator":"portraits","seed":1e999}',
    ):
        info, out = PngImagePlugin.PngInfo(), io.BytesIO()
        info.add_itxt(RECIPE_KEY, recipe, zip=True)
        Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=info)
        with pytest.raises(gr.Error) as caught:
            call("sharing.open_file", start, [out.getvalue()])
        assert UNEXPECTED not in caught.value.message


# ---- budgets ----


def test_a_budget_runs_out_comes_back_and_is_each_visitors_own():
    now = [0.0]
    budgets = limits.Budgets(most=3, clock=lambda: now[0])
    assert sum(budgets.spend("a", 1.0) for _ in range(100)) == limits.BURST
    assert budgets.spend("b", 1.0) and not budgets.spend("a", 1.0)
    now[0] += 2.5
    assert [budgets.spend("a", 1.0) for _ in range(3)] == [True, True, False]
    for i in range(50):
        budgets.spend(f"c{i}", 1.0)
    assert len(budgets) == 3


def test_what_was_not_needed_comes_back_and_more_is_never_owed_than_all():
    budgets = limits.Budgets(clock=lambda: 0.0)
    for _ in range(1000):
        assert budgets.spend("a", limits.FIRST)
        budgets.settle("a", 0.005)
        if _ % 100 == 0:
            budgets.settle("a", -limits.FIRST)  # as time would
    budgets.settle("a", 600.0)
    assert not budgets.spend("a", limits.FIRST) and budgets.spend("a", 0.0)


def test_one_long_piece_of_work_at_a_time():
    budgets = limits.Budgets()
    with budgets.one_job("a"), budgets.one_job("b"), budgets.one_job(None), budgets.one_job(None):
        second = budgets.one_job("a")
        with pytest.raises(ValueError, match="One long piece"):
            second.__enter__()
    with budgets.one_job("a"):
        pass


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("127.0.0.1", "", None),
        ("10.0.0.7", "8.8.4.4", "8.8.4.4"),
        ("10.0.0.7", "1.2.3.4, 8.8.4.4, 10.1.1.1", "8.8.4.4"),  # the front is the visitor's own word
        ("8.8.4.4", "1.2.3.4", "8.8.4.4"),
        ("192.168.1.5", "", "192.168.1.5"),
        ("127.0.0.1", "nonsense, ::1", None),
        ("10.0.0.7", "2606:4700::1234:5678", "2606:4700::/64"),
        ("::ffff:8.8.4.4", "", "8.8.4.4"),
    ],
)
def test_a_visitor_is_the_address_that_our_own_proxy_saw(peer, forwarded, who):
    assert limits.visitor(peer, forwarded) == who


# ---- over HTTP ----


def join(web, who: str, **body):
    body = {"fn_index": 0, "data": [None], "session_hash": "s" * 11} | body
    return web.post("/gradio_api/queue/join", json=body, headers={"X-Forwarded-For": who})


def test_status_says_how_it_goes_and_nothing_personal(web):
    said = web.get("/status").json()
    assert set(said) == {"device", "memory_mb", "queue", "visitors"} and said["memory_mb"] > 100


def test_gradio_keeps_no_table_of_what_happened(web):
    """It would be made anew after each event, from thousands of them: half the server's work within ten minutes."""
    generate, queue = HANDLERS["api.generate"]._id, app.demo._queue
    for seed in range(3):
        data = [json.dumps({"v": 1, "generator": "portraits", "seed": seed})]
        assert join(web, "8.8.8.9", fn_index=generate, data=data).status_code == 200
    until = time.monotonic() + 120
    while queue.event_ids_to_events and time.monotonic() < until:
        time.sleep(0.05)
    assert not queue.event_ids_to_events
    assert len(queue.event_analytics) <= 1 and queue.cached_event_analytics_summary == {"functions": {}}


def test_who_asks_too_much_is_told_so_at_once_and_others_go_on(web):
    answers = [join(web, "8.8.4.4", fn_index=10**6) for _ in range(40)]
    assert [a.status_code for a in answers].count(429) >= 5
    assert answers[-1].json()["detail"] == limits.BUSY
    assert join(web, "8.8.8.8", fn_index=10**6).status_code != 429


def test_a_move_of_the_strength_is_answered_past_the_queue_and_counts(web):
    picture = next(block for block in app.demo.blocks.values() if block.elem_id == "picture")

    def move(**given):
        body = {"data": given, "component_id": picture._id, "fn_name": "move", "session_hash": "m" * 11}
        return web.post("/gradio_api/component_server", json=body, headers={"X-Forwarded-For": "8.8.4.7"})

    answer = move(strength=1.5, at=1.0).json()
    assert answer["strength"] == 1.5 and answer["frame"]["image"].startswith("data:image/jpeg")
    assert move(strength=2.0, at=0.5).json() is None  # overtaken
    assert move(strength="x", at=2.0).status_code == move(to="left", at=3.0).status_code == 400
    assert 429 in [move().status_code for _ in range(40)]


def test_ten_megabytes_are_refused_at_once(web):
    answer = web.post("/gradio_api/queue/join", content=b'{"data": ["' + b"A" * 10**7 + b'"]}')
    assert answer.status_code == 413 and "at most" in answer.json()["detail"]


def test_a_file_costs_its_visitor_by_its_size_and_has_a_bound(web):
    def bring(megabytes: int, who: str):
        files = {"files": ("mine.jpg", b"\xff" * (megabytes * 10**6), "image/jpeg")}
        return web.post("/gradio_api/upload", files=files, headers={"X-Forwarded-For": who})

    refused = bring(44, "8.8.4.5")
    assert refused.status_code == 413 and "at most 41 MB are accepted" in refused.json()["detail"]
    assert [bring(39, "8.8.4.5").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert bring(1, "8.8.4.6").status_code == 200


def test_a_request_of_unknown_length_is_refused(web):
    assert web.post("/gradio_api/queue/join", content=iter([b"{}"])).status_code == 411


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/file=/etc/passwd", "/gradio_api/file=app.py", "/gradio_api/file=../app.py", "/file=/etc/passwd",
     "/gradio_api/file=assets/../app.py", "/static/../../app.py", "/gradio_api/file=%2e%2e%2fapp.py"],
)  # fmt: skip
def test_no_path_leads_to_a_file_of_ours(web, path):
    assert web.get(path).status_code in (403, 404)


@pytest.mark.parametrize("data", [b"[" * 500_000, b"{", b"\xff\xfe", b"null", b'{"data": NaN}'])
def test_what_is_no_request_is_refused(web, data):
    answer = web.post("/gradio_api/queue/join", content=data, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert web.get("/status").status_code == 200
