"""Publishing by the command line: factors and converted generators with their cards, against a small real Hub."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from panda_core import __main__ as cli
from panda_core import loading
from panda_core.catalogue import Catalogue
from panda_core.checkpoints.load import save_generator
from panda_core.factors import Factors
from panda_core.generators.registry import GENERATORS
from panda_core.generators.stylegan2 import StyleGAN2
from tests.helpers import LOADED, fit_tiny


@pytest.fixture
def fitted_file(hub, monkeypatch) -> Path:
    """A file that `fit` wrote, of the local generator net.safetensors."""
    save_generator(StyleGAN2.tiny(0), hub.home / "net.safetensors")
    monkeypatch.setattr(loading, "shared", loading.Loader())
    factors = fit_tiny(3).with_info(generator=f"file:{hub.home}/net.safetensors", part_names={0: "hat"})
    path = hub.home / "fitted.safetensors"
    factors.save(path)
    return path


def test_a_dry_run_says_what_it_would_do_and_does_nothing(hub, fitted_file, capsys):
    assert cli.main(["publish", str(fitted_file), "owner/parts", "--dry-run"]) == 0
    out = capsys.readouterr().out
    where = f"factors/{LOADED.weights}/l3-call-psi1-12x4"
    assert "To owner/parts (public, made if missing):" in out and "Nothing was sent." in out
    assert f"{where}.safetensors" in out and f"{where}.png" in out and "README.md" in out and "parts: hat" in out
    assert not hub.repos


def test_published_factors_can_be_loaded_as_the_card_says(hub, fitted_file, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    assert cli.main(["publish", str(fitted_file), "owner/parts", "--private"]) == 0
    assert "http" in capsys.readouterr().out
    repo = hub.repo("owner/parts")
    where = f"factors/{LOADED.weights}/l3-call-psi1-12x4"
    assert repo.private and {f"{where}.safetensors", f"{where}.png", "README.md"} < set(repo.files)
    with Image.open(io.BytesIO(repo.files[f"{where}.png"])) as picture:
        assert picture.size == (128, 64)
    card = repo.files["README.md"].decode()
    assert card.startswith("---\nlicense: other") and f"![Four pictures and their parts]({where}.png)" in card
    lines = card.split("```python\n")[1].split("```")[0]
    scope = {}
    exec(lines, scope)
    assert torch.equal(scope["factors"].parts, Factors.load(fitted_file).parts)


def test_a_second_publication_keeps_the_first_and_replaces_itself(hub, fitted_file, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    other = hub.home / "other.safetensors"
    fit_tiny(5, R_C=6).with_info(generator=f"file:{hub.home}/net.safetensors").save(other)
    for path in (fitted_file, other, fitted_file):
        assert cli.main(["publish", str(path), "owner/parts"]) == 0
    card = hub.repo("owner/parts").files["README.md"].decode()
    assert card.count("## l3-call-psi1-12x4") == card.count("## l5-call-psi1-6x4") == 1
    assert card.count("license: other") == 1


def test_a_converted_generator_is_published_if_its_licence_allows_it(hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    for name, licence in (
        ("free", "CC-BY-4.0; Self-Distilled StyleGAN"),
        ("bound", GENERATORS["panda-ffhq"].licence),
        ("mute", ""),
    ):
        more = {"licence": licence} if licence else {}
        save_generator(StyleGAN2.tiny(0), hub.home / f"{name}.safetensors", more)
    assert cli.main(["publish", str(hub.home / "free.safetensors"), "owner/gan"]) == 0
    files = hub.repo("owner/gan").files
    assert b"license: cc-by-4.0" in files["README.md"]
    assert Catalogue(own=True).generator("owner/gan/free.safetensors").weights == LOADED.weights
    for name, licence in (("bound", "NVIDIA-NC;"), ("mute", "unknown")):
        assert cli.main(["publish", str(hub.home / f"{name}.safetensors"), "owner/bad"]) == 1
        error = capsys.readouterr().err
        assert f"has the licence '{licence}" in error and "only mit, apache-2.0" in error
    assert ("model", "owner/bad") not in hub.repos


@pytest.mark.parametrize(("token", "repo", "sentence"), [
    (None, "owner/parts", "refuses the token, or wants one, for owner/parts; set HF_TOKEN to a token that may write to"
                          " it."),
    ("hf_wrong", "owner/parts", "refuses the token, or wants one, for owner/parts"),
    ("hf_owner", "other/parts", "does not allow this for other/parts (403); set HF_TOKEN to a token that may write to"),
    ("hf_owner", "a b", "The repository is 'a b'; its name must be OWNER/NAME."),
])  # fmt: skip
def test_what_may_not_be_written_is_said(hub, fitted_file, monkeypatch, capsys, token, repo, sentence):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    assert cli.main(["publish", str(fitted_file), repo]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert sentence in error


def test_only_what_fit_or_convert_wrote_is_published(hub, capsys):
    path = hub.home / "x.safetensors"
    path.write_bytes(b"nothing")
    assert cli.main(["publish", str(path), "owner/parts"]) == 1
    assert "x.safetensors cannot be published: it must be a file that fit or convert wrote." in capsys.readouterr().err


def test_a_card_that_somebody_wrote_keeps_its_words(hub, fitted_file, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    written = "---\nlicense: mit\nlanguage: de\n---\n# Mine\n\nWords.\n\n## More\n\nOf them.\n"
    hub.put("owner/parts", "README.md", written.encode())
    assert cli.main(["publish", str(fitted_file), "owner/parts"]) == 0
    assert hub.repo("owner/parts").files["README.md"].decode().startswith(f"{written}\n## l3-call")


@pytest.mark.parametrize("header", ["[1, 2]", "a: [", "license: {{ x }}: y"])
def test_a_card_whose_header_is_broken_is_left_alone(hub, fitted_file, monkeypatch, capsys, header):
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    hub.put("owner/parts", "README.md", f"---\n{header}\n---\n# Mine\n".encode())
    assert cli.main(["publish", str(fitted_file), "owner/parts"]) == 1
    assert "The header of owner/parts's README.md cannot be read; mend it there first." in capsys.readouterr().err
    assert list(hub.repo("owner/parts").files) == ["README.md"]
