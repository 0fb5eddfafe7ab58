"""Files from and to the Hub, and from plain addresses: takes and returns paths. Only here is huggingface_hub used.

Files of the Hub lie in the Hub's own cache (HF_HOME), where its client and every other program finds them; those of
plain addresses in the user's folder. The client of huggingface_hub 2 begins a broken download again from nothing and
speaks up every 10 MB, so it is asked for the file's hash, its place and the answer's stream, and the bytes are put
where it would have put them; it then finds them there.
"""

import hashlib
import os
import platform
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub as client
from huggingface_hub import constants, errors
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers, get_session, hf_raise_for_status

from ..generators.registry import HubFile, Source, UrlFile
from ..progress import Cancelled, Progress
from .faults import HubError, disk_setting, explain, explained, is_of_the_disk, megabytes, name_of, status_of
from .faults import address as address

PIECE = 2**18  # bytes
TRIES = 5  # of a transfer that breaks off; one that brought a megabyte counts anew
PAUSE = 1.0  # seconds before the next of them
MINUTES = 10  # between two commits of a folder that is kept
LONGEST_TEXT = 2**20  # bytes of a text file that is read from a repository
Report = Callable[[Progress], bool | None]


def user_folder() -> Path:
    """PANDA_HOME, or `panda` in the platform's cache folder; not made here."""
    if os.environ.get("PANDA_HOME"):
        return Path(os.environ["PANDA_HOME"])
    if platform.system() == "Windows":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "panda"
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "panda"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "panda"


# ---- from there to here ----


def is_offline() -> bool:
    """Whether this machine's owner has forbidden to download (HF_HUB_OFFLINE)."""
    return constants.is_offline_mode()


def find_local(sources: Sequence[Source]) -> Path | None:
    """The file of the first source that is on this machine, whole; asks no network."""
    return next((path for path in map(_local, sources) if path is not None), None)


def _local(source: Source) -> Path | None:
    if isinstance(source, HubFile):
        cached = partial(client.try_to_load_from_cache, revision=source.revision, repo_type=source.repo_type)
        with suppress(errors.HFValidationError):  # no repository is called so; `download` says it
            paths = [cached(source.repo, name) for name in (source.filename, *source.beside)]
            return Path(paths[0]) if all(isinstance(path, str) for path in paths) else None
        return None
    path = _place(source) if isinstance(source, UrlFile) else source.where
    return path if all(p.is_file() for p in (path, *map(path.with_name, source.beside))) else None


def _place(source: UrlFile) -> Path:
    """Where a file from a plain address lies: files of one folder there stay in one folder here."""
    digest = hashlib.sha256(source.url.rpartition("/")[0].encode()).hexdigest()[:12]
    return user_folder() / "downloads" / digest / source.filename


def download(sources: Sequence[Source], report: Report | None = None) -> Path:
    """The file of the first source that has it, on this machine: found, or downloaded, checked, and put in place whole.

    What broke off is taken up where it stopped. Processes that want the same file download it once.

    Args:
        report: told Progress("downloading", bytes, of bytes), where the latter is 0 if nobody knows; returning False
            cancels, and what came is kept.
    Raises: HubError; Cancelled.
    """
    found = find_local(sources)
    if found is not None:
        return found
    faults: list[HubError] = []
    for source in sources:
        if isinstance(source, HubFile | UrlFile):
            try:
                return _fetch(source, report)
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


def _fetch(source: HubFile | UrlFile, report: Report | None) -> Path:
    last = -1.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        if report is None or (time.monotonic() - last < 0.1 and done != total):
            return
        last = time.monotonic()
        if report(Progress("downloading", done, total)) is False:
            raise Cancelled("The download was cancelled; it goes on from there next time.")

    for name in source.beside:  # small ones first: without them the large one is of no use
        if isinstance(source, HubFile):
            _fetch_hub(HubFile(source.repo, name, None, source.revision, source.repo_type), lambda *_: None)
        else:
            _fetch_url(UrlFile(f"{source.url.rpartition('/')[0]}/{name}"), lambda *_: None)
    return (_fetch_hub if isinstance(source, HubFile) else _fetch_url)(source, tell)


def _fetch_hub(source: HubFile, tell: Callable[[int, int], None]) -> Path:
    where = {"repo_type": source.repo_type, "revision": source.revision}
    what = {"repo": source.repo, "file": source.filename, **where}
    with explained(**what):
        address = client.hf_hub_url(source.repo, source.filename, **where)
        about = client.get_hf_file_metadata(address)
    if about.commit_hash is None or not re.fullmatch(r"[\w-]{1,128}", about.etag or ""):  # it becomes a file's name
        raise HubError("server", f"{constants.ENDPOINT} does not answer as the Hub does; check HF_ENDPOINT.")
    large = len(about.etag) == 64  # then it is the file's SHA-256
    if large and source.sha256 not in (None, about.etag):
        _refuse_other(what)

    @contextmanager
    def stream(start: int) -> Iterator[tuple[bool, int, Iterator[bytes]]]:
        headers = build_hf_headers() | {"Accept-Encoding": "identity"} | _range(start)
        limit = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream("GET", address, headers=headers, timeout=limit, follow_redirects=True) as answer:
            hf_raise_for_status(answer)
            yield answer.status_code == 206, int(answer.headers.get("Content-Length", 0)), answer.iter_raw()

    cache, folder = Path(constants.HF_HUB_CACHE), repo_folder_name(repo_id=source.repo, repo_type=source.repo_type)
    blob = cache / folder / "blobs" / about.etag
    size = about.size if source.size is None else source.size
    _receive(stream, blob, cache / ".locks" / folder / f"{about.etag}.lock", size, about.etag if large else None, tell,
             what)  # fmt: skip
    with explained(**what):
        return Path(client.hf_hub_download(source.repo, source.filename, **where))


def _fetch_url(source: UrlFile, tell: Callable[[int, int], None]) -> Path:
    what = {"repo": urllib.parse.urlsplit(source.url).netloc, "file": source.filename, "url": source.url}
    if constants.is_offline_mode():
        explain(errors.OfflineModeIsEnabled(), **what)
    target = _place(source)
    mark = target.with_name(f"{source.filename}.etag")  # which version of the file the part is of

    @contextmanager
    def stream(start: int) -> Iterator[tuple[bool, int, Iterator[bytes]]]:
        same = mark.read_text() if mark.is_file() else ""
        headers = {"User-Agent": "panda_core", "Accept-Encoding": "identity"}
        if same or source.sha256:
            headers |= _range(start) | ({"If-Range": same} if same and start else {})
        request = urllib.request.Request(source.url, headers=headers)
        with urllib.request.urlopen(request, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as answer:
            if answer.status != 206:
                mark.write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
            if answer.headers.get_content_type() == "text/html":  # a page that asks to log in, or says that it is sorry
                _refuse_other(what)
            pieces = iter(lambda: answer.read1(PIECE), b"")
            yield answer.status == 206, int(answer.headers.get("Content-Length", 0)), pieces

    _receive(stream, target, target.with_name(f"{source.filename}.lock"), source.size, source.sha256, tell, what)
    mark.unlink(missing_ok=True)
    return target


def _range(start: int) -> dict[str, str]:
    return {"Range": f"bytes={start}-"} if start else {}


def _receive(stream, target: Path, lock: Path, size: int | None, sha256: str | None, tell, what: dict) -> None:
    """Fill `target` from stream(start) -> (whether it starts there, bytes to come, pieces), whole or not at all."""
    part = target.with_name(f"{target.name}.incomplete")

    def arrived() -> int:
        return part.stat().st_size if part.is_file() else 0

    def take() -> None:  # what one connection brings
        nonlocal size
        with stream(arrived()) as (goes_on, length, pieces):
            done = arrived() if goes_on else 0
            if size and length and size != done + length:
                _refuse_other(what)
            size = size or done + length or None
            _check_room(target.parent, (size or 0) - done, what)
            with part.open("ab" if goes_on else "wb") as file:
                for piece in pieces:
                    file.write(piece)
                    done += len(piece)
                    tell(done, size or 0)
        if size and done < size:
            raise ConnectionError("the connection broke off")

    def take_all() -> None:
        tries, before = TRIES, arrived()
        while size is None or before < size:
            try:
                return take()
            except (Cancelled, HubError):
                raise
            except Exception as error:
                if status_of(error) == 416:
                    part.unlink(missing_ok=True)  # what is here is no beginning of what is there
                tries = TRIES if arrived() - before >= 2**20 else tries - 1
                if not tries or status_of(error) not in (None, 416) or is_of_the_disk(error):
                    raise
            time.sleep(PAUSE)
            before = arrived()
            tell(before, size or 0)

    try:
        for folder in (target.parent, lock.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            while True:
                with suppress(TimeoutError):
                    stack.enter_context(WeakFileLock(lock, timeout=0.3))
                    break
                tell(arrived(), size or 0)  # of the other process, or of the other visitor
            if not target.is_file():
                _check_room(target.parent, (size or 0) - arrived(), what)
                tell(arrived(), size or 0)
                take_all()
                part.touch()  # there are files of no bytes
                _check_whole(part, size, sha256, what)
                part.replace(target)
    except (Cancelled, HubError):
        raise
    except Exception as error:
        explain(error, **what, arrived=arrived(), size=size)


def _check_room(folder: Path, needed: int, what: dict) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise HubError("disk", f"{name_of(**what)} needs {megabytes(needed)} and the disk has {megabytes(free)} left; "
                               f"free some, or set {disk_setting(what)} to a folder on another disk.")  # fmt: skip


def _refuse_other(what: dict) -> NoReturn:
    raise HubError("corrupt", f"{name_of(**what)} is another file now than the one listed; choose another generator.")


def _check_whole(part: Path, size: int | None, sha256: str | None, what: dict) -> None:
    fault, here = "", part.stat().st_size
    if size is not None and here != size:
        fault = f"{here} bytes instead of {size}"
    elif sha256 is not None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256:
            fault = f"its SHA-256 is {digest[:12]}… instead of {sha256[:12]}…"
    if fault:
        part.unlink()
        raise HubError("corrupt", f"{name_of(**what)} arrived damaged ({fault}) and was thrown away; try again.")


# ---- what is there, and from here to there ----


def list_files(repo: str, revision: str = "main", repo_type: str = "model") -> list[str]:
    """The paths of a repository's files; without a network those that are on this machine.

    Raises: HubError.
    """
    try:
        # unlike list_repo_files, no half minute of trying again
        about = client.HfApi().repo_info(repo, revision=revision, repo_type=repo_type, timeout=10)
        return [file.rfilename for file in about.siblings or ()]
    except Exception as error:
        if status_of(error) is None:  # no network
            with suppress(errors.LocalEntryNotFoundError):
                here = client.snapshot_download(repo, revision=revision, repo_type=repo_type, local_files_only=True)
                return [path.relative_to(here).as_posix() for path in Path(here).rglob("*") if path.is_file()]
        explain(error, repo, revision=revision, repo_type=repo_type)


def check_name(repo: str, what: str = "repository") -> None:
    """Raises: ValueError if no repository can be called so."""
    if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", repo, re.ASCII):
        raise ValueError(f"The {what} is {repo[:100]!r}; its name must be OWNER/NAME.")


def read_text(repo: str, path: str, token: str | None = None) -> str | None:
    """A text file of a model repository as it is there now; None if there is none.

    token: of whose account; None: this machine's. What it may read is somebody's own, so nothing of it is kept here.

    Raises: HubError.
    """
    missing, text = (errors.RemoteEntryNotFoundError, errors.RepositoryNotFoundError), b""
    with explained(repo=repo, file=path, signed=token is not None), suppress(*missing):
        address = client.hf_hub_url(repo, path)
        client.get_hf_file_metadata(address, token=token)  # says at once what is wrong
        headers, limit = build_hf_headers(token=token), constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream("GET", address, headers=headers, timeout=limit, follow_redirects=True) as answer:
            hf_raise_for_status(answer)
            for piece in answer.iter_bytes():
                text += piece
                if len(text) > LONGEST_TEXT:
                    most = megabytes(LONGEST_TEXT)
                    raise HubError("corrupt", f"{path} of {repo} has over {most}; shorten it, or choose another name.")
        return text.decode()


def upload(
    repo: str,
    files: Mapping[str, Path | bytes],
    message: str,
    repo_type: str = "model",
    gone: Sequence[str] = (),
    token: str | None = None,
    **create: Any,
) -> str:
    """Commit files (path there -> path here, or bytes) to a repository, made if it is missing; the commit's address.

    gone: paths to delete in the same commit; token: of whose account, None: this machine's; create: further arguments
    of HfApi.create_repo, such as private.

    Raises: HubError.
    """
    api = client.HfApi(token=token)
    operations = [client.CommitOperationAdd(path, data if isinstance(data, bytes) else str(data))
                  for path, data in files.items()]  # fmt: skip
    operations += [client.CommitOperationDelete(path) for path in gone]
    with explained(repo=repo, repo_type=repo_type, writing=True, signed=token is not None):
        api.create_repo(repo, repo_type=repo_type, exist_ok=True, **create)
        return api.create_commit(repo, operations, commit_message=message, repo_type=repo_type).commit_url


def keep_folder(repo: str, folder: Path) -> client.CommitScheduler:
    """Keep a folder of JSON files in a data set: what is there comes here now, what is added here goes there in turn.

    Raises: HubError.
    """
    what = {"repo_type": "dataset", "private": True}
    with explained(repo=repo, repo_type="dataset", writing=True):
        client.HfApi().create_repo(repo, exist_ok=True, **what)
        client.snapshot_download(repo, repo_type="dataset", allow_patterns=f"{folder.name}/*.json",
                                 local_dir=folder.parent)  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        return client.CommitScheduler(repo_id=repo, folder_path=folder, path_in_repo=folder.name, every=MINUTES,
                                      allow_patterns="*.json", **what)  # fmt: skip


def delete_file(repo: str, path: str, repo_type: str = "dataset") -> None:
    """Take a file out of a repository, if it is there. Raises: HubError."""
    missing = suppress(errors.RemoteEntryNotFoundError)
    with explained(repo=repo, file=path, repo_type=repo_type, writing=True), missing:
        client.HfApi().delete_file(path, repo, repo_type=repo_type)
