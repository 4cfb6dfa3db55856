"""A definition that is right as a whole."""

from functools import cached_property
from typing import Self

from pydantic import ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from leakwatch.definitions.checks import wrong
from leakwatch.definitions.model import Described, DocumentPlace, Fields, Listing


class Definition(Described):
    """One kind of site."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if found := wrong(self):
            details = [InitErrorDetails(type=_error(what), loc=where, input=None) for where, what in found]
            raise ValidationError.from_exception_data("Definition", details)
        return self

    @cached_property
    def of_index(self) -> "Definition":
        """What reads the index, as if it were a listing of its own."""
        index = self.index
        assert index is not None  # noqa: S101 - asked only where there is one
        facts = {"id": index.id, "version": index.version}
        return self.model_copy(
            update={
                "kind": index.kind or self.kind,
                "listing": Listing(url=index.url, items=index.items, may_be_empty=index.may_be_empty),
                "fields": Fields(**facts),
                "cut": Fields(id=index.cut),
                "document": DocumentPlace(),
                "index": None,
            }
        )

    @cached_property
    def of_open(self) -> "Definition":
        """What reads a page that is opened, as if it were a listing of its own."""
        inner = self.open
        assert inner is not None  # noqa: S101 - asked only where there is one
        return self.model_copy(
            update={
                "kind": inner.kind,
                "listing": Listing(items=inner.items, each=inner.each),
                "fields": inner.fields,
                "cut": inner.cut,
                "document": inner.document,
                "index": None,
                "open": None,
            }
        )

    @cached_property
    def of_catchup(self) -> "Definition":
        """What names the items of the list that is read after a gap, as if it were a listing of its own."""
        catchup = self.catchup
        assert catchup is not None  # noqa: S101 - asked only where there is one
        return self.model_copy(
            update={
                "kind": "json",
                "listing": Listing(),
                "fields": Fields(id=catchup.id, version=catchup.serial),
                "cut": Fields(),
                "document": catchup.document,
                "index": None,
            }
        )

    @cached_property
    def of_push(self) -> "Definition":
        """What reads a push, as if it were a listing of its own."""
        push = self.push
        assert push is not None  # noqa: S101 - asked only where there is one
        listing = Listing(items=push.items)
        update = {"kind": "json", "listing": listing, "fields": push.fields, "cut": push.cut, "index": None}
        return self.model_copy(update=update)


def _error(what: str) -> PydanticCustomError:
    return PydanticCustomError("definition", "{what}", {"what": what})
