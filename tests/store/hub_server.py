"""A hub on the loopback address for tests: the list of a repository's files, redirects to a second
server as the real one makes them, ranges, ETags; and ways to misbehave.
"""

import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """files: {"owner/repo/path": bytes}. Every request is noted in requests."""

    def __init__(self, files):
        self.files = dict(files)
        self.requests = []          # (server, method path, headers)
        self.lock = threading.Lock()
        self.token = None           # what the hub wants to see, if anything
        self.linked_sha256 = {}     # path -> what X-Linked-Etag says instead of the truth
        self.listed_sha256 = {}     # path -> what the list of files says instead of the truth
        self.is_linked = True       # whether the hub's own answers say hash, size and commit
        self.lists_hashes = True
        self.ranges = True
        self.etag = '"v1"'
        self.bytes_per_s = None     # of each connection
        self.redirect_to = None     # a Location for every file instead of the second server
        # callable(handler, path, data, first, last) -> True if it answered
        self.fault = None
        self.list_answer = None     # instead of the list of files
        self.hub = _serve(self, "hub")
        self.cdn = _serve(self, "cdn")
        self.endpoint = f"http://127.0.0.1:{self.hub.server_port}"
        self.cdn_endpoint = f"http://127.0.0.1:{self.cdn.server_port}"

    def close(self):
        for server in (self.hub, self.cdn):
            server.shutdown()
            server.server_close()

    def seen(self, server):
        with self.lock:
            return [request for request in self.requests if request[0] == server]

    def forget(self):
        with self.lock:
            self.requests.clear()


def _serve(hub, name):
    class Handler(_Handler):
        pass
    Handler.hub, Handler.name = hub, name
    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02},
                     daemon=True).start()
    return server


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that breaks off is part of the tests


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub, name = None, ""

    def log_message(self, *_):
        pass

    def do_GET(self):
        hub = self.hub
        with hub.lock:
            hub.requests.append((self.name, self.path, dict(self.headers)))
        path, _, query = self.path.partition("?")
        path = urllib.parse.unquote(path)
        if self.name == "cdn":
            self.send_file(path[1:])
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.answer(401)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/[^/]+", path):
            self.list_repository(match[1], hub.lists_hashes and query == "blobs=true")
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self.resolve(f"{match[1]}/{match[2]}")
        else:
            self.send_file(path[1:])

    def answer(self, status, body=b"", **fields):
        self.send_response(status)
        for key, value in fields.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def list_repository(self, repository, with_hashes):
        hub = self.hub
        if hub.list_answer is not None:
            return self.answer(200, hub.list_answer)
        names = [path[len(repository) + 1:] for path in sorted(hub.files)
                 if path.startswith(repository + "/")]
        if not names:
            return self.answer(404)
        siblings = [{"rfilename": name} for name in names]
        for entry in siblings if with_hashes else []:
            path = f"{repository}/{entry['rfilename']}"
            data = hub.files[path]
            sha256 = hub.listed_sha256.get(path, hashlib.sha256(data).hexdigest())
            entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
        body = {"sha": COMMIT, "siblings": siblings}
        return self.answer(200, json.dumps(body).encode())

    def resolve(self, path):
        hub = self.hub
        if path not in hub.files:
            return self.answer(404)
        data = hub.files[path]
        sha256 = hub.linked_sha256.get(path, hashlib.sha256(data).hexdigest())
        linked = {"X_Linked_Etag": f'"{sha256}"', "X_Linked_Size": str(len(data)),
                  "X_Repo_Commit": COMMIT}
        location = hub.redirect_to or f"{hub.cdn_endpoint}/{urllib.parse.quote(path)}"
        return self.answer(302, Location=location, **(linked if hub.is_linked else {}))

    def send_file(self, path):
        hub = self.hub
        if path not in hub.files:
            return self.answer(404)
        data = hub.files[path]
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = 0, len(data) - 1
        if match and hub.ranges:
            first, last = int(match[1]), min(int(match[2]), len(data) - 1)
        if hub.fault and hub.fault(self, path, data, first, last):
            return None
        self.send_response(206 if match and hub.ranges else 200)
        if match and hub.ranges:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        if hub.etag:
            self.send_header("ETag", hub.etag)
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.send_slowly(data[first:last + 1])
        return None

    def send_slowly(self, data):
        rate = self.hub.bytes_per_s
        if not rate:
            self.wfile.write(data)
            return
        step = max(1, rate // 50)
        for begin in range(0, len(data), step):
            self.wfile.write(data[begin:begin + step])
            time.sleep(0.02)
