"""The prediction server: Open Inference Protocol v2 and MLflow's invocations over plain ASGI."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from werk.core.errors import InputError, Transient, WerkError, unknown
from werk.serving.endpoint import Endpoints, Live
from werk.serving.manifest import Manifest
from werk.serving.metrics import Metrics
from werk.serving.payloads import Request, inference, invocation, parse_json
from werk.serving.prediction_log import FOLDER, PredictionLog

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_STATUS = {
    "prediction-impossible": 422,
    "rows-too-many": 413,
    "endpoint-unknown": 404,
    "version-unknown": 404,
    "route-unknown": 404,
}
_WATCH_S = 0.1
_INLINE_BYTES = 64 * 1024  # above this a request would hold up the others: it goes to a thread
_LENGTH_DIGITS = 19
_HEADER_IDS = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """`connections` may be open at once, and never more than three quarters of the files that the process may open.

    A caller has `head_s` seconds for a request's head, counted from its first byte or from connecting, and `request_s`
    for the whole of it; as long for taking the answer. What the server itself needs in between is not counted.
    """

    body_bytes: int = 4 * 1024 * 1024
    in_flight: int = 512
    connections: int = 1024
    head_s: float = 10
    request_s: float = 60


@dataclass(frozen=True, slots=True)
class Predicted:
    """An answer that may be given once its lines are written."""

    ids: list[str]
    lines: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """What a path names: which handler, with which methods, of which endpoint (None: any, or the only one)."""

    name: str
    methods: tuple[str, ...]
    endpoint: str | None = None
    version: str | None = None


class Denied(Exception):
    """A request that is answered before its content is looked at."""

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.answer = Answer(status, _error(message, code, hint), headers)


class App:
    """Serves what is deployed below a directory; follows its manifests, so that a new version is a pointer swap."""

    def __init__(
        self,
        directory: Path,
        *,
        hosts: Sequence[str] = LOCAL_HOSTS,
        require_token: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.endpoints = Endpoints(directory)
        self.metrics = Metrics()
        self._log = PredictionLog(directory / FOLDER)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._require_token = require_token
        self._limits = limits or Limits()
        self._in_flight = 0
        self._watcher: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    @property
    def ready(self) -> bool:
        return bool(self.endpoints.live) and not self.endpoints.broken

    # --- life ---
    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self.endpoints.refresh)
                self._watcher = asyncio.create_task(self._watch())
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._watcher:
                    self._watcher.cancel()
                self._log.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            await asyncio.to_thread(self.endpoints.refresh)

    # --- one request ---
    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        endpoint = ""
        self._in_flight += 1
        try:
            headers = _headers(scope)
            route = self._admitted(scope, headers)
            live = self._called(route, headers)
            endpoint = live.manifest.endpoint if live else ""
            answer = await self._handled(route, live, headers, receive)
        except Denied as denied:
            answer = denied.answer
        except WerkError as wrong:
            answer = _refusal(wrong)
        except ConnectionResetError:
            return
        finally:
            self._in_flight -= 1
        self.metrics.observe(endpoint, answer.status, time.perf_counter() - began)
        await _send(send, answer)

    def _admitted(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Route:
        if b"content-length" in headers and b"transfer-encoding" in headers:  # one in front may see another end: RFC 9112 6.1
            raise Denied(400, "framing-refused", "The body's length is said in two ways.", "Send one of them.", _CLOSE)
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in self._hosts:
            raise Denied(403, "host-refused", "This host name is not served here.", "Start the server with this host allowed.")
        route = _route(scope["path"])
        if self._in_flight > self._limits.in_flight and route.name != "live":
            raise Denied(503, "overloaded", "Too many requests at once.", "Try again.", ((b"retry-after", b"1"),))
        if scope["method"] not in route.methods:
            allowed = ", ".join(route.methods)
            raise Denied(405, "method-refused", f"This path takes {allowed}.", f"Use {allowed}.", ((b"allow", allowed.encode()),))
        return route

    def _called(self, route: Route, headers: Mapping[bytes, bytes]) -> Live | None:
        """The endpoint a route is about, once the caller has shown a token for it; None for the open health routes."""
        if route.name in _OPEN:
            return None
        if not self.endpoints.live:
            waits = "; ".join(f"{name}: {why}" for name, why in self.endpoints.broken.items()) or "nothing is deployed"
            raise Denied(
                503, "not-ready", f"No model is ready: {waits}", "Deploy an approved version.", ((b"retry-after", b"1"),)
            )
        digest = self._known_token(headers)
        if route.name in ("server", "metrics"):
            return None
        live = self._endpoint(route)
        if digest is not None and not _holds(live.manifest.tokens, digest):
            raise Denied(403, "token-refused", "This token may not call this endpoint.", "Ask the endpoint's owner for one.")
        if route.version is not None and route.version != str(live.manifest.version):
            now = live.manifest.version
            raise InputError(
                f"Version {route.version[:20]} is not deployed here.", code="version-unknown", hint=f"Deployed is {now}."
            )
        return live

    def _known_token(self, headers: Mapping[bytes, bytes]) -> str | None:
        if not self._require_token:
            return None
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).hexdigest()
        known = [_holds(live.manifest.tokens, digest) for live in self.endpoints.live.values()]
        if scheme.lower() != b"bearer" or not any(known):
            raise Denied(
                401,
                "token-missing" if not token else "token-unknown",
                "This server answers only callers with a known token.",
                "Send the header 'Authorization: Bearer <token>'.",
                ((b"www-authenticate", b"Bearer"),),
            )
        return digest

    def _endpoint(self, route: Route) -> Live:
        live = self.endpoints.live
        if route.endpoint is None and len(live) == 1:
            return next(iter(live.values()))
        if route.endpoint is None:
            raise InputError(
                f"{len(live)} endpoints are served here.", code="endpoint-unknown", hint="POST /models/{endpoint}/invocations."
            )
        if route.endpoint in live:
            return live[route.endpoint]
        if route.endpoint in self.endpoints.broken:
            why = self.endpoints.broken[route.endpoint]
            raise Denied(
                503, "not-ready", f"'{route.endpoint}' is not ready: {why}", "Deploy it again.", ((b"retry-after", b"1"),)
            )
        raise unknown("endpoint", route.endpoint[:80], live, code="endpoint-unknown")

    async def _handled(self, route: Route, live: Live | None, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        if live is None:
            return self._about(route.name)
        if route.name == "model":
            return Answer(200, _described(live))
        if route.name == "model-ready":
            return Answer(200, b'{"ready":true}')
        _check_content(headers)
        body, infers = await _body(receive, headers, self._limits.body_bytes), route.name == "infer"
        inline = len(body) <= _INLINE_BYTES
        found = _predicted(live, body, infers) if inline else await asyncio.to_thread(_predicted, live, body, infers)
        return self._given(live.manifest, found)

    def _given(self, manifest: Manifest, found: Predicted) -> Answer:
        self._kept(manifest.endpoint, found.lines, len(found.ids))
        self.metrics.predictions[manifest.endpoint, manifest.model, manifest.version] += len(found.ids)
        version = f"{manifest.model}:{manifest.version}".encode()
        shown = ",".join(found.ids[:_HEADER_IDS]).encode()
        return Answer(200, found.body, ((b"x-werk-prediction-id", shown), (b"x-werk-model-version", version)))

    def _kept(self, endpoint: str, lines: bytes, count: int) -> None:
        """An answer that could not be followed later is not given."""
        try:
            self._log.append(lines)
        except Transient:
            self.metrics.unlogged[endpoint] += count
            raise

    def _about(self, name: str) -> Answer:
        match name:
            case "live":
                return Answer(200, b'{"live":true}')
            case "server":
                return Answer(200, b'{"name":"werk","version":"1","extensions":[]}')
            case "metrics":
                text = self.metrics.render(ready=self.ready, switches=self.endpoints.switches, inflight=self._in_flight)
                return Answer(200, text.encode(), content_type=b"text/plain; version=0.0.4; charset=utf-8")
            case _:
                waits = sorted(self.endpoints.broken) or ([] if self.endpoints.live else ["a deployment"])
                return Answer(200 if self.ready else 503, orjson.dumps({"ready": self.ready, "waiting_for": waits}))


_OPEN = frozenset({"live", "ready"})
_CLOSE = ((b"connection", b"close"),)
_FIXED = {
    "/v2": Route("server", ("GET", "HEAD")),
    "/v2/health/live": Route("live", ("GET", "HEAD")),
    "/v2/health/ready": Route("ready", ("GET", "HEAD")),
    "/healthz": Route("live", ("GET", "HEAD")),
    "/ping": Route("ready", ("GET", "HEAD")),
    "/metrics": Route("metrics", ("GET", "HEAD")),
    "/invocations": Route("invocations", ("POST",)),
}


def _route(path: str) -> Route:
    fixed = _FIXED.get(path.rstrip("/"))
    if fixed:
        return fixed
    match path.strip("/").split("/"):
        case ["models", name, "invocations"]:
            return Route("invocations", ("POST",), name)
        case ["v2", "models", name, *rest]:
            version, rest = (rest[1], rest[2:]) if rest[:1] == ["versions"] and len(rest) > 1 else (None, rest)
            if rest == ["infer"]:
                return Route("infer", ("POST",), name, version)
            if rest in ([], ["ready"]):
                return Route("model-ready" if rest else "model", ("GET", "HEAD"), name, version)
    raise InputError(
        f"There is nothing at '{path[:120]}'.",
        code="route-unknown",
        hint="POST /models/{endpoint}/invocations or /v2/models/{endpoint}/infer.",
    )


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in scope["headers"]}


def _holds(tokens: Sequence[str], digest: str) -> bool:
    """Compares with every token, in constant time each, so that the time tells nothing about which one is near."""
    return sum(hmac.compare_digest(token, digest) for token in tokens) > 0


def _check_content(headers: Mapping[bytes, bytes]) -> None:
    kind, _, rest = headers.get(b"content-type", b"application/json").decode("latin-1").lower().partition(";")
    charset = rest.partition("charset=")[2].strip(' "')
    if kind.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Denied(415, "content-refused", "The body must be JSON in UTF-8.", "Send 'Content-Type: application/json'.")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity" or b"inference-header-content-length" in headers:
        raise Denied(415, "content-refused", "Compressed and binary bodies are not read.", "Send plain JSON.")


async def _body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    announced = headers.get(b"content-length", b"0")
    parts: list[bytes] = []
    if len(announced) > _LENGTH_DIGITS:
        raise Denied(413, "body-too-large", f"The body is larger than {limit} bytes.", "Send fewer rows at once.")
    size, more = (int(announced) if announced.isdigit() else 0), True
    got = 0
    while more:
        if max(size, got) > limit:
            raise Denied(413, "body-too-large", f"The body is larger than {limit} bytes.", "Send fewer rows at once.")
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        parts.append(message.get("body", b""))
        got += len(parts[-1])
        more = message.get("more_body", False)
    if got > limit:
        raise Denied(413, "body-too-large", f"The body is larger than {limit} bytes.", "Send fewer rows at once.")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _predicted(live: Live, data: bytes, infers: bool) -> Predicted:
    request = (inference if infers else invocation)(parse_json(data), live.signature)
    scores = live.scores(live.signature.encode(request.columns, request.count))
    ids = _new_ids(request.count)
    body = _inferred(live, request, scores, ids) if infers else {**_invoked(live, scores), "prediction_ids": ids}
    return Predicted(ids, _lines(live, request, scores, ids), orjson.dumps(body))


def _new_ids(count: int) -> list[str]:
    digits = secrets.token_hex(10 * count)
    return [f"prd_{digits[at : at + 20]}" for at in range(0, len(digits), 20)]


def _lines(live: Live, request: Request, scores: list[Any], ids: list[str]) -> bytes:
    """One line a row with everything a replay needs: the version's identity and the values as they were sent."""
    m, features = live.manifest, live.signature.features
    said = {"endpoint": m.endpoint, "deployment": m.deployment, "model": m.model, "version": m.version}
    common = {"at": time.time_ns() // 1000, **said, "canonical_hash": m.canonical_hash, "request": request.id}
    keys = [name for name in live.signature.key if name in request.columns]
    out = []
    for at, (id, score) in enumerate(zip(ids, scores, strict=True)):
        row = {name: request.columns[name][at] for name in features}
        key = {name: request.columns[name][at] for name in keys}
        out.append(orjson.dumps({"id": id, **common, "key": key, "row": row, "score": score}, option=orjson.OPT_APPEND_NEWLINE))
    return b"".join(out)


def _invoked(live: Live, scores: list[Any]) -> dict[str, object]:
    """A number a row; of a multiclass model the likeliest class a row, and the probability of each by its name."""
    names = live.model.classes
    if not names:
        return {"predictions": scores}
    return {"predictions": _likeliest(names, scores), "probabilities": [dict(zip(names, row, strict=True)) for row in scores]}


def _likeliest(names: Sequence[str], scores: list[Any]) -> list[str]:
    return [names[row.index(max(row))] for row in scores]


def _inferred(live: Live, request: Request, scores: list[Any], ids: list[str]) -> dict[str, object]:
    wide = isinstance(scores[0], list)
    shape = [len(scores), len(scores[0])] if wide else [len(scores)]
    flat = [score for row in scores for score in row] if wide else scores
    tensors = {
        "score": {"name": "score", "datatype": "FP64", "shape": shape, "data": flat},
        "prediction_id": {"name": "prediction_id", "datatype": "BYTES", "shape": [len(ids)], "data": ids},
    }
    if live.model.classes:
        said = _likeliest(live.model.classes, scores)
        tensors["class"] = {"name": "class", "datatype": "BYTES", "shape": [len(said)], "data": said}
    answer: dict[str, object] = {
        "model_name": live.manifest.endpoint,
        "model_version": str(live.manifest.version),
        "outputs": [tensors[name] for name in request.outputs],
    }
    return answer if request.id is None else {**answer, "id": request.id}


def _described(live: Live) -> bytes:
    signature = live.signature
    inputs = [{"name": n, "datatype": "BYTES" if n in signature.codes else "FP64", "shape": [-1]} for n in signature.features]
    outputs: list[dict[str, object]] = [
        {"name": "score", "datatype": "FP64", "shape": [-1]},
        {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
    ]
    if names := live.model.classes:
        outputs[0] = {"name": "score", "datatype": "FP64", "shape": [-1, len(names)], "parameters": {"classes": names}}
        outputs.append({"name": "class", "datatype": "BYTES", "shape": [-1]})
    named = {"name": live.manifest.endpoint, "versions": [str(live.manifest.version)], "platform": f"werk_{live.model.format}"}
    return orjson.dumps({**named, "inputs": inputs, "outputs": outputs})


def _refusal(wrong: WerkError) -> Answer:
    status = 503 if isinstance(wrong, Transient) else _STATUS.get(wrong.code, 400)
    later = ((b"retry-after", b"1"),) if status == 503 else ()
    return Answer(status, _error(wrong.message, wrong.code, wrong.hint), later)


def _error(message: str, code: str, hint: str) -> bytes:
    # A lone surrogate in a caller's text cannot be UTF-8; it is shown, not refused a second time.
    texts = {"error": message, "code": code, "hint": hint}
    return orjson.dumps({name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()})


async def _send(send: Send, answer: Answer) -> None:
    length = str(len(answer.body)).encode()
    fixed = [(b"content-type", answer.content_type), (b"content-length", length)]
    await send({"type": "http.response.start", "status": answer.status, "headers": [*fixed, *answer.headers]})
    await send({"type": "http.response.body", "body": answer.body})
