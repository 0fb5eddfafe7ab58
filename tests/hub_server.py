"""A small real Hub on loopback: as much of its HTTP protocol as huggingface_hub's own client uses, with faults.

Files are served as the Hub serves them: /resolve/ answers with commit, etag and size, and sends whoever asks for the
bytes of a large file on to another host ("localhost" instead of "127.0.0.1"), where ranges work. Repositories can be
made and committed to, large files by LFS. Anything else under `put_url` is a plain web server.

    with HubServer() as hub:
        hub.put("owner/name", "a.safetensors", data)      # repo_type="space" and "dataset" too
        hub.fail("a.safetensors", "cut", times=1)         # by the end of a path; see FAULTS
        hub.requests, hub.sent                            # (method, path, Range) in order; bytes sent per path

To point the real client here: in a process of its own `env | hub.environ(home)`; in this one the fixture-friendly
`hub.attach(home, monkeypatch)`, since huggingface_hub reads its environment when it is imported.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

FAULTS = {
    "404": "the file is not there",
    "401": "the token is refused",
    "403": "the repository is gated",
    "forbidden": "403 without a reason: the token may not do this",
    "429": "too many requests, try again in 7 seconds",
    "500": "the server fails",
    "cut": "the connection breaks in the middle of what is left",
    "slow": "the bytes come slowly, `delay` seconds between pieces",
    "wrong": "the right number of wrong bytes",
    "short": "fewer bytes than the Hub said the file has",
    "stall": "no bytes come until the server closes",
}
LARGE = 10_000  # bytes from which a file goes by LFS; so do the endings that the Hub's .gitattributes names
LFS_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".pkl", ".npy", ".npz", ".h5", ".png")
TYPES = {"": "model", "models/": "model", "datasets/": "dataset", "spaces/": "space"}
TOKENS = {"hf_owner": "owner", "hf_other": "other"}  # token -> user


@dataclass
class Fault:
    kind: str
    times: int | None = None  # requests that it still hits; None: all
    delay: float = 0.05
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT")


@dataclass
class Repo:
    """One repository: its commits, oldest first, each all files of it; `main` is the last."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        listing = sorted((path, hashlib.sha1(data).hexdigest()) for path, data in files.items())
        sha = hashlib.sha1(json.dumps([listing, len(self.commits)]).encode()).hexdigest()
        self.commits[sha] = files
        return sha

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def at(self, revision: str) -> str | None:
        return self.head if revision == "main" else revision if revision in self.commits else None


def is_large(path: str, data: bytes) -> bool:
    return len(data) >= LARGE or path.endswith(LFS_ENDINGS)


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class HubServer:
    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.pages: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}  # LFS objects by sha256
        self.faults: dict[str, Fault] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.sent: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url, self.cdn = (f"http://{host}:{self._server.server_port}" for host in ("127.0.0.1", "localhost"))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def repo(self, repo_id: str, repo_type: str = "model") -> Repo:
        return self.repos[repo_type, repo_id]

    def put(self, repo_id: str, path: str, data: bytes, repo_type: str = "model", **about) -> str:
        """Commit one file; returns the commit."""
        repo = self.repos.setdefault((repo_type, repo_id), Repo(**about))
        return repo.commit({**(repo.files if repo.commits else {}), path: data})

    def put_url(self, path: str, data: bytes) -> str:
        """A plain page; returns its address."""
        self.pages[f"/{path.lstrip('/')}"] = data
        return f"{self.url}/{quote(path.lstrip('/'))}"

    def fail(self, ending: str, kind: str, **how) -> None:
        """From now on, requests whose path ends so fail in this way."""
        if kind not in FAULTS:
            raise ValueError(f"fault is {kind!r}; there are {', '.join(FAULTS)}.")
        self.faults[ending] = Fault(kind, **how)

    def fault_of(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for ending, fault in self.faults.items():
                if path.endswith(ending) and method in fault.methods and fault.times != 0:
                    return fault
        return None

    def spend(self, fault: Fault) -> None:
        with self.lock:
            if fault.times is not None:
                fault.times -= 1

    def environ(self, home: Path | str, **more: str) -> dict[str, str]:
        """What a process of its own needs to take this for the Hub, with its caches under `home`."""
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(Path(home) / "hf"), "PANDA_HOME": str(Path(home) / "panda"),
                "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **more}  # fmt: skip

    def attach(self, home: Path | str, monkeypatch) -> None:
        """The same for this process: the constants of huggingface_hub, which it read when it was imported."""
        from huggingface_hub import constants

        found = {"ENDPOINT": self.url, "HF_HUB_CACHE": str(Path(home) / "hf" / "hub"), "HF_HUB_DISABLE_XET": True,
                "HUGGINGFACE_CO_URL_TEMPLATE": self.url + "/{repo_id}/resolve/{revision}/{filename}",
                "HF_HOME": str(Path(home) / "hf"), "HF_TOKEN_PATH": str(Path(home) / "hf" / "token"),
                "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_TELEMETRY": True}  # fmt: skip
        for name, value in found.items():
            monkeypatch.setattr(constants, name, value)


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *_) -> None:
            pass

        def do_HEAD(self) -> None:
            self.handle_one()

        def do_GET(self) -> None:
            self.handle_one()

        def do_POST(self) -> None:
            self.handle_one()

        def do_PUT(self) -> None:
            self.handle_one()

        def do_DELETE(self) -> None:
            self.handle_one()

        def handle_one(self) -> None:
            self.body = self.read_body()
            path = unquote(urlsplit(self.path).path)
            with hub.lock:
                hub.requests.append((self.command, path, self.headers.get("Range")))
            self.fault = hub.fault_of(self.command, path)
            try:
                if self.fault is None or not self.fail_at_once(path):
                    self.route(path)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        # ---- answers ----

        def answer(self, status: int, data: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def json(self, value: Any, status: int = 200) -> None:
            self.answer(status, json.dumps(value).encode(), Content_Type="application/json")

        def refuse(self, status: int, message: str, code: str = "", **headers: str) -> None:
            headers |= {"X_Error_Message": message} | ({"X_Error_Code": code} if code else {})
            self.answer(status, json.dumps({"error": message}).encode(), Content_Type="application/json", **headers)

        def fail_at_once(self, path: str) -> bool:
            """The faults that are a status; the others wait for the bytes."""
            answers = {
                "404": (404, "Entry not found", "EntryNotFound"),
                "401": (401, "Invalid credentials in Authorization header", ""),
                "403": (403, "Access to this model is restricted.", "GatedRepo"),
                "forbidden": (403, "Forbidden: you must use a write token.", ""),
                "429": (429, "Too many requests", ""),
                "500": (500, "Internal error", ""),
            }
            if self.fault.kind not in answers:
                return False
            hub.spend(self.fault)
            status, message, code = answers[self.fault.kind]
            self.refuse(status, message, code, **({"Retry_After": "7"} if status == 429 else {}))
            return True

        def send_file(self, path: str, data: bytes, **headers: str) -> None:
            """The bytes, from where Range says; here the faults of a transfer strike."""
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            headers = {"ETag": etag, "Accept_Ranges": "bytes", **headers}
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            start = int(wanted[1]) if wanted else 0
            if start > len(data) or (start and start == len(data)):
                return self.refuse(416, "Range not satisfiable", Content_Range=f"bytes */{len(data)}")
            if start:
                headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.send_response(206 if start else 200)
            rest = data[start:]
            if self.fault and self.fault.kind == "short":
                rest = rest[: len(rest) // 2]
            for name, value in {"Content-Length": str(len(rest)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "HEAD":
                return None
            fault = self.fault
            if fault is not None:
                hub.spend(fault)
            kind = fault.kind if fault else ""
            if kind == "wrong":
                rest = bytes(255 - byte for byte in rest)
            if kind == "cut":
                rest = rest[: len(rest) // 2]
            if kind == "stall":
                hub.closing.wait(20)
                rest = b""
            piece = max(1, len(rest) // 20) if kind == "slow" else 65536
            for first in range(0, len(rest), piece):
                with hub.lock:
                    hub.sent[path] += len(rest[first : first + piece])
                self.wfile.write(rest[first : first + piece])
                if kind == "slow":
                    time.sleep(fault.delay)
            if kind in ("cut", "stall"):
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
            return None

        # ---- what is asked ----

        def route(self, path: str) -> None:
            for pattern, handle in ROUTES:
                found = re.fullmatch(pattern, path)
                if found:
                    return handle(self, **found.groupdict())
            if path in hub.pages:
                return self.send_file(path, hub.pages[path])
            return self.refuse(404, "Not found")

        def user(self) -> str | None:
            return TOKENS.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

        def find(self, kind: str, repo_id: str, revision: str = "main") -> tuple[Repo, str] | None:
            """The repository and the commit, or None when a refusal has been sent."""
            if self.headers.get("Authorization") and not self.user():
                return self.refuse(401, "Invalid credentials in Authorization header")
            repo = hub.repos.get((TYPES[kind], repo_id))
            if repo is None or (repo.private and self.user() != repo_id.split("/")[0]):
                return self.refuse(404 if self.user() else 401, "Repository not found", "RepoNotFound")
            commit = repo.at(revision)
            if commit is None:
                return self.refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            return repo, commit

        def resolve(self, kind: str, repo: str, rev: str, path: str) -> None:
            if not (found := self.find(kind, repo, unquote(rev))):
                return None
            store, commit = found
            if store.gated and self.user() != repo.split("/")[0]:
                return self.refuse(403 if self.user() else 401, f"Access to {repo} is restricted.", "GatedRepo")
            if path not in store.commits[commit]:
                return self.refuse(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit)
            data = store.commits[commit][path]
            if not is_large(path, data):
                return self.send_file(self.path, data, ETag=f'"{git_oid(data)}"', X_Repo_Commit=commit)
            sha = hashlib.sha256(data).hexdigest()
            hub.uploads[sha] = data
            return self.answer(302, b"Found", X_Repo_Commit=commit, X_Linked_Etag=f'"{sha}"',
                               X_Linked_Size=str(len(data)), ETag=f'"{git_oid(data)}"',
                               Location=f"{hub.cdn}/cdn/{sha}/{quote(path)}")  # fmt: skip

        def stored(self, sha: str, path: str) -> None:
            if self.headers.get("Authorization"):
                return self.refuse(400, "The token was sent to another host")
            return self.send_file(path, hub.uploads[sha])

        def info(self, kind: str, repo: str, rev: str = "main") -> None:
            if not (found := self.find(kind, repo, rev)):
                return None
            store, commit = found
            files = [_about(path, data, "rfilename") for path, data in sorted(store.commits[commit].items())]
            return self.json({"id": repo, "modelId": repo, "sha": commit, "siblings": files, "private": store.private,
                              "gated": "manual" if store.gated else False, "disabled": False, "tags": [],
                              "downloads": 0, "likes": 0, "author": repo.split("/")[0],
                              "runtime": {"stage": "BUILDING", "hardware": {"current": None}}})  # fmt: skip

        def tree(self, kind: str, repo: str, rev: str, folder: str | None = None) -> None:
            if not (found := self.find(kind, repo, rev)):
                return None
            files, under = found[0].commits[found[1]], f"{folder.strip('/')}/" if folder else ""
            deep = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
            rows: dict[str, dict] = {}
            for path, data in sorted(files.items()):
                if path.startswith(under):
                    inner = path[len(under) :].split("/")
                    for depth in range(1, len(inner) if deep else min(2, len(inner))):
                        name = under + "/".join(inner[:depth])
                        rows[name] = {"type": "directory", "path": name, "oid": git_oid(name.encode()), "size": 0}
                    if deep or len(inner) == 1:
                        rows[path] = {"type": "file", **_about(path, data, "path")}
            return self.json(list(rows.values()))

        def whoami(self) -> None:
            if not self.user():
                return self.refuse(401, "Invalid credentials in Authorization header")
            return self.json({"type": "user", "id": self.user(), "name": self.user(), "orgs": [], "isPro": False,
                              "auth": {"accessToken": {"displayName": "test", "role": "write"}}})  # fmt: skip

        def create(self) -> None:
            asked = json.loads(self.body)
            if not self.user():
                return self.refuse(401, "Invalid credentials in Authorization header")
            owner, kind = asked.get("organization") or self.user(), asked.get("type") or "model"
            repo_id = f"{owner}/{asked['name']}"
            prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[kind]
            if owner != self.user():
                return self.refuse(403, f"You don't have the rights to create a {kind} under the namespace {owner!r}")
            if (kind, repo_id) in hub.repos:
                return self.json({"error": "You already created this repo", "url": f"{hub.url}/{prefix}{repo_id}"}, 409)
            repo = hub.repos[kind, repo_id] = Repo(asked.get("visibility") == "private")
            repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
            return self.json({"url": f"{hub.url}/{prefix}{repo_id}", "id": repo_id})

        def may_write(self, kind: str, repo: str) -> Repo | None:
            if not (found := self.find(kind, repo)):
                return None
            if self.user() != repo.split("/")[0]:
                return self.refuse(403 if self.user() else 401, "Forbidden: you must use a write token.")
            return found[0]

        def preupload(self, kind: str, repo: str, rev: str) -> None:
            if (store := self.may_write(kind, repo)) is None:
                return None
            rows = []
            for file in json.loads(self.body)["files"]:
                path, old = file["path"], store.files.get(file["path"])
                large = file["size"] >= LARGE or path.endswith(LFS_ENDINGS)
                oid = None if old is None else hashlib.sha256(old).hexdigest() if large else git_oid(old)
                rows.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False,
                             "oid": oid})  # fmt: skip
            return self.json({"files": rows})

        def lfs_batch(self, kind: str, repo: str) -> None:
            if self.may_write(kind, repo) is None:
                return None
            rows = []
            for wanted in json.loads(self.body)["objects"]:
                oid, row = wanted["oid"], {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
                if oid not in hub.uploads:
                    row["actions"] = {
                        "upload": {"href": f"{hub.cdn}/lfs-upload/{oid}", "header": {}},
                        "verify": {"href": f"{hub.url}/lfs-verify/{oid}", "header": {}},
                    }
                rows.append(row)
            return self.json({"transfer": "basic", "objects": rows})

        def lfs_upload(self, oid: str) -> None:
            if hashlib.sha256(self.body).hexdigest() != oid:
                return self.refuse(400, "The content does not have this hash")
            hub.uploads[oid] = self.body
            return self.answer(200)

        def lfs_verify(self, oid: str) -> None:
            known = oid in hub.uploads and len(hub.uploads[oid]) == json.loads(self.body)["size"]
            return self.answer(200) if known else self.refuse(404, "No such object")

        def commit(self, kind: str, repo: str, rev: str) -> None:
            if (store := self.may_write(kind, repo)) is None:
                return None
            files = dict(store.files)
            for line in self.body.splitlines():
                item = json.loads(line)
                key, value = item["key"], item["value"]
                if key == "header":
                    if value.get("parentCommit", store.head) != store.head:
                        return self.refuse(412, "A commit has happened since. Please refresh and try again.")
                elif key == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif key == "lfsFile":
                    if value["oid"] not in hub.uploads:
                        return self.refuse(400, f"LFS object {value['oid']} was never uploaded")
                    files[value["path"]] = hub.uploads[value["oid"]]
                elif key == "deletedFile":
                    if files.pop(value["path"], None) is None:
                        return self.refuse(404, "A file with this name doesn't exist", "EntryNotFound")
                elif key == "deletedFolder":
                    files = {path: data for path, data in files.items() if not path.startswith(value["path"])}
                else:
                    return self.refuse(400, f"Unknown operation {key}")
            sha = store.commit(files)
            prefix = "" if TYPES[kind] == "model" else kind
            return self.json({"success": True, "commitOid": sha, "commitUrl": f"{hub.url}/{prefix}{repo}/commit/{sha}"})

        def yaml(self) -> None:
            self.json({"errors": [], "warnings": []})

    repo, kind = r"(?P<repo>[\w.-]+/[\w.-]+)", r"(?P<kind>(?:models|datasets|spaces)/)"
    ROUTES = [
        (rf"/(?P<kind>(?:datasets/|spaces/)?){repo}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", Handler.resolve),
        (r"/cdn/(?P<sha>\w+)/(?P<path>.+)", Handler.stored),
        (rf"/(?P<kind>(?:datasets/|spaces/)?){repo}\.git/info/lfs/objects/batch", Handler.lfs_batch),
        (r"/lfs-upload/(?P<oid>\w+)", Handler.lfs_upload),
        (r"/lfs-verify/(?P<oid>\w+)", Handler.lfs_verify),
        (r"/api/whoami-v2", Handler.whoami),
        (r"/api/repos/create", Handler.create),
        (r"/api/validate-yaml", Handler.yaml),
        (rf"/api/{kind}{repo}", Handler.info),
        (rf"/api/{kind}{repo}/revision/(?P<rev>[^/]+)", Handler.info),
        (rf"/api/{kind}{repo}/tree/(?P<rev>[^/]+)(?P<folder>/.*)?", Handler.tree),
        (rf"/api/{kind}{repo}/preupload/(?P<rev>[^/]+)", Handler.preupload),
        (rf"/api/{kind}{repo}/commit/(?P<rev>[^/]+)", Handler.commit),
    ]
    return Handler


def _about(path: str, data: bytes, name: str) -> dict:
    row = {name: path, "size": len(data), "oid": git_oid(data), "blobId": git_oid(data)}
    if is_large(path, data):
        sha = hashlib.sha256(data).hexdigest()
        row["lfs"] = {"oid": sha, "sha256": sha, "size": len(data), "pointerSize": 130}
    return row
