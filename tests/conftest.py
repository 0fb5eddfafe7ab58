"""The page in headless Chromium, for every test_browser*.py, and hypothesis with the same examples in every run.

`pytest --hypothesis-profile=default` draws others.
"""

import os
import shutil
import socket
import tempfile
import types

import httpx
import hypothesis
import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium is not installed"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")
TEMP = tempfile.TemporaryDirectory(prefix="panda-tests-")
os.environ["GRADIO_TEMP_DIR"] = TEMP.name  # components read it when app.py is imported, whichever test does so


LONGEST = "browser", "zerogpu", "checkpoints", "hub", "own_picture_panel", "inversion", "training", "strangers"


def pytest_collection_modifyitems(items):
    """With a worker for each core the longest files come first, so that none is left for the end."""
    rank = {f"test_{name}.py": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session")
def url():
    """One running page for all tests that need one: no visitor of it knows of another."""
    import app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"prevent_thread_lock": True, "server_name": "127.0.0.1", "server_port": port, "quiet": True}
    _, address, _ = app.demo.launch(**options, **app.LAUNCH)
    yield address
    app.demo.close()


@pytest.fixture(scope="module")
def web(url):
    """Whoever asks the page over HTTP without a browser."""
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def hand():
    """A session with a change in hand."""
    from .page import edited

    return edited()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PANDA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def empty_home(home):
    """Nobody has fitted, looked at or published anything."""
    import app

    app.pictures.kept.discard(lambda key: key[0] == "ranking")  # the rest is the same whatever was done before


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright  # tests without a browser do without it

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, url):
    """visit(query, **context) -> page; afterwards: no script error, no console error, nothing asked of other hosts."""
    from .browser import PATIENCE, ready

    contexts, errors, outside = [], [], []

    def go(query: str = "", wait: bool = True, **options):
        options = {"viewport": {"width": 1440, "height": 1000}, "locale": "en-US"} | options
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        inside = (url, "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(inside) else outside.append(r.url))
        page.goto(url + query)
        if wait:
            ready(page)
        return page

    yield go
    for context in contexts:
        context.close()
    assert not errors
    assert not outside


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A small Hub, this process's client pointed at it, and empty caches."""
    from huggingface_hub import constants, file_download

    from .hub_server import HubServer

    with HubServer() as server:
        server.attach(tmp_path, monkeypatch)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "SPACE_ID", "PANDA_OWN_GENERATORS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PANDA_HOME", str(tmp_path / "panda"))
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**18)  # small files arrive in pieces, too
        monkeypatch.setattr(file_download, "time", types.SimpleNamespace(sleep=lambda seconds: None))  # before a retry
        server.home = tmp_path
        yield server
