"""Gatekeepers: the login, bot check or refusal that a site shows in place of what was asked for, with status 200.

A document may speak of all that, and a paste with a log of refusals is one. So a gatekeeper's page is HTML, short, has
no text of its own (`pre`, `code`, `article`, a filled `textarea`), and says in its title what it is; or it has next to
no words, and those or its markup say it.
"""

import re
from typing import Final

from lxml import etree

from leakwatch.errors import Blocked
from leakwatch.fetch.page import Page
from leakwatch.fetch.source import Source

LONGEST: Final = 100_000  # characters; a gatekeeper's page is a tenth of that
_HEAD: Final = 2_000  # characters in which a page says that it is HTML
_WORDY: Final = 3_000  # characters to read: more than any gatekeeper has to say
_WORDLESS: Final = 300  # characters to read: too few for a document with a site's menus around it
_TITLES: Final = re.compile(
    r"just a moment|one moment|attention required|checking your browser|making sure you|ddos-guard|access denied"
    r"|are you (?:an? )?(?:human|robot)|(?:re)?captcha\W{0,3}$"
    r"|(?:human|bot|robot|security) (?:check|verification)|verify(?:ing)? (?:that )?you"
    r"|access to this (?:page|site) has been denied|request (?:was )?blocked|(?:403 )?forbidden",
    re.IGNORECASE,
)
_LOGINS: Final = re.compile(r"log ?in|sign ?in|log ?on|anmelden|connexion", re.IGNORECASE)
_WORDS: Final = re.compile(
    r"just a moment|checking your browser|are you (?:an? )?(?:human|robot)|not a (?:ro)?bot"
    r"|(?:solve|complete|enter|pass|fill in) (?:the|this|a) captcha|does not have access|access denied"
    r"|request (?:was )?blocked|(?:enable|requires) javascript",
    re.IGNORECASE,
)
_WIDGETS: Final = re.compile(r"recaptcha|h-?captcha|cf-(?:turnstile|challenge|chl)|anubis|ddos-guard", re.IGNORECASE)
_SHOWN: Final = "//text()[not(ancestor::script or ancestor::style or ancestor::title)]"
_OWN: Final = "boolean(//pre | //code | //article | //textarea[normalize-space()])"
_ASKS: Final = "boolean(//input[translate(@type, 'PASWORD', 'pasword') = 'password'])"
_MARKUP: Final = "//@id | //@class | //@src | //@action"


def is_barred(text: str) -> bool:
    """Whether a text is a gatekeeper's page and no document."""
    tree = _parsed(text)
    if tree is None or tree.xpath(_OWN):
        return False
    said = " ".join(" ".join(map(str, tree.xpath(_SHOWN))).split())
    title = " ".join(str(tree.xpath("string(//title)")).split())
    asks = bool(tree.xpath(_ASKS))
    if len(said) <= _WORDY and (_TITLES.match(title) or (asks and _LOGINS.search(title))):
        return True
    if len(said) > _WORDLESS:
        return False
    return asks or bool(_WORDS.search(said)) or any(_WIDGETS.search(str(one)) for one in tree.xpath(_MARKUP))


def check(source: Source, page: Page) -> None:
    """Raise Blocked where in place of a document there is a gatekeeper's page. Blocks: not for the event loop.

    What its host calls anything else than HTML is a document: somebody's own page of a login may hold a key.
    """
    kind = page.content_type.lower()
    if len(page.body) <= 4 * LONGEST and (not kind or "html" in kind) and is_barred(page.text()):
        raise blocked(source, "a document")


def blocked(source: Source, what: str) -> Blocked:
    """Return the error for a gatekeeper's page in place of what we came for."""
    message = f"{source.name}: instead of {what} there is a login, a bot check or a refusal"
    return Blocked(message, mend="ask the site's operator, use its feed or API, or give a token; it is tried again")


def _parsed(text: str) -> "etree._Element | None":
    head = text[:_HEAD].lower()
    if len(text) > LONGEST or head.lstrip()[:1] != "<" or not ("<html" in head or "<!doctype html" in head):
        return None
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        return etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        return None
