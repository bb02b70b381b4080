"""The order of dynamic admission.

To change an object: mutating webhooks, one after the other; when one of them has changed it, the built-in plugins run
again, and then those webhooks that want to see what was changed after them (`reinvocationPolicy: IfNeeded`). To refuse
it: policies, then validating webhooks, all at once. Kinds of admissionregistration.k8s.io are never asked about, so
that nobody locks themselves out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from fairlead.api import admissionregistration as kinds
from fairlead.apiserver import encoding
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.dynamic import answers, policies
from fairlead.apiserver.dynamic.answers import Answer
from fairlead.apiserver.dynamic.calls import Caller, CallFailed
from fairlead.apiserver.dynamic.configurations import Asked, Configurations, Webhook
from fairlead.apiserver.dynamic.situation import Situation
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.state import Api
from fairlead.base import errors, telemetry
from fairlead.machinery import cel, patch

Refit = Callable[[], None]
"""Bring the new state into its schema's form again."""
_log = telemetry.logger("admission")


class Dynamic:
    """See the module's text."""

    def __init__(self, configurations: Configurations, authorizer: Authorizer, caller: Caller) -> None:
        self.configurations, self._authorizer, self._caller = configurations, authorizer, caller

    def mutates(self, review: Review) -> bool:
        """Whether anything may change the object."""
        return self.configurations.may_mutate(_asked(review)) and not _exempt(review)

    def validates(self, review: Review) -> bool:
        """Whether anything may refuse the object."""
        return self.configurations.may_validate(_asked(review)) and not _exempt(review)

    async def close(self) -> None:
        """Close connections."""
        await self._caller.close()

    # --- to change -------------------------------------------------------------------------------------------------

    async def mutate(self, api: Api, review: Review, refit: Refit) -> None:
        """Let webhooks change the new state, in place."""
        situation = Situation(api, review, self._authorizer)
        asked = _Round(self, situation, refit)
        await asked.run(self.configurations.mutating)
        if not asked.changed:
            return
        api.admission.admit(api, review)
        now = _state(review)
        await asked.run([hook for hook, left in asked.left if hook.again and left != now])

    # --- to refuse -------------------------------------------------------------------------------------------------

    async def validate(self, api: Api, review: Review) -> None:
        """Let policies and webhooks refuse the object as it will be stored."""
        situation = Situation(api, review, self._authorizer)
        policies.enforce(situation, self.configurations.policies)
        concerned = [(hook, v) for hook in self.configurations.validating if (v := self.concerned(situation, hook))]
        if not concerned:
            return
        answered = await asyncio.gather(
            *(self.ask(situation, hook, version) for hook, version in concerned), return_exceptions=True
        )
        problems = [found for found in answered if isinstance(found, BaseException)]
        if problems:
            raise problems[0]

    # --- one webhook -----------------------------------------------------------------------------------------------

    def concerned(self, situation: Situation, hook: Webhook) -> str | None:
        """The version in which a webhook is asked about the request; None when it is not."""
        version = situation.concerns(hook.match)
        if version is None or not hook.conditions:
            return version
        variables, failed = situation.variables(version), ""
        for name, program in hook.conditions:
            try:
                if program.evaluate(variables) is not True:
                    return None
            except cel.CelError as problem:
                failed = failed or f"matchConditions[{name}]: {problem}"
        if failed:
            self._failed(situation, hook, CallFailed(failed))
            return None
        return version

    async def ask(self, situation: Situation, hook: Webhook, version: str) -> Answer | None:
        """A webhook's answer; None for a failure that its failurePolicy ignores. Raises for a refusal."""
        uid = situation.api.chance.uid()
        body = answers.question(
            hook, situation.request(version, uid), situation.in_version(situation.object, version),
            situation.in_version(situation.old, version),
        )  # fmt: skip
        try:
            answer = await self._caller.ask(hook, body, uid)
        except CallFailed as problem:
            self._failed(situation, hook, problem)
            return None
        call = situation.review.call
        for warning in answer.warnings:
            call.warn(warning)
        for key, value in answer.annotations.items():
            call.annotations[f"{hook.name}/{key}"] = str(value)
        if not answer.allowed:
            raise answers.denied(hook, answer.status)
        return answer

    def _failed(self, situation: Situation, hook: Webhook, problem: Exception) -> None:
        if hook.fails:
            raise errors.internal(f'failed calling webhook "{hook.name}": {problem}')
        _log.warning("webhook %s was passed over: %s", hook.name, problem)
        kind = "mutation" if hook.mutating else "validating"
        situation.review.call.annotations[f"failed-open.{kind}.webhook.admission.k8s.io/{hook.name}"] = hook.name


class _Round:
    """Mutating webhooks being asked. `left` has each that was asked, with the state that it has left behind."""

    def __init__(self, dynamic: Dynamic, situation: Situation, refit: Refit) -> None:
        self._dynamic, self._situation, self._refit = dynamic, situation, refit
        self.left: list[tuple[Webhook, bytes]] = []
        self.changed = False

    async def run(self, hooks: Sequence[Webhook]) -> None:
        """Ask those that are concerned, in order."""
        review = self._situation.review
        for hook in hooks:
            version = self._dynamic.concerned(self._situation, hook)
            if version is None:
                continue
            before = _state(review)
            answer = await self._dynamic.ask(self._situation, hook, version)
            if answer is not None and answer.patch:
                self._apply(hook, answer.patch, version)
            after = _state(review)
            self.left.append((hook, after))
            self.changed = self.changed or before != after

    def _apply(self, hook: Webhook, operations: list[Any], version: str) -> None:
        review = self._situation.review
        if review.operation is Operation.DELETE:
            return
        own = review.obj.get("apiVersion")
        try:
            made = patch.json_patch(self._situation.in_version(review.obj, version), operations)
        except patch.PatchError as problem:
            raise errors.internal(f'failed to apply the patch of webhook "{hook.name}": {problem}') from None
        if not isinstance(made, dict) or not isinstance(made.get("metadata"), dict):
            raise errors.internal(f'the patch of webhook "{hook.name}" leaves no object')
        made["apiVersion"] = own
        review.obj.clear()
        review.obj.update(made)
        self._refit()


def _state(review: Review) -> bytes:
    return encoding.encode(review.obj)


def _asked(review: Review) -> Asked:
    resource = review.call.served.resource
    return review.operation.value, resource.group, resource.plural, review.call.subresource


def _exempt(review: Review) -> bool:
    return review.call.served.resource.group == kinds.GROUP
