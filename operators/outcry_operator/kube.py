"""The API server, as far as the operator needs it: JSON in, JSON out, and errors by what they mean."""

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config

CALL_SECONDS: Final = (5, 10)  # to connect, to answer
WATCH_SECONDS: Final = 240  # after which the server ends a watch
MAX_LISTED: Final = 5_000  # objects of one list; more than any namespace of one exchange has
CONNECTIONS: Final = 8
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
MANAGER: Final = "outcry-operator"

Object = dict[str, Any]


class Trouble(Exception):
    """The API server did not do what was asked."""


class Unreachable(Trouble):
    """It does not answer, or answers that it cannot now."""


class NotFound(Trouble):
    """There is no such object, or no such kind of objects."""


class Forbidden(Trouble):
    """The operator's Role does not allow this."""


class Conflict(Trouble):
    """The object was changed since it was read, or exists already."""


class Invalid(Trouble):
    """The object is refused for what it says."""


_MEANING: Final[Mapping[int, type[Trouble]]] = {
    401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Conflict, 422: Invalid, 400: Invalid,
}  # fmt: skip


def connect(context: str | None = None) -> "Cluster":
    """The cluster of the pod's service account, or of KUBECONFIG outside of one. Raises Unreachable."""
    settings = client.Configuration()
    try:
        if Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists():
            config.load_incluster_config(settings)
        else:
            file = os.environ.get("KUBECONFIG") or config.KUBE_CONFIG_DEFAULT_LOCATION
            config.load_kube_config(file, context=context, client_configuration=settings)
    except (config.ConfigException, OSError) as trouble:
        raise Unreachable(
            f"no cluster: this is no pod with a service account, and KUBECONFIG says: {trouble}"
        ) from None
    return Cluster(settings)


def trust(settings: client.Configuration) -> ssl.SSLContext:
    """Certificates are verified, but not as strictly as Python does from 3.13 on: the authorities of many clusters
    lack the key usage extension, and kubectl takes them too. Where the cluster names its authority, no other counts.
    """
    has_own = settings.ssl_ca_cert or settings.ca_cert_data
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if has_own else ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class Cluster:
    """One API server. Every call has a time limit; nothing is retried here, for the loop looks again."""

    def __init__(self, settings: client.Configuration) -> None:
        settings.retries = urllib3.Retry(0, redirect=0)
        settings.connection_pool_maxsize = CONNECTIONS
        self._settings = settings
        self._rest = client.ApiClient(settings).rest_client
        self._rest.pool_manager.connection_pool_kw["ssl_context"] = trust(settings)

    def get(self, path: str, **query: str | int) -> Object:
        """An object. Raises Trouble, as every call does."""
        return self._call("GET", path, query=query)

    def items(self, path: str, selector: str = "") -> list[Object]:
        """A list of objects."""
        query: dict[str, str | int] = {"limit": MAX_LISTED}
        if selector:
            query["labelSelector"] = selector
        return list(self._call("GET", path, query=query).get("items") or [])

    def create(self, path: str, body: Object) -> Object:
        return self._call("POST", path, body=body)

    def replace(self, path: str, body: Object) -> Object:
        return self._call("PUT", path, body=body)

    def patch(self, path: str, body: Object) -> Object:
        """Merges; null takes away. A resourceVersion in the body makes it conditional."""
        return self._call("PATCH", path, body=body, kind=MERGE)

    def apply(self, path: str, body: Object, *, force: bool = True) -> Object:
        """Server-side apply under the operator's name."""
        query: dict[str, str | int] = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        return self._call("PATCH", path, body=body, kind=APPLY, query=query)

    def watch(self, path: str, selector: str = "") -> Iterator[Object]:
        """First what there is, then what changes, until the server ends the watch. Nothing older is asked for."""
        query: dict[str, str | int] = {"watch": "1", "timeoutSeconds": WATCH_SECONDS}
        if selector:
            query["labelSelector"] = selector
        answer = self._send("GET", path, query=query, seconds=(CALL_SECONDS[0], WATCH_SECONDS + 10))
        try:
            if answer.status != 200:
                raise _trouble(answer.status, answer.read(), f"watch {path}")
            yield from (json.loads(line) for line in answer.response if line.strip())
        except (urllib3.exceptions.HTTPError, json.JSONDecodeError) as cut:
            raise Unreachable(f"watch {path}: {cut}") from None
        finally:
            answer.response.close()

    def _call(
        self, method: str, path: str, *, body: Object | None = None, kind: str = "", query: Mapping[str, str | int] = {}
    ) -> Object:  # fmt: skip
        answer = self._send(method, path, body=body, kind=kind, query=query)
        try:
            raw = answer.read()
        except urllib3.exceptions.HTTPError as cut:
            raise Unreachable(f"{method} {path}: {cut}") from None
        if answer.status >= 300:
            raise _trouble(answer.status, raw, f"{method} {path}")
        found = json.loads(raw or b"{}")
        return found if isinstance(found, dict) else {}

    def _send(
        self, method: str, path: str, *, body: Object | None = None, kind: str = "",
        query: Mapping[str, str | int] = {}, seconds: tuple[int, int] = CALL_SECONDS,
    ) -> Any:  # fmt: skip
        headers = {"Accept": "application/json", "User-Agent": MANAGER}
        if body is not None:
            headers["Content-Type"] = kind or "application/json"
        token = self._settings.auth_settings().get("BearerToken")
        if token is not None:
            headers[token["key"]] = token["value"]
        url = self._settings.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            return self._rest.request(method, url, headers=headers, body=body, _request_timeout=seconds)
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError) as trouble:
            raise Unreachable(f"{method} {path}: {trouble}") from None


def _trouble(status: int, raw: bytes, what: str) -> Trouble:
    try:
        said = json.loads(raw).get("message", "")
    except (json.JSONDecodeError, AttributeError, UnicodeDecodeError):
        said = raw[:200].decode("utf-8", "replace")
    return _MEANING.get(status, Unreachable)(f"{what}: {status} {said}")


class Paths:
    """Where things lie in one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def core(self, plural: str, name: str = "", sub: str = "") -> str:
        return self._path("/api/v1", plural, name, sub)

    def workload(self, kind: str, name: str = "", sub: str = "") -> str:
        return self._path("/apis/apps/v1", f"{kind.lower()}s", name, sub)

    def outcry(self, plural: str, name: str = "", sub: str = "") -> str:
        return self._path("/apis/outcry.dev/v1alpha1", plural, name, sub)

    def lease(self, name: str = "") -> str:
        return self._path("/apis/coordination.k8s.io/v1", "leases", name, "")

    def usage(self) -> str:
        return self._path("/apis/metrics.k8s.io/v1beta1", "pods", "", "")

    def route(self, name: str = "") -> str:
        return self._path("/apis/gateway.networking.k8s.io/v1", "httproutes", name, "")

    def _path(self, group: str, plural: str, name: str, sub: str) -> str:
        parts = [group, "namespaces", self._namespace, plural, name, sub]
        return "/".join(part for part in parts if part)
