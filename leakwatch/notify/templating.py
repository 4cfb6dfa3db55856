"""Templates filled in a language: as text, or as HTML in which all that comes from outside is escaped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leakwatch.notify.language import Language
from leakwatch.notify.wrapping import wrap

FOLDER: Final = Path(__file__).parent / "templates"
_COLUMNS: Final = 72  # of a paragraph in the text part


class Templates:
    """The templates of one form: `str` for text, `Markup` for HTML, in which all that comes from outside is escaped."""

    def __init__(self, form: type[str], folders: Sequence[Path] = (FOLDER,)) -> None:
        """`folders` are searched in order."""
        self._form = form
        self._environment = Environment(
            loader=FileSystemLoader(folders),
            autoescape=form is Markup,  # noqa: S701 - text is not escaped, HTML is
            undefined=StrictUndefined,
            auto_reload=False,  # it would look at each file each time
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["wrap"] = _wrap
        self._environment.filters["heading"] = _heading

    def render(self, name: str, speech: Language, context: Mapping[str, Any]) -> str:
        """Fill a template in a language. Messages are marked by `_` and `ngettext`, their values are keywords."""

        def gettext(message: str, **values: object) -> str:
            return self._form(speech.gettext(message)) % values

        def ngettext(one: str, many: str, count: int, **values: object) -> str:
            return self._form(speech.translations.ngettext(one, many, count)) % {"count": count, **values}

        return self._environment.get_template(name).render(context, _=gettext, ngettext=ngettext)


def isolated(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an HTML template sees: names that may run from right to left do not turn the sentence around them."""
    names = {name: Markup("<bdi>{}</bdi>").format(context[name]) for name in ("customer",) if context.get(name)}
    return {**context, **names}


def _heading(text: str) -> str:
    """Return a heading of a text that has no type to set it apart: in capitals, or with a mark where there are none."""
    return f"■ {text}" if _is_uncased(text) else text.upper()


def _is_uncased(text: str) -> bool:
    """Whether a text is of a script without capitals, whatever Latin words stand in it."""
    letters = [c for c in text if c.isalpha()]
    return sum(c.upper() == c.lower() for c in letters) * 2 > len(letters)


def _wrap(text: str, indent: str = "", first: str | None = None) -> str:
    """Break a paragraph into lines; addresses stay whole."""
    return wrap(text, _COLUMNS, first=indent if first is None else first, indent=indent)
