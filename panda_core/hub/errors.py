"""What went wrong with a transfer, as one sentence with the next step."""

import errno
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from huggingface_hub import constants, errors

from ..progress import Cancelled


class HubError(ValueError):
    """A file could not be had or given: one sentence with the next step, and the kind of fault in a word."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(kind, sentence)  # both, so that it can be pickled
        self.kind, self.sentence = kind, sentence

    def __str__(self) -> str:
        return self.sentence


def address(repo: str, repo_type: str = "model") -> str:
    """Where people look at a repository."""
    return f"{constants.ENDPOINT}/{constants.REPO_TYPES_URL_PREFIXES.get(repo_type, '')}{repo}"


def name_of(repo: str, file: str = "", **_) -> str:
    """What a sentence calls the file, or the repository."""
    return f"{file} of {repo}" if file else repo


def megabytes(count: int) -> str:
    """A number of bytes, in words."""
    return f"{count / 1e6:.0f} MB" if count >= 10_000_000 else f"{count / 1e6:.3g} MB"


def disk_setting(what: dict) -> str:
    """The variable that says where such a file lies."""
    return "PANDA_HOME" if "url" in what else "HF_HOME"


def status_of(error: BaseException) -> int | None:
    """The HTTP status that a server answered with; None where there was no answer."""
    return error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None


def is_of_the_disk(error: BaseException) -> bool:
    """Whether this machine's disk is at fault, not the line."""
    return isinstance(error, OSError) and error.errno in (
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR
    )  # fmt: skip


def explain(
    error: BaseException, repo: str, file: str = "", revision: str = "main", url: str = "", repo_type: str = "model",
    writing: bool = False, arrived: int = 0, size: int = 0,
) -> NoReturn:  # fmt: skip
    """Raise the fault as a HubError whose sentence says what to do.

    arrived, size: bytes of a download, 0 if unknown.
    """
    if isinstance(error, RuntimeError | errors.LocalEntryNotFoundError):  # in which the client wraps what went wrong
        error = error.__cause__ or error
    what, status = name_of(repo, file), status_of(error)
    host = urllib.parse.urlsplit(url or constants.ENDPOINT).netloc
    remedy = f"set HF_TOKEN to a token that may {'write to' if writing else 'read'} it"
    if isinstance(error, errors.OfflineModeIsEnabled):
        kind, text = "offline", f"{what} is not on this machine and HF_HUB_OFFLINE is set; unset it to download."
    elif url and status in (401, 403):
        kind, text = "refused", f"{host} does not hand out {file} ({status}); choose another generator."
    elif isinstance(error, errors.GatedRepoError):
        kind = "gated"
        page = address(repo, repo_type)
        text = f"{repo} is gated; accept its terms at {page}, then set HF_TOKEN to a token of that account."
    elif isinstance(error, errors.RepositoryNotFoundError) and not (writing and status == 401):
        kind = "missing"
        text = f"The Hub has no repository {repo}, or it is private; check the name, or {remedy}."
    elif isinstance(error, errors.RevisionNotFoundError):
        kind, text = "missing", f"{repo} has no revision {revision}; check its name, or use main."
    elif status in (404, 410):
        place = host if url else repo
        kind, text = "missing", f"{place} has no file {file} ({status}); check its name, or choose another generator."
    elif status == 401 or isinstance(error, errors.LocalTokenNotFoundError):
        kind, text = "refused", f"{host} refuses the token, or wants one, for {repo}; {remedy}."
    elif status == 403:
        kind, text = "refused", f"{host} does not allow this for {repo} (403); {remedy}."
    elif status == 429:
        after = error.response.headers.get("Retry-After") or ""
        later = f"in {after} seconds" if after.isdecimal() else "in a few minutes"
        kind, text = "rate-limited", f"{host} takes no more requests from here for now (429); try again {later}."
    elif status is not None:
        kind, text = "server", f"{host} has a fault of its own ({status}); try again in a few minutes."
    elif isinstance(error, errors.HFValidationError):
        kind, text = "missing", f"{repo[:100]!r} is not the name of a repository; it must be owner/name."
    elif is_of_the_disk(error):
        kind, place = "disk", disk_setting({"url": url} if url else {})
        text = f"{what} could not be written ({error.strerror}); free some disk, or set {place} to another folder."
    elif type(error) is OSError and error.errno is None:  # the client's own check of how many bytes came
        kind, text = "corrupt", f"{what} arrived with another size than announced and was thrown away; try again."
    elif arrived:
        kind, of = "truncated", f" of {megabytes(size)}" if size else ""
        text = f"The connection broke after {megabytes(arrived)}{of} of {what}; try again."
    else:
        kind, text = "network", f"{host} cannot be reached; check the network, and HF_ENDPOINT or a proxy if set."
    raise HubError(kind, text) from error


@contextmanager
def explained(**what: Any) -> Iterator[None]:
    """Every fault becomes a HubError; what: as for `explain`."""
    try:
        yield
    except (HubError, Cancelled):
        raise
    except Exception as error:
        explain(error, **what)
