"""A hub for tests: an http server of this machine that answers what a push asks, and keeps what it was sent.

It knows three routes of the real one: making a repository, how files are to be sent (all within the commit), and the
commit itself, whose lines hold the files in base64. Whoever shows another token than the right one is refused.
"""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_" + "x" * 34


class FakeHub:
    """What the server was sent: `repos`, name to visibility; `files`, (repository, path) to bytes; `commits`."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.repos, self.files, self.commits = status, {}, {}, []
        self.address = ""

    def answer(self, path: str, body: bytes, token: str) -> tuple[int, dict]:
        """Status and answer to a request."""
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}
        if self.status != 200:
            return self.status, {"error": "refused on purpose"}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.repos.setdefault(name, asked.get("visibility") or ("private" if asked.get("private") else "public"))
            return 200, {"url": f"{self.address}/{name}"}
        repo = "/".join(path.split("/")[3:5])
        if "/preupload/" in path:
            asked = json.loads(body)["files"]
            named = [{"path": own["path"], "uploadMode": "regular", "shouldIgnore": False} for own in asked]
            return 200, {"files": named}
        if "/commit/" in path:
            lines = [json.loads(line) for line in body.splitlines()]
            for line in lines:
                if line["key"] == "file":
                    self.files[repo, line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.commits.append(lines[0]["value"]["summary"])
            done = {"success": True, "commitOid": "0" * 40, "commitUrl": f"{self.address}/{repo}/commit/{'0' * 40}"}
            return 200, done
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        return 404, {"error": f"nothing at {path}"}


@contextmanager
def serving(hub: FakeHub):
    """The address of a server that answers as `hub` does."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.split("?")[0]
            status, told = hub.answer(path, body, self.headers.get("Authorization", ""))
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer

        def log_message(self, *args):
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub.address
    finally:
        server.shutdown()
        server.server_close()
