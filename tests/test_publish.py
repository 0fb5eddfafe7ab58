"""Factors published from the page: as the visitor who has signed in, against a small real Hub; then in Chromium."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import constants
from playwright.sync_api import expect

import app
from panda_core import hub
from panda_core.catalogue import Catalogue
from panda_core.factors import Factors
from panda_core.hub import deploy
from panda_core.hub.publishing import prepare
from panda_core.progress import Cancelled
from tests.browser import PATIENCE, ready, serious, unfold
from tests.hub_server import HubServer
from tests.openid_server import TOKEN, OpenID
from ui import bundle, factors, jobs, publish, view

ROOT = Path(__file__).parents[1]
REPO = "owner/panda-factors"


def go_on(progress):
    return True


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Hub; this machine's own token is somebody else's."""
    with HubServer() as server:
        server.attach(tmp_path, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", "hf_other")
        monkeypatch.setenv("PANDA_HOME", str(tmp_path / "panda"))
        yield server


@pytest.fixture
def session(server):
    """A visitor with a part of their own name."""
    return factors.rename_part(view.start(), "fringe")


def published(session, repo=REPO, token=TOKEN):
    return publish.commit(publish.draft(session, repo, go_on), token, go_on)


def meant(data: bytes):
    """A file's bytes; of safetensors header and tensors, since the order of its metadata differs from save to save."""
    if not data[8:].startswith(b'{"__metadata__"'):
        return data
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def test_the_repository_gets_what_the_command_line_would_put_there(server, session, tmp_path):
    own = view.factors_of(session)
    file = tmp_path / bundle.factors_file(own)[0]
    own.save(file)
    expected = prepare(file, REPO, Catalogue())
    expected = {k: v if isinstance(v, bytes) else v.read_bytes() for k, v in expected.items()}
    expected = {name: meant(data) for name, data in expected.items()}
    server.tokens.clear()
    made = published(session)
    there = server.repo(REPO).files
    assert {name: meant(there[name]) for name in expected} == expected and set(there) == {*expected, ".gitattributes"}
    assert "fringe" in there["README.md"].decode() and not server.repo(REPO).private
    assert made == (session.factors_id, REPO, own.path(Path()).as_posix())
    assert set(server.tokens) == {f"Bearer {TOKEN}", None}  # None: large files go to another host
    unsigned = [r for r, token in zip(server.requests[-len(server.tokens) :], server.tokens) if token is None]
    assert {path.split("/")[1] for _, path, _ in unsigned} <= {"lfs-upload", "lfs-verify"}


def test_factors_published_later_join_the_card(server, session):
    published(session)
    other = view.renderer.catalogue.add_own("portraits", view.factors_of(session).with_info(psi=0.5))
    published(session.use_factors(session.layer, other))
    files = server.repo(REPO).files
    assert files["README.md"].decode().count("\n## l5-") == 2 and sum(f.endswith(".png") for f in files) == 2


def test_the_page_says_where_it_is_and_how_recipes_name_it_if_they_may(server, session, monkeypatch):
    made = published(session)
    shown = publish.words(session.keep_made(publish.draft, made))
    assert f"{server.url}/{REPO}/blob/main/{made[2]}" in shown and "hub:" not in shown
    monkeypatch.setattr(view.renderer.catalogue, "own", True)
    assert f"hub:{REPO}@main/{made[2]}" in publish.words(session.keep_made(publish.draft, made))
    opened = Catalogue(own=True).factors("portraits", f"hub:{REPO}@main/{made[2]}")
    assert opened.digest() == view.factors_of(session).digest()
    assert publish.words(view.start().keep_made(publish.draft, made)) == ""  # other factors are in use


def test_a_file_that_names_another_generator_downloads_nothing(server, session):
    stranger = view.factors_of(session).with_info(generator="panda-ffhq")
    factors_id = view.renderer.catalogue.add_own("portraits", stranger)
    _, _, path = published(session.use_factors(session.layer, factors_id))
    file = Path(os.environ["PANDA_HOME"]) / "back.safetensors"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(server.repo(REPO).files[path])
    assert Factors.load(file).info.generator == "portraits"


REFUSED = [
    ("hf_expired", REPO, None, "refuses the token, or wants one, for owner/panda-factors; sign in again."),
    (TOKEN, "other/parts", None, "(403); choose a repository of yours that was made here, or a new name."),
    (TOKEN, REPO, ("/repos/create", "forbidden"), "(403); choose a repository of yours that was made here, or a new"),
    (TOKEN, REPO, ("/repos/create", "500"), "has a fault of its own (500); try again in a few minutes."),
    (TOKEN, REPO, ("/commit/main", "429"), "takes no more requests from here for now (429); try again in 7 seconds."),
    (TOKEN, "no-owner", None, "The repository is 'no-owner'; its name must be OWNER/NAME."),
    (TOKEN, "owner/a b", None, "The repository is 'owner/a b'; its name must be OWNER/NAME."),
    (TOKEN, "../models", None, "'../models' is not the name of a repository; it must be owner/name."),
    (TOKEN, None, None, "The repository is ''; its name must be OWNER/NAME."),
]


@pytest.mark.parametrize(("token", "repo", "fault", "words"), REFUSED)
def test_what_the_hub_refuses_is_a_sentence_without_the_token(server, session, caplog, token, repo, fault, words):
    caplog.set_level(logging.DEBUG)
    if fault:
        server.fail(*fault)
    with pytest.raises(ValueError) as caught:
        published(session, repo, token)
    assert words in str(caught.value)
    chain = [caught.value]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    assert token not in "".join(map(repr, chain)) + caplog.text
    assert not [repo for repo in server.repos.values() if len(repo.commits) > 1]


def test_without_a_hub_it_is_a_sentence(server, session, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", nobody)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nobody + "/{repo_id}/resolve/{revision}/{filename}")
    with pytest.raises(hub.HubError, match="cannot be reached"):
        published(session)


def test_a_card_of_any_size_is_not_taken_in(server, session):
    server.put(REPO, "README.md", b"x" * 3 * 2**20)
    with pytest.raises(hub.HubError, match=r"README\.md of owner/panda-factors has over 1\.05 MB; shorten it"):
        published(session)
    assert list(server.repo(REPO).files) == ["README.md"]


def test_what_ships_with_the_page_is_not_published(server):
    with pytest.raises(ValueError, match="came with the page or from the Hub"):
        publish.draft(view.start(), REPO, go_on)
    assert not server.requests


def test_cancelled_before_the_commit_nothing_is_there(server, session):
    drafted = publish.draft(session, REPO, go_on)
    with pytest.raises(Cancelled):
        publish.commit(drafted, TOKEN, lambda progress: False)
    assert not server.repos and {method for method, _, _ in server.requests} <= {"HEAD", "GET"}


def test_signed_out_nothing_is_drawn_or_sent(server, session):
    with pytest.raises(ValueError, match="You are not signed in, or no longer"):
        list(jobs.sending(lambda *_: pytest.fail("it began"), publish.commit)(session, None, REPO))


def test_elsewhere_than_on_a_space_with_sign_in_there_is_no_button():
    assert "OAUTH_CLIENT_ID" not in os.environ
    assert not {b.elem_id for b in app.demo.blocks.values()} & {"sign-in", "publish-factors", "repository"}
    assert not app.demo.expects_oauth


def test_the_space_asks_for_the_smallest_scope_that_will_do(server):
    planned = deploy.plan("owner/panda")
    header = planned.files["README.md"].decode().split("---")[1]
    assert "hf_oauth: true\nhf_oauth_scopes:\n  - contribute-repos\n" in header
    assert "oauth" in (ROOT / "requirements.txt").read_text().partition("gradio[")[2].partition("]")[0]


# ---- in Chromium, on what takes itself for a Space ----


@pytest.fixture
def space(tmp_path):
    """(address of a page, its Hub, its log) whose visitors can sign in as `owner`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with OpenID() as provider, HubServer() as server, (tmp_path / "log").open("w+") as log:
        here = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        environment = os.environ | server.environ(tmp_path) | provider.environ(f"127.0.0.1:{port}") | here
        environment["HF_TOKEN"] = "hf_other"  # the Space owner's
        command = [sys.executable, "app.py"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process, tmp_path / "log")
            yield url, server, provider, tmp_path
        finally:
            process.terminate()
            process.wait(20)


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/status", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(log.read_text()[-3000:])


def test_a_visitor_signs_in_in_another_tab_and_publishes_what_was_named_here(chromium, space):
    url, server, provider, folder = space
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, locale="en-US")
    context.set_default_timeout(PATIENCE)
    context.route(lambda address: not address.startswith((url, provider.url, "data:", "blob:")), lambda r: r.abort())

    def unfolded(page):
        unfold(ready(page), "Factors")
        return page

    def visit():
        page = context.new_page()
        page.goto(url)
        return unfolded(page)

    here = visit()
    name = here.locator("#name-part textarea, #name-part input")
    expect(name).not_to_have_value("")  # what is typed before the panel is filled would be lost
    name.fill("fringe")
    here.locator("#name-part button").click()
    expect(here.locator("#using input")).to_have_value(re.compile("your own"))
    here.locator("#repository textarea, #repository input").fill(REPO)
    here.locator("#publish-factors").click()
    expect(here.get_by_text("You are not signed in, or no longer.")).to_be_visible()
    assert not server.requests

    there = visit()
    there.locator("#sign-in").click()
    expect(there.locator("#sign-in")).to_have_count(0)  # the page opens anew, all folded
    expect(unfolded(there).locator("#sign-in")).to_have_text("Sign out (owner)")
    expect(there.locator("#repository textarea, #repository input")).to_have_value(REPO)
    assert provider.asked == ["openid profile contribute-repos"]

    here.locator("#publish-factors").click()
    link = here.locator("#published a")
    expect(link).to_have_text(REPO)
    path = link.get_attribute("href").removeprefix(f"{server.url}/{REPO}/blob/main/")
    files = server.repo(REPO).files
    assert path in files and "fringe" in files["README.md"].decode()
    assert set(server.tokens) == {f"Bearer {TOKEN}", None}
    expect(here.locator(".job:visible")).to_have_count(0)
    assert not serious(here)

    context.request.get(f"{url}/logout", max_redirects=0)
    here.locator("#publish-factors").click()
    expect(here.get_by_text("You are not signed in, or no longer.").last).to_be_visible()
    context.close()
    with urllib.request.urlopen(f"{url}/gradio_api/info") as info:  # for programs all is as elsewhere
        assert json.load(info)["named_endpoints"].keys() == app.demo.get_api_info()["named_endpoints"].keys()
    said = (folder / "log").read_text()
    kept = [file for file in folder.rglob("*") if file.is_file() and TOKEN.encode() in file.read_bytes()]
    assert json.loads(next(line for line in said.splitlines() if '"draft"' in line)) and not kept
