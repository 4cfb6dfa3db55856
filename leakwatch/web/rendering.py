"""Pages for customers: HTML that stands alone, needs no script, and tells nobody where its reader came from."""

import base64
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, final

from aiohttp import web
from babel import negotiate_locale
from markupsafe import Markup

from leakwatch.notify import Issuer, language, languages
from leakwatch.notify.language import Language
from leakwatch.notify.templating import FOLDER, Templates, isolated

_TEMPLATES: Final = Path(__file__).parent / "templates"
_TAGS: Final = 10  # languages of an Accept-Language that are looked at


@final
class Rendering:
    """Fills the pages' templates in one issuer's name."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._templates = Templates(Markup, (_TEMPLATES, FOLDER))
        self._style = "\n".join((folder / "style.css").read_text("utf-8") for folder in (FOLDER, _TEMPLATES))
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )

    def page(self, name: str, speech: Language, status: HTTPStatus = HTTPStatus.OK, /, **context: Any) -> web.Response:
        """Return a page as an answer."""
        shared: Mapping[str, Any] = {"lang": speech.code, "issuer": self._issuer, "style": Markup(self._style)}  # noqa: S704 - our own file
        html = self._templates.render(f"{name}.html.j2", speech, isolated({**shared, **context}))
        headers = {"Content-Security-Policy": self._policy, "X-Robots-Tag": "noindex, nofollow, noarchive"}
        return web.Response(status=status, text=html, content_type="text/html", charset="utf-8", headers=headers)


def asked_for(request: web.Request) -> Language:
    """Return the language that a reader's browser asks for, where nothing else says which they speak."""
    wanted: list[tuple[float, str]] = []
    for part in request.headers.get("Accept-Language", "").split(",")[:_TAGS]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), tag.strip()))
        except ValueError:
            continue
    tags = [tag for _, tag in sorted(wanted, key=lambda one: one[0])]
    return language(negotiate_locale(tags, sorted(languages()), sep="-") or "en")
