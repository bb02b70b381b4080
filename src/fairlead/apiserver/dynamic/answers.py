"""Answers: the `AdmissionReview` that a webhook is sent, and what its answer means (pure)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from fairlead.apiserver import encoding
from fairlead.apiserver.dynamic.configurations import Webhook
from fairlead.apiserver.state import Plain
from fairlead.base import errors

_GROUP = "admission.k8s.io"


class BadAnswer(Exception):
    """An answer that makes no sense; the message says why."""


class Answer(msgspec.Struct, frozen=True):
    """What a webhook says."""

    allowed: bool
    status: Mapping[str, Any] = {}
    patch: list[Any] | None = None
    warnings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}


def question(hook: Webhook, request: Plain, obj: Plain | None, old: Plain | None) -> bytes:
    """The body that is sent."""
    whole = {**request, "object": obj, "oldObject": old}
    return encoding.encode({"kind": "AdmissionReview", "apiVersion": f"{_GROUP}/{hook.version}", "request": whole})


def read(hook: Webhook, body: bytes, uid: str) -> Answer:
    """The answer in a body. Raises BadAnswer."""
    try:
        review = encoding.decode(body)
    except msgspec.DecodeError as problem:
        raise BadAnswer(f"the answer is not JSON: {problem}") from None
    wanted = f"{_GROUP}/{hook.version}, Kind=AdmissionReview"
    got = f"{review.get('apiVersion')}, Kind={review.get('kind')}"
    if got != wanted:
        raise BadAnswer(f"expected webhook response of {wanted}, got {got}")
    response = review.get("response")
    if not isinstance(response, dict):
        raise BadAnswer("webhook response was absent")
    if response.get("uid") != uid:
        raise BadAnswer(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    return Answer(
        bool(response.get("allowed")), response.get("status") or {}, _patch(hook, response),
        tuple(response.get("warnings") or ()), response.get("auditAnnotations") or {},
    )  # fmt: skip


def _patch(hook: Webhook, response: Plain) -> list[Any] | None:
    sent = response.get("patch")
    if not sent:
        return None
    if not hook.mutating:
        raise BadAnswer("webhook response.patch may not be set by a validating webhook")
    if response.get("patchType") != "JSONPatch":
        raise BadAnswer(
            f'webhook returned response.patchType="{response.get("patchType") or ""}", expected "JSONPatch"'
        )
    try:
        patch = msgspec.json.decode(base64.b64decode(sent, validate=True))
    except (binascii.Error, ValueError) as problem:
        raise BadAnswer(f"response.patch is no JSON patch in base64: {problem}") from None
    if not isinstance(patch, list):
        raise BadAnswer("response.patch is no JSON patch")
    return patch


def denied(hook: Webhook, status: Mapping[str, Any]) -> errors.StatusError:
    """The error of a request that a webhook has refused."""
    by = f'admission webhook "{hook.name}" denied the request'
    why = status.get("message") or status.get("reason")
    code = status.get("code") or 0
    details = status.get("details")
    text = f"{by}: {why}" if why else f"{by} without explanation"
    return errors.StatusError(
        code if code >= 400 else 400, status.get("reason") or "", text, details if isinstance(details, dict) else None
    )
