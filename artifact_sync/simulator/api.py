"""The API's endpoints over ASGI, as in ``swagger.cicd.json``."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.requests import Request

from artifact_sync.simulator import faults, payloads
from artifact_sync.simulator.endpoints import ApiError, Call, Endpoints, route
from artifact_sync.simulator.reply import Reply, send_reply, spoilt, whole_reply
from artifact_sync.simulator.service import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from artifact_sync.simulator.service import SimulatorService

_CODES: Mapping[int, str] = MappingProxyType(
    {
        401: "Unauthenticated",
        403: "PermissionDenied",
        404: "NotFound",
        429: "TooManyRequests",
        500: "Internal",
        503: "Unavailable",
    }
)


class ApiOrigin:
    """ASGI application of the API."""

    def __init__(self, service: SimulatorService) -> None:
        self._service = service
        self._endpoints = Endpoints(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it before its body begins."""
        request = Request(scope)
        path = scope["raw_path"].decode("latin-1")
        call = route(path)
        reply = self._reply(request, call)
        self._service.requests.note(Seen(call.endpoint, request.method, path, reply.status))
        await send_reply(reply, self._service.time(), receive, send)

    def _reply(self, request: Request, call: Call) -> Reply:
        refusal = self._refusal(request)
        if refusal is not None:
            return _error(refusal)
        struck = self._service.faults.striking(self._endpoints.subject(call))
        failed = _failed_by_fault(struck)
        return spoilt(failed or self._answer(request, call), struck)

    def _refusal(self, request: Request) -> ApiError | None:
        if request.method != "GET":
            return ApiError(405, "MethodNotAllowed", "this endpoint takes GET only")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = self._service.scenario.api.tokens
        good = [hmac.compare_digest(token.strip().encode(), one.encode()) for one in known]
        if scheme.lower() == "bearer" and any(good):
            return None
        return ApiError(401, "Unauthenticated", "the token is missing, unknown or out of date")

    def _answer(self, request: Request, call: Call) -> Reply:
        try:
            payload = self._endpoints.answer(call, request.query_params)
        except ApiError as error:
            return _error(error)
        return _json(200, payload)


def _json(status: int, payload: payloads.Json) -> Reply:
    body = json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return whole_reply(status, body, {"content-type": "application/json"})


def _error(error: ApiError) -> Reply:
    reply = _json(error.status, payloads.error_payload(error.code, str(error), uuid4().hex))
    extra = {401: {"www-authenticate": "Bearer"}, 405: {"allow": "GET"}}.get(error.status, {})
    return replace(reply, headers={**reply.headers, **extra})


def _failed_by_fault(struck: Sequence[faults.AnyFault]) -> Reply | None:
    for fault in struck:
        if isinstance(fault, faults.StatusFault):
            code = _CODES.get(fault.status, "Internal")
            reply = _error(ApiError(fault.status, code, "the scenario wants it so"))
            return replace(reply, headers={**reply.headers, **fault.headers()})
    return None
