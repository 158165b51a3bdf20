"""An API server that keeps objects in memory: lists, merges, conflicts, subresources, watches, as the real one."""

import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from outcry_operator.kube import Cluster
from tests.world.quickserver import JsonCall, QuickServer

Object = dict[str, Any]


class ApiServer:
    """``objects`` by path. ``on_scale`` is told (path, replicas) before a change of a scale is kept."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.calls: list[tuple[str, str]] = []
        self.refused: dict[str, int] = {}  # path -> the status that is answered instead
        self.budget: int | None = None  # calls that are still answered; None: all
        self.on_scale: Callable[[str, int], None] = lambda path, replicas: None
        self.on_call: Callable[[str, str], None] = lambda method, path: None
        self._version = 0
        self._changed = threading.Condition()
        self._history: list[tuple[str, str, Object]] = []
        self._server = QuickServer("127.0.0.1", _Call, self)

    @property
    def cluster(self) -> Cluster:
        settings = client.Configuration(host=f"http://127.0.0.1:{self._server.server_port}")
        return Cluster(settings)

    def stop(self) -> None:
        self._server.stop()

    def put(self, path: str, found: Object) -> Object:
        """Keeps an object, new or changed."""
        with self._changed:
            self._version += 1
            before = self.objects.get(path)
            meta = {**found.get("metadata", {}), "name": path.rsplit("/", 1)[1], "resourceVersion": str(self._version)}
            meta.setdefault("uid", f"uid-{path}")
            meta.setdefault("namespace", "venue")
            same_spec = before is not None and before.get("spec") == found.get("spec")
            generation = before["metadata"]["generation"] if before is not None else 0
            meta["generation"] = generation if same_spec else generation + 1
            self.objects[path] = {**found, "metadata": meta}
            self._history.append(("MODIFIED" if before else "ADDED", path, self.objects[path]))
            self._changed.notify_all()
            return self.objects[path]

    def delete(self, path: str) -> None:
        with self._changed:
            found = self.objects.pop(path, None)
            if found is not None:
                self._history.append(("DELETED", path, found))
                self._changed.notify_all()

    def answer(self, method: str, path: str, query: dict[str, str], body: Object | None) -> tuple[int, Object]:
        self.calls.append((method, path))
        self.on_call(method, path)
        if self.budget is not None:
            if self.budget <= 0:
                return 503, {"message": "it is away"}
            self.budget -= 1
        if path in self.refused:
            return self.refused[path], {"message": "refused"}
        name, sub = path, ""
        if path.endswith(("/status", "/scale")):
            name, _, sub = path.rpartition("/")
        if method == "GET":
            return self._get(name, query)
        if method == "POST":
            assert body is not None
            meta = body["metadata"]
            whole = f"{path}/{meta.get('name') or meta['generateName'] + str(self._version)}"
            return (409, {"message": "exists"}) if whole in self.objects else (201, self.put(whole, body))
        return self._change(name, sub, body or {}, replaces=method == "PUT")

    def _get(self, path: str, query: dict[str, str]) -> tuple[int, Object]:
        if path in self.objects:
            return 200, self.objects[path]
        is_list = path.rsplit("/", 1)[1].endswith("s") and len(path.split("/namespaces/")[-1].split("/")) == 2
        if not is_list:
            return 404, {"message": f"{path} not found"}
        found = [each for where, each in sorted(self.objects.items()) if where.rpartition("/")[0] == path]
        return 200, {"items": [each for each in found if _selected(each, query.get("labelSelector", ""))]}

    def _change(self, path: str, sub: str, body: Object, *, replaces: bool) -> tuple[int, Object]:
        found = self.objects.get(path)
        if found is None:
            return 404, {"message": f"{path} not found"}
        version = body.get("metadata", {}).get("resourceVersion")
        if version is not None and version != found["metadata"]["resourceVersion"]:
            return 409, {"message": "the object has been modified"}
        if sub == "scale":
            self.on_scale(path, body["spec"]["replicas"])
        parts = {"status": ("status",), "scale": ("spec",)}.get(sub, tuple(body))
        change = {name: part for name, part in body.items() if name in parts}
        return 200, self.put(path, body if replaces else merge(found, change))

    def events(self) -> list[tuple[str, str]]:
        """(reason, note) of the events that were written."""
        found = [each for path, each in self.objects.items() if "/events/" in path]
        return [(each["reason"], each["note"]) for each in found]

    def watch(self, path: str, seconds: float, send: Callable[[Object], None]) -> None:
        with self._changed:
            at = len(self._history)
            found = [each for where, each in self.objects.items() if where.rpartition("/")[0] == path]
        for each in found:
            send({"type": "ADDED", "object": each})
        while True:
            with self._changed:
                while len(self._history) == at:
                    if not self._changed.wait(seconds):
                        return
                news, at = self._history[at:], len(self._history)
            for kind, where, each in news:
                if where.rpartition("/")[0] == path:
                    send({"type": kind, "object": each})


def merge(found: Any, change: Any) -> Any:
    """RFC 7386."""
    if not isinstance(change, dict):
        return change
    merged = dict(found) if isinstance(found, dict) else {}
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _selected(found: Object, selector: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    return all(
        labels.get(name) == value for name, _, value in (each.partition("=") for each in selector.split(",") if each)
    )


class _Call(JsonCall):
    def _answer(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        keeper: ApiServer = self.server.keeper
        body = self.asked()
        if query.get("watch"):
            self._watch(keeper, url.path, float(query.get("timeoutSeconds", 1)))
        else:
            self.told(*keeper.answer(self.command, url.path, query, body))

    def _watch(self, keeper: ApiServer, path: str, seconds: float) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def send(event: Object) -> None:
            raw = json.dumps(event).encode() + b"\n"
            self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
            self.wfile.flush()

        try:
            keeper.watch(path, seconds, send)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = _answer
