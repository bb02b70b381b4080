"""NoEffect: whoever writes a field that has no effect here is told so, by a Warning header. It refuses nothing.

What a controller makes is not spoken of again: the author of the template has been told.
"""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Resource
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.kinds import noeffect
from fairlead.apiserver.state import Api


class NoEffect:
    name = "NoEffect"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        written = operation is not Operation.DELETE and not subresource
        return written and noeffect.concerns((resource.group, resource.plural))

    def admit(self, api: Api, review: Review) -> None:
        """Nothing to change."""

    def validate(self, api: Api, review: Review) -> None:
        new, old = review.obj, review.old
        if any(owner.get("controller") for owner in new["metadata"].get("ownerReferences") or ()):
            return
        if old and new.get("spec") == old.get("spec") and new.get("template") == old.get("template"):
            return
        resource = review.call.served.resource
        for text in noeffect.warnings((resource.group, resource.plural), new):
            review.call.warn(text)
