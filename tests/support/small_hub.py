"""A Hub on loopback that takes one upload: the calls of huggingface_hub, and what they brought."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.served import served


class SmallHub:
    """Keeps the files of one repository. Large files (.safetensors) come by Git LFS, the others with the commit."""

    def __init__(self, status: int = 200) -> None:
        """Refuses everything if `status` is one of an error."""
        self.created: dict[str, Any] = {}
        self.tokens: set[str] = set()
        self.files: dict[str, bytes] = {}
        self.summary = ""
        self._objects: dict[str, bytes] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self._body()
                hub.tokens.add(self.headers["Authorization"])
                self._answer(hub._post(self.path, body))

            def do_PUT(self) -> None:
                body = self._body()
                hub._objects[self.path.rpartition("/")[2]] = body
                self._answer({})

            def _body(self) -> bytes:
                if "Content-Length" in self.headers:
                    return self.rfile.read(int(self.headers["Content-Length"]))
                # The commit is chunked, since the client makes its lines while it sends them.
                return b"".join(iter(lambda: self.rfile.read(int(self.rfile.readline(), 16) + 2)[:-2], b""))

            def _answer(self, said: dict[str, Any]) -> None:
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Discards the access log."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        if path == "/api/repos/create":
            self.created = json.loads(body)
            return {"url": f"{self.url}/team/student", "name": "team/student", "id": "1"}
        if "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
            files = [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]
            return {"files": files}
        if path.endswith("/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            actions = {each["oid"]: {"upload": {"href": f"{self.url}/objects/{each['oid']}"}} for each in wanted}
            return {"transfer": "basic", "objects": [{**each, "actions": actions[each["oid"]]} for each in wanted]}
        if "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                self._commit(line["key"], line["value"])
            return {"success": True, "commitOid": "1" * 40, "commitUrl": f"{self.url}/team/student/commit/1"}
        return {}

    def _commit(self, key: str, value: dict[str, Any]) -> None:
        match key:
            case "header":
                self.summary = value["summary"]
            case "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                self.files[value["path"]] = self._objects[value["oid"]]


@contextmanager
def small_hub(status: int = 200) -> Iterator[SmallHub]:
    hub = SmallHub(status)
    with served(hub.http):
        yield hub
