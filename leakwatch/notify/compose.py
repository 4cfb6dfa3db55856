"""A notice becomes a message: subject, text and HTML in the recipient's language. Pure: no network, no storage.

Each kind of notice has its folder in `templates/`. Templates see views, never the nouns themselves: what a stranger
wrote reaches them cleaned, and there is no other way for it to get in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from css_inline import CSSInliner
from markupsafe import Markup

from leakwatch.model import Guide, Message, Notice
from leakwatch.notify.cleaning import clean, defang
from leakwatch.notify.language import Language, language
from leakwatch.notify.links import Answering
from leakwatch.notify.templating import Templates, isolated
from leakwatch.notify.views import NAME, by_guide, day

_GAPS: Final = re.compile(r"\n{3,}")
_CUSTOMER: Final = 120  # characters of a customer's name, or of several
_DETAIL: Final = 2000
_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who the notices are from."""

    name: str  # as people know it
    sender: str  # the address in From
    reply_to: str  # where an answer goes


class Composer:
    """Writes notices in one issuer's name, with what the detectors know for people."""

    def __init__(self, issuer: Issuer, guides: Mapping[str, Guide]) -> None:
        """`guides` are by detector id; a key of a detector that is gone gets general advice."""
        self.issuer = issuer
        self._guides = guides
        self._text = Templates(str)
        self._html = Templates(Markup)
        # Mail programs drop <style> or read it badly; what only a style sheet can say (@media) stays in one.
        self._inliner = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)

    def compose(
        self, notice: Notice, sightings: Mapping[int, int] | None = None, answering: Answering | None = None
    ) -> Message:
        """Write a notice. The subject is one line; the text and the HTML say the same.

        `sightings` counts the places of each finding, where the notice does not name them all; `answering` says how
        its reader can answer other than by a reply.
        """
        speech = language(notice.locale)
        context = {**self.context(notice, sightings or {}, speech), "answering": answering}
        context["until"] = speech.date(answering.until) if answering else ""
        subject = clean(self._text.render(f"{notice.kind}/subject.txt.j2", speech, context), _SUBJECT)
        context["subject"] = subject
        html = self._html.render(f"{notice.kind}/body.html.j2", speech, isolated(context))
        text = self._text.render(f"{notice.kind}/body.txt.j2", speech, context)
        text = _GAPS.sub("\n\n", text)  # where a part has nothing to say
        return Message(subject=subject, text=text, html=self._inliner.inline(html))

    def context(self, notice: Notice, sightings: Mapping[int, int], speech: Language) -> dict[str, Any]:
        """Return what templates see of a notice."""
        guides = by_guide(notice, sightings, self._guides, speech)
        keys = tuple(key for guide in guides for key in guide.keys)
        return {
            "lang": speech.code,
            "issuer": self.issuer,
            "customer": defang(notice.customer, _CUSTOMER),
            "guides": guides,
            "keys": keys,
            "gone": bool(keys) and all(key.gone for key in keys),
            "alarm": defang(notice.alarm, NAME),
            "detail": defang(notice.detail, _DETAIL),
            "number": notice.id,
            "created": speech.moment(notice.created_at),
            "day": day(notice.summary, speech) if notice.summary else None,
        }
