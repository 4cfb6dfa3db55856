"""The two small notations of a definition: templates with ``{placeholders}``, and ``css@attribute``."""

import re
from collections.abc import Mapping
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_ATTRIBUTE: Final = re.compile(r"(?P<css>.*?)(?:@(?P<attribute>[A-Za-z_:][\w:.-]*))?", re.DOTALL)


def split_attribute(selector: str) -> tuple[str, str]:
    """Split ``css@attribute`` into its two parts; the attribute is "" when the element's text is meant."""
    match = _ATTRIBUTE.fullmatch(selector)
    return (match["css"].strip(), match["attribute"] or "") if match else (selector, "")


def placeholders(template: str) -> list[str]:
    """Return the names that a template wants filled."""
    return _PLACEHOLDER.findall(template)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values into a template's placeholders; unknown ones become nothing.

    The template is ours, the values are a stranger's: so this is no format language.
    """
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), template)
