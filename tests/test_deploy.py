"""The page as a Space: what goes there, against a small real Hub."""

import re
import tomllib
from pathlib import Path

import pytest

from panda_core.__main__ import main
from panda_core.hub.upload import SPACE_FILES, stage_space

ROOT = Path(__file__).parents[1]


@pytest.fixture
def server(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    return hub


def files(server, repo="owner/panda") -> dict:
    return server.repo(repo, "space").files


def changes(server) -> list:
    return [request for request in server.requests if request[0] not in ("GET", "HEAD")]


def test_a_dry_run_says_all_and_sends_nothing(server, capsys):
    assert main(["deploy", "owner/panda", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Create the Space owner/panda") and "put     app.py" in said
    assert not changes(server)


def test_a_space_is_made_then_updated_and_what_is_no_longer_ours_goes(server, capsys):
    assert main(["deploy", "owner/panda"]) == 0
    there = files(server)
    assert there["app.py"] == (ROOT / "app.py").read_bytes()
    assert (
        there["assets/portraits/generator.safetensors"]
        == (ROOT / "assets/portraits/generator.safetensors").read_bytes()
    )
    assert {name.split("/")[0] for name in there} - {".gitattributes"} == set(SPACE_FILES)
    assert not [name for name in there if "__pycache__" in name or name.startswith(("tests", "tools", "benchmarks"))]
    server.put("owner/panda", "ui/old.py", b"x", repo_type="space")
    server.put("owner/panda", "notes.txt", b"the owner's", repo_type="space")
    assert main(["deploy", "owner/panda"]) == 0
    said = capsys.readouterr().out
    assert "Update the Space owner/panda" in said and "delete  ui/old.py" in said
    assert "ui/old.py" not in files(server) and files(server)["notes.txt"] == b"the owner's"


def test_the_thumbnail_is_the_spaces_own(server):
    main(["deploy", "owner/panda"])
    header = files(server)["README.md"].decode().split("---")[1]
    thumbnail = re.search(r"thumbnail: (.*)", header)[1]
    assert thumbnail.startswith(f"{server.url}/spaces/owner/panda/resolve/main/")
    assert thumbnail.rpartition("/main/")[2] in files(server)


@pytest.mark.parametrize("name", ["panda", "a/b/c", "../x/y", "owner/", "a b/c"])
def test_a_bad_name_is_a_sentence(server, name, capsys):
    assert main(["deploy", name]) == 1
    assert "OWNER/NAME" in capsys.readouterr().err and not server.requests


def test_a_token_that_may_not_is_a_sentence(server, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert main(["deploy", "owner/panda"]) == 1
    assert "HF_TOKEN" in capsys.readouterr().err


def test_the_hub_down_is_a_sentence_and_nothing_is_sent(server, capsys):
    server.fail("/main", "500")
    assert main(["deploy", "owner/panda"]) == 1
    assert "fault of its own" in capsys.readouterr().err and not changes(server)


def test_an_incomplete_copy_of_the_project_is_not_deployed(tmp_path):
    (tmp_path / "app.py").touch()
    with pytest.raises(ValueError, match=r"lacks README\.md, .*; deploy from a whole copy of the project"):
        stage_space("owner/panda", tmp_path / "new", tmp_path)


def header() -> dict:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1].splitlines()
    return dict(re.match(r"(\w+): *(.*)", line).groups() for line in lines if re.match(r"\w+:", line))


def test_the_header_is_what_a_space_wants():
    given, pins = header(), (ROOT / "requirements.txt").read_text()
    assert given["sdk"] == "gradio" and f"gradio[mcp]=={given['sdk_version']}" in pins
    assert given["python_version"] == '"3.12"' and (ROOT / given["app_file"]).is_file()
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {given["colorFrom"], given["colorTo"]} <= colours
    assert len(given["short_description"]) <= 60 and given["license"] == "mit" and (ROOT / "LICENSE").is_file()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.11"
