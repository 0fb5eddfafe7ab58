"""What chat apps are told of a link: the page's tags and /preview.jpg, over HTTP as their crawlers ask."""

import html
import io
import re
from dataclasses import replace

import httpx
import pytest
from PIL import Image

import app
from panda_core.links import encode_link
from panda_core.ops import Edit
from panda_core.popular import popular
from panda_core.recipes import Recipe
from panda_core.regions import Region
from ui.server import events, preview
from ui.server.limits import Budgets

SCRIPT = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
HOSTILE = ["r=1broken", "r=%00", "r=%ff", "r=" + 10_000 * "A", "r=1" + SCRIPT, f"r={SCRIPT}", "r=1" + 3000 * "B", "r=",
           "r=%F0%9F%90%BC", "r=1a&r=1b", "r[]=1", "%", "x=" + SCRIPT]  # fmt: skip
EVIL = ['a"onload=alert(1)//', "a'b", "a<script>b", "a b", "x" * 300]


@pytest.fixture(scope="module")
def edited() -> Recipe:
    return Recipe("portraits", seed=49, edits=(named("shorter hair"),))


def named(name: str) -> Edit:
    return next(change.edit for change in popular(app.renderer.catalogue, "portraits") if change.name == name)


@pytest.fixture(scope="module")
def start(web) -> bytes:
    return web.get("preview.jpg").content


def tags(answer: httpx.Response) -> dict[str, list[str]]:
    """Name -> contents of all <meta> of a page that chats read."""
    assert answer.status_code == 200
    found = re.findall(r'<meta\s+(?:property|name)="([^"]*)"\s+content="([^"]*)"\s*/>', answer.text)
    found = [(name, html.unescape(content)) for name, content in found if re.match("og:|twitter:|description", name)]
    assert answer.text.count("og:") == sum(name.startswith("og:") for name, _ in found)
    return {name: [c for n, c in found if n == name] for name, _ in found}


def only(answer: httpx.Response) -> dict[str, str]:
    found = tags(answer)
    assert all(len(contents) == 1 and contents[0] for contents in found.values()), found
    return {name: contents[0] for name, contents in found.items()}


def is_preview(answer: httpx.Response) -> bool:
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return (answer.headers["content-type"], image.format, image.size) == ("image/jpeg", "JPEG", (1200, 630))


def test_the_page_comes_packed_to_who_can_unpack_it(web):
    packed, plain = (web.get("/", headers={"accept-encoding": how}) for how in ("gzip, br", "identity"))
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert (
        int(packed.headers["content-length"]) == packed.num_bytes_downloaded < int(plain.headers["content-length"]) / 5
    )
    assert "accept-encoding" in plain.headers["vary"].lower() and only(packed) == only(plain)


def test_the_start_page_has_tags_of_its_own_once_each(web, url):
    said = only(web.get("/"))
    assert said["og:title"] == said["twitter:title"] == "PandA: click a part, change it"
    assert said["og:url"] == url and said["og:image"] == said["twitter:image"] == f"{url}preview.jpg"
    assert (said["og:image:width"], said["og:image:height"]) == ("1200", "630")
    assert said["og:type"] == "website" and said["twitter:card"] == "summary_large_image"
    assert said["description"] == said["og:description"] == said["twitter:description"]


def test_a_link_says_its_edits_and_shows_its_picture_at_the_address_that_the_proxy_has(web, edited, start):
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "me-panda.hf.space"}
    link, words = encode_link(edited), app.pictures.edits_words(app.opening.opened(edited))
    said = only(web.get("/", params={"r": link}, headers=headers))
    assert said["og:title"] == f"PandA: {words}"
    assert said["og:url"] == f"https://me-panda.hf.space/?r={link}"
    assert said["og:image"] == f"https://me-panda.hf.space/preview.jpg?r={link}"
    answer = web.get(said["og:image"].removeprefix("https://me-panda.hf.space"))
    assert is_preview(answer) and answer.headers["cache-control"] == "public, max-age=86400"
    plain = web.get("preview.jpg", params={"r": encode_link(replace(edited, edits=()))})
    assert is_preview(plain) and len({answer.content, plain.content, start}) == 3


def test_before_is_on_the_left_and_after_on_the_right(web, edited):
    def halves(name: str) -> list[bytes]:
        answer = web.get("preview.jpg", params={"r": encode_link(replace(edited, edits=(named(name),)))})
        image = Image.open(io.BytesIO(answer.content))
        return [image.crop((x, 64, x + 480, 560)).tobytes() for x in (64, 656)]

    (before, after), (same, another) = halves("shorter hair"), halves("hat")
    assert before == same and len({before, after, another}) == 3


@pytest.mark.parametrize("query", HOSTILE)
def test_a_broken_link_shows_the_start_page(web, start, query):
    answer, shown = web.get(f"preview.jpg?{query}"), web.get(f"/?{query}")
    assert answer.status_code == 200 and answer.content == start
    said = only(shown)
    assert said["og:title"] == preview.TITLE and said["og:image"].endswith("/preview.jpg")
    assert "<script>alert" not in shown.text and "Traceback" not in shown.text


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host"])
@pytest.mark.parametrize("host", EVIL)
def test_a_strange_host_does_not_get_into_the_page(web, name, host):
    answer = web.get("/", headers={name: host})
    if answer.status_code != 200:  # the server or Gradio refuses some itself
        assert answer.status_code == 400
    else:
        said = only(answer)
        assert not {"og:url", "og:image", "twitter:image"} & said.keys()
    assert host not in answer.text.partition("<script")[0] and "<script>b" not in answer.text


def test_what_does_not_fit_the_generator_shows_the_start_page(web, start, edited):
    far = Edit("add", 5, "bundled:l5-call-psi0.8-256x16", Region((9999,)), appearance=9999, strength=1.0)
    for recipe in (replace(edited, edits=(far,)), replace(edited, weights="0" * 64), replace(edited, generator="ffhq")):
        assert web.get("preview.jpg", params={"r": encode_link(recipe)}).content == start
        assert only(web.get("/", params={"r": encode_link(recipe)}))["og:title"]


def test_a_crawler_never_makes_the_page_learn_parts(web, start, edited, empty_home):
    name = "fit:5,32,4,64,3,0.8,all"
    link = encode_link(replace(edited, edits=(Edit("add", 5, name, Region((1,)), appearance=2, strength=1.0),)))
    assert web.get("preview.jpg", params={"r": link}).content == start
    assert only(web.get("/", params={"r": link}))["og:title"] == preview.TITLE
    assert not app.renderer.catalogue.knows("portraits", name)


def test_who_has_asked_for_too_much_is_told_so_and_still_gets_the_page(web, edited, monkeypatch):
    monkeypatch.setattr(preview, "BUDGETS", spent := Budgets(refill=0.0))
    monkeypatch.setattr(events, "BUDGETS", spent)
    mine, link = {"X-Forwarded-For": "8.8.4.4"}, {"r": encode_link(edited)}
    assert web.get("preview.jpg", params=link, headers=mine).status_code == 200
    spent.settle("8.8.4.4", 100.0)
    answer = web.get("preview.jpg", params=link, headers=mine)
    assert answer.status_code == 429 and answer.headers["cache-control"] == "no-store"
    assert only(web.get("/", params=link, headers=mine))["og:title"] == preview.TITLE
    assert web.get("preview.jpg", params=link, headers={"X-Forwarded-For": "8.8.8.8"}).status_code == 200


def test_every_preview_is_paid_for_and_a_kept_one_costs_next_to_nothing(web, edited, monkeypatch):
    monkeypatch.setattr(preview, "BUDGETS", budgets := Budgets(refill=0.0))
    monkeypatch.setattr(events, "BUDGETS", budgets)
    link = encode_link(replace(edited, seed=123456))
    left = []
    for _ in range(3):
        assert web.get("preview.jpg", params={"r": link}, headers={"X-Forwarded-For": "8.8.4.4"}).status_code == 200
        left.append(budgets._left["8.8.4.4"][0])
    drawn, first_kept, second_kept = 30 - left[0], left[0] - left[1], left[1] - left[2]
    assert 0 < drawn < 30 and drawn > 2 * max(first_kept, second_kept)


def test_other_requests_pass_untouched(web):
    assert web.head("/").status_code == 200
    assert web.get("/x/preview.jpg").status_code == 404 and web.post("/preview.jpg").status_code == 404


@pytest.mark.parametrize("root", ["/panda", "https://example.org/panda"])
def test_under_a_root_path_the_address_has_it(root):
    scope = {"type": "http", "scheme": "http", "root_path": root, "headers": [(b"host", b"example.org")]}
    assert preview.origin(scope) == ("http" if root[0] == "/" else "https") + "://example.org/panda"
