"""A hub of models and an URL on this machine, with small repositories made by tests."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

COMMIT = "0123456789abcdef" * 2 + "01234567"


def git_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repository:
    """Files of one commit, of which those in ``large`` are kept outside git."""

    def __init__(self, name, files, large=(), commit=COMMIT):
        self.name, self.files, self.large, self.commit = name, dict(files), set(large), commit
        self.listed = {name: self._listed(name) for name in self.files}

    def _listed(self, name):
        content = self.files[name]
        sha256 = hashlib.sha256(content).hexdigest()
        lfs = {"sha256": sha256, "size": len(content), "pointerSize": 130}
        return {
            "rfilename": name, "size": len(content), "blobId": git_id(content),
            **({"lfs": lfs} if name in self.large else {}),
        }  # fmt: skip

    def information(self):
        return {
            "id": self.name, "modelId": self.name, "sha": self.commit, "private": False,
            "tags": [], "downloads": 0, "siblings": list(self.listed.values()),
        }  # fmt: skip


class FakeLibrary:
    """What is used of huggingface_hub, without a network."""

    def __init__(self, repository):
        self.repository, self.asked = repository, []
        self.utils = SimpleNamespace(disable_progress_bars=lambda: None)

    def HfApi(self):
        return self

    def model_info(self, repo_id, *, revision, files_metadata):
        assert repo_id == self.repository.name and files_metadata
        if revision not in ("main", self.repository.commit):
            raise OSError(f"404 Client Error: no revision {revision}")
        siblings = [
            SimpleNamespace(rfilename=one["rfilename"], blob_id=one["blobId"], lfs=one.get("lfs"))
            for one in self.repository.listed.values()
        ]
        return SimpleNamespace(sha=self.repository.commit, siblings=siblings)

    def hf_hub_download(self, *, repo_id, filename, revision, local_dir):
        assert repo_id == self.repository.name and revision == self.repository.commit
        self.asked.append(filename)
        path = local_dir / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.repository.files[filename])
        return str(path)


@contextmanager
def serving(repository):
    """Serve a repository as the hub does, and its files as plain ones; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._answer()

        def do_GET(self):
            self._answer()

        def _answer(self):
            path = self.path.partition("?")[0]
            plain, resolved = "/files/", f"/{repository.name}/resolve/{repository.commit}/"
            known = (f"/revision/{name}" for name in ("main", repository.commit))
            if path in [f"/api/models/{repository.name}{name}" for name in known]:
                self._send(json.dumps(repository.information()).encode())
            elif path.startswith(resolved) and path.removeprefix(resolved) in repository.files:
                self._send_file(path.removeprefix(resolved))
            elif path == f"{plain}away":
                self.send_response(302)
                self.send_header("Location", f"http://{self.headers['Host']}{plain}elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif path == f"{plain}cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"only this")
            elif path.removeprefix(plain) in repository.files:
                self._send(repository.files[path.removeprefix(plain)])
            else:
                self.send_error(404)

        def _send_file(self, name):
            listed = repository.listed[name]
            etag = listed["lfs"]["sha256"] if "lfs" in listed else listed["blobId"]
            self._send(repository.files[name], ETag=f'"{etag}"', **{
                "X-Repo-Commit": repository.commit, "X-Linked-Etag": f'"{etag}"',
                "X-Linked-Size": str(listed["size"]),
            })  # fmt: skip

        def _send(self, content, **headers):
            self.send_response(200)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
