"""JSON listings: JMESPath."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature

from leakwatch.errors import BadContent
from leakwatch.fetch.listing import Facts, not_as_promised
from leakwatch.fetch.source import Source

ACCEPT: Final = "application/json, */*;q=0.5"


class _WithMore(Functions):
    """JMESPath with ``items(object)``, its community edition's: ``[[key, value], …]``; and ``get(object, key)``."""

    @signature({"types": ["object"]})
    def _func_items(self, value: Mapping[str, Any]) -> list[list[Any]]:
        return [[key, one] for key, one in value.items()]

    @signature({"types": ["object"]}, {"types": ["string"]})
    def _func_get(self, value: Mapping[str, Any], key: str) -> Any:
        return value.get(key)


_OPTIONS: Final = jmespath.Options(custom_functions=_WithMore())


def read(source: Source, text: str) -> Iterator[Facts]:
    """Yield the facts of each item. Raises BadContent for what is not JSON, or not of the shape that is promised."""
    whole = _parsed(source, text)
    fields = source.definition.fields.named()
    expression = source.definition.listing.items
    items = _search(source, "listing.items", expression, whole)
    if not isinstance(items, list):  # null is no empty list: what should be there is not
        message = f"{source.name}: listing.items ({expression}) gave no list"
        mend = "compare it with what the site answers; an object's entries are values(@), or items(@) as [key, value]"
        raise BadContent(message, mend=mend)
    for item in _each(source, items):
        found = ((name, _search(source, f"fields.{name}", where, item)) for name, where in fields.items())
        yield {name: _text(value) for name, value in found if value not in (None, "", [], {})}


def _each(source: Source, items: list[Any]) -> Iterator[Any]:
    """Yield the items; of such as hold several documents each with each of them."""
    each = source.definition.listing.each
    if not each:
        yield from items
        return
    for item in items:
        several = _search(source, "listing.each", each, item)
        yield from ([item, one] for one in several or [])


def value(source: Source, text: str, selector: str) -> str:
    """Return what an expression finds in the whole page, or ""."""
    found = _search(source, "a value of the page", selector, _parsed(source, text))
    return "" if found in (None, "", [], {}, False) else _text(found)


def values(source: Source, text: str, selector: str) -> list[str]:
    """Return the values of a list that an expression finds in the whole page."""
    found = _search(source, "a list of the page", selector, _parsed(source, text))
    return [_text(one) for one in found] if isinstance(found, list) else []


def _parsed(source: Source, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise not_as_promised(source, "JSON", text) from None


def _search(source: Source, setting: str, expression: str, value: Any) -> Any:
    try:
        return jmespath.search(expression, value, options=_OPTIONS)
    except (JMESPathError, RecursionError) as error:
        # Its message quotes the value that it met: a stranger's.
        message = f"{source.name}: {setting} ({expression}) cannot be applied to this listing ({type(error).__name__})"
        raise BadContent(message, mend="compare the definition with what the site answers") from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
