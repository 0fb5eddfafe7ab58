"""A small OpenID provider on loopback: who asks it to be signed in is `owner` of hub_server, with the token "hf_owner".

A Space's callback is always https; whoever runs the page here is sent back to it over http.
"""

import base64
import hashlib
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.local_server import LocalServer

SECRET, CLIENT, TOKEN = b"a secret of more than thirty-two bytes", "panda", "hf_owner"


def coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class OpenID(LocalServer):
    def __init__(self):
        self.asked: list[str] = []  # scopes
        self.nonce = ""
        super().__init__(_handler(self))

    def environ(self, host: str) -> dict[str, str]:
        """What a Space at this host is told of it."""
        return {"SYSTEM": "spaces", "SPACE_ID": "owner/panda", "SPACE_HOST": host, "OAUTH_CLIENT_ID": CLIENT,
                "OAUTH_CLIENT_SECRET": SECRET.decode(), "OAUTH_SCOPES": "openid profile contribute-repos",
                "OPENID_PROVIDER_URL": self.url}  # fmt: skip

    def metadata(self) -> dict:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {"issuer": self.url, "id_token_signing_alg_values_supported": ["HS256"],
                **{name: f"{self.url}/{end}" for name, end in ends.items()}}  # fmt: skip

    def tokens(self) -> dict:
        now = int(time.time())
        says = {"iss": self.url, "sub": "1", "aud": CLIENT, "iat": now, "exp": now + 3600, "nonce": self.nonce,
                "name": "The Owner", "preferred_username": "owner", "profile": f"{self.url}/owner",
                "picture": f"{self.url}/owner.png"}  # fmt: skip
        signed = ".".join(coded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, says))
        mark = coded(hmac.digest(SECRET, signed.encode(), hashlib.sha256))
        return {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600, "scope": self.asked[-1],
                "id_token": f"{signed}.{mark}"}  # fmt: skip


def _handler(provider: OpenID) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                given = {name: values[0] for name, values in parse_qs(parts.query).items()}
                provider.asked.append(given["scope"])
                provider.nonce = given["nonce"]
                back = given["redirect_uri"].replace("https://", "http://", 1)
                return self.answer(302, b"", Location=f"{back}&{urlencode({'code': 'c', 'state': given['state']})}")
            keys = {"keys": [{"kty": "oct", "k": coded(SECRET)}]}
            return self.answer(200, json.dumps(keys if parts.path == "/keys" else provider.metadata()).encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(200, json.dumps(provider.tokens()).encode())

        def answer(self, status: int, data: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler
