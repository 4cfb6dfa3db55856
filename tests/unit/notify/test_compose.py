import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.model import Answer, Field, NoticeKind, Position
from leakwatch.notify import Answering
from leakwatch.notify.language import language, languages
from leakwatch.notify.wrapping import width
from tests.unit.notify.making import (
    ANSWERING,
    HOSTILE,
    MOMENT,
    alarm,
    composer,
    exposure,
    gone,
    hostile,
    notice,
    place,
    summary,
    ten_keys,
)

COMPOSER = composer()
LURE = "https://evil.example/login evil.example soc@evil.example @everyone"
EVERY = {
    "exposure": notice(),
    "gone": notice(exposures=(gone(),)),
    "all-gone": notice(exposures=(gone(), gone(number=8, label="Staging"))),
    "finding": notice(NoticeKind.FINDING, customer="Northwind Robotics, Südwind"),
    "alarm": alarm(),
    "breaker": alarm("breaker"),
    "recovered": alarm("recovered"),
    "ten": ten_keys(),
    "ten-findings": replace(ten_keys(), kind=NoticeKind.FINDING),
    "digest": notice(NoticeKind.DIGEST),
    "digests": replace(ten_keys(), kind=NoticeKind.DIGEST),
    "reminder": notice(NoticeKind.REMINDER),
    "reminders": replace(ten_keys(), kind=NoticeKind.REMINDER),
    "test": notice(NoticeKind.TEST, exposures=()),
    "summary": summary(),
    "quiet": summary(found=0, stopped=0, held=0, dead=0, bounced=0, answers={}, failing=(), doubtful=()),
    "unanswered": alarm("unanswered"),
    "hostile": hostile(),
    "hostile-finding": replace(hostile(), kind=NoticeKind.FINDING),
}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "div", "table", "tbody", "tr", "td", "th"),
    *("h1", "h2", "p", "a", "code", "ul", "ol", "li", "span", "bdi", "strong"),
}
EACH = pytest.mark.parametrize("name", EVERY)
LOCALES = pytest.mark.parametrize("locale", sorted(languages()))


class Seen(HTMLParser):
    """What a reader of the HTML sees, and what their program is told to do."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def words(text: str) -> list[str]:
    """In Chinese and Japanese each character is one: there lines end within what a space would part elsewhere."""
    return re.findall(r"[\u3005-\u9fff]|[^\W\u3005-\u9fff]+", text.casefold())


@EACH
@LOCALES
@pytest.mark.parametrize("answering", [None, ANSWERING], ids=["", "answering"])
def test_text_and_html_say_the_same(name: str, locale: str, answering: Answering | None) -> None:
    message = COMPOSER.compose(replace(EVERY[name], locale=locale), None, answering)
    html = words(" ".join(Seen(message.html).text))
    text = words(message.text)
    assert {word for word in text if word not in html} <= {"1", "2", "3", "4"}  # the list's numbers are the program's
    assert {word for word in html if word not in text} <= set(words("Example AI Security"))  # the banner


@LOCALES
def test_paragraphs_keep_to_their_columns(locale: str) -> None:
    text = COMPOSER.compose(notice(locale=locale), None, ANSWERING).text
    lines = [line for line in text.splitlines() if "://" not in line]
    assert 60 < max(map(width, lines)) <= 72


@EACH
@LOCALES
def test_html_stands_alone(name: str, locale: str) -> None:
    html = COMPOSER.compose(replace(EVERY[name], locale=locale), None, ANSWERING).html
    tags = Seen(html).tags
    assert {tag for tag, _ in tags} <= TAGS
    assert not [attrs for _, attrs in tags if {"src", "srcset", "background"} & attrs.keys()]
    assert "url(" not in html
    assert "@import" not in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert dict(tags)["html"]["lang"] == language(locale).code
    assert [attrs["content"] for tag, attrs in tags if attrs.get("name") == "color-scheme"] == ["light dark"]
    assert {attrs.get("role") or attrs["class"] for tag, attrs in tags if tag == "table"} <= {"presentation", "facts"}
    assert len(html) < 100_000  # Gmail cuts what is longer than 102 kB


@LOCALES
def test_what_strangers_wrote_is_harmless(locale: str) -> None:
    message = COMPOSER.compose(hostile(locale=locale))
    assert message.subject.isprintable()
    assert "49" not in message.subject + message.text
    for shown in (message.text, message.html):
        assert "evil.example" not in shown.replace("evil[.]example", "")
        assert "javascript:alert" not in re.findall('href="([^"]*)"', shown)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00\x1b\r]", shown)
    assert "\nBcc" not in message.text
    assert "<script" not in message.html
    links = [attrs["href"] or "" for tag, attrs in Seen(message.html).tags if tag == "a"]
    assert all(re.match("https://(paste.example.org|platform.openai.com)/", link) for link in links)
    assert len(max(message.text.splitlines(), key=len)) < 2100


@LOCALES
def test_headings_of_the_text_are_set_apart_in_every_script(locale: str) -> None:
    lines = COMPOSER.compose(notice(locale=locale)).text.splitlines()
    said = language(locale).gettext("What we did")
    assert said not in lines
    assert (f"■ {said}" if locale in ("ja", "zh") else said.upper()) in lines
    assert lines[0].startswith("■") == (locale in ("ja", "zh"))


def test_labels_are_kept_short() -> None:
    message = COMPOSER.compose(notice(customer="N" * 500, exposures=(exposure(label="L" * 500),)))
    assert len(message.subject) < 200
    assert "L" * 61 not in message.text
    assert "N" * 121 not in message.text


def test_a_key_without_a_label_is_named_by_what_its_console_shows() -> None:
    assert "sk-proj-…w4Zt" in COMPOSER.compose(notice(exposures=(exposure(label=""),))).subject


def test_facts_that_are_not_known_are_not_told() -> None:
    bare = place(title="", author="", published_at=None)
    text = COMPOSER.compose(notice(exposures=(exposure(key_id="", places=(bare,)),))).text
    for word in ("Key ID", "Title", "Author", "Published", "File", "Last seen"):
        assert word not in text


@pytest.mark.parametrize(
    ("field", "where"),
    [
        (Field.TEXT, "Line 12"),
        (Field.URL, "In the address itself"),
        (Field.ID, "In the address itself"),
        (Field.TITLE, "In the title"),
        (Field.AUTHOR, "In the author’s name"),
        (Field.PATH, "In the name of the file"),
    ],
)
def test_where_in_a_document_the_key_stands(field: Field, where: str) -> None:
    seen = place(position=Position(field=field, line=12, column=1))
    text = COMPOSER.compose(notice(exposures=(exposure(places=(seen,)),))).text
    assert f"      {where}\n" in text
    assert ("Line" in text) == (field is Field.TEXT)


def test_a_path_is_told_unless_the_address_does() -> None:
    other = place(path="src/settings.py")
    told = place(url="https://code.example/src/settings.py", path="src/settings.py")
    assert "File: src/settings[.]py" in COMPOSER.compose(notice(exposures=(exposure(places=(other,)),))).text
    assert "File:" not in COMPOSER.compose(notice(exposures=(exposure(places=(told,)),))).text


def test_a_place_that_is_gone_is_told_to_be_unless_the_key_was_seen_there_since() -> None:
    seen = place().last_seen_at
    for left, told in ((seen.replace(day=29), True), (None, False), (seen.replace(day=1), False)):
        text = COMPOSER.compose(notice(exposures=(exposure(places=(place(gone_at=left),)),))).text
        assert ("No longer there on July 29, 2026" in text) == told


def test_what_has_left_every_place_was_public() -> None:
    left = gone()
    still, again = replace(left, places=(*left.places, place())), place(gone_at=MOMENT - timedelta(days=1))
    for public in (still, replace(left, places=(again,)), replace(left, places=())):
        assert "Your API key is public" in COMPOSER.compose(notice(exposures=(public,))).html
    assert "Your API key is public" in COMPOSER.compose(notice(exposures=(left,)), {7: 2}).html  # one is not named
    assert "2 of your API keys are public" in COMPOSER.compose(notice(exposures=(left, exposure(8)))).html
    message = COMPOSER.compose(notice(exposures=(left,)), {7: 1})
    assert message.subject == "Your API key “CI deploy” (OpenAI) was public: revoke it now"
    for part in (message.text, message.html):
        said = " ".join(part.split())
        assert "is public" not in said
        assert "Anyone can read" not in said
        assert "whoever read it can still use it" in said


def test_when_a_key_was_seen_again() -> None:
    again = place(last_seen_at=place().last_seen_at.replace(day=29))
    assert "Last seen: July 29, 2026" in COMPOSER.compose(notice(exposures=(exposure(places=(again,)),))).text


@pytest.mark.parametrize(
    ("shown", "all_in_all", "tail"),
    [(5, None, None), (6, None, "and 1 more place"), (8, None, "and 3 more places"), (8, 40, "and 35 more places")],
)
def test_many_places_are_counted(shown: int, all_in_all: int | None, tail: str | None) -> None:
    seen = exposure(places=tuple(place(url=f"https://paste.example.org/{n}") for n in range(shown)))
    sightings = None if all_in_all is None else {seen.finding_id: all_in_all}
    text = COMPOSER.compose(notice(exposures=(seen,)), sightings).text
    assert f"Seen in {all_in_all or shown} places:" in text
    assert len(re.findall("https://paste", text)) == 5
    assert tail in text if tail else "more place" not in text


def test_keys_that_are_revoked_alike_share_their_steps() -> None:
    text = COMPOSER.compose(ten_keys()).text
    assert text.count("WHAT TO DO NOW AT OPENAI") == 1
    assert text.count("WHAT TO DO NOW AT GROQ") == 1
    assert text.count("https://platform.openai.com/api-keys") == 1
    assert "Create a new key at the provider" in text  # whose detector is gone
    assert "WHAT TO DO NOW\n" in COMPOSER.compose(notice()).text


def test_a_key_whose_detector_is_gone_gets_general_advice() -> None:
    message = COMPOSER.compose(notice(exposures=(exposure(detector="gone", provider="acme"),)))
    assert "(acme)" in message.subject
    assert "Kind: API key" in message.text
    assert "Revoke at" not in message.text


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        (notice(), "Your API key “CI deploy” (OpenAI) is public: revoke it now"),
        (
            notice(locale="fr-FR"),
            "Votre clé d’API «\u00a0CI deploy\u00a0» (OpenAI) est publique\u00a0: révoquez-la maintenant",
        ),
        (ten_keys(), "10 of your API keys are public: revoke them now"),
        (ten_keys(locale="fr"), "10 de vos clés d’API sont publiques\u00a0: révoquez-les maintenant"),
        (notice(NoticeKind.FINDING), "Exposed key: Northwind Robotics, “CI deploy” (OpenAI)"),
        (alarm(), "leakwatch needs you: blocked"),
        (alarm("breaker"), "Too many notices at once: they wait for you"),
        (alarm("mail_refused"), "A customer could not be told of an exposed key"),
        (alarm("channel_unusable"), "A customer could not be told of an exposed key"),
        (notice(NoticeKind.TEST, exposures=()), "Test: do our notices reach you?"),
        (summary(), "leakwatch: new findings: 3; 7 things need you"),
        (
            summary(found=0, stopped=0, held=0, dead=0, bounced=0, answers={}, failing=(), doubtful=()),
            "leakwatch: new findings: 0; nothing needs you",
        ),
        (alarm("notices_late"), "Notices do not go out"),
        (alarm("false_alarm"), "A customer calls it a false alarm"),
        (alarm("unanswered"), "A customer does not answer"),
        (notice(NoticeKind.DIGEST), "Your API key “CI deploy” (OpenAI) was seen in more places"),
        (replace(ten_keys(), kind=NoticeKind.DIGEST), "10 of your API keys were seen in more places"),
        (notice(NoticeKind.REMINDER), "Reminder: please revoke your API key “CI deploy” (OpenAI)"),
        (replace(ten_keys(), kind=NoticeKind.REMINDER), "Reminder: please revoke 10 of your API keys"),
        (alarm("recovered"), "All clear: a source can be read again"),
    ],
)
def test_the_subject_says_it_in_one_line(told: object, subject: str) -> None:
    assert COMPOSER.compose(told).subject == subject.replace("\u00a0", " ")  # type: ignore[arg-type] # a Notice each


def test_only_the_operator_learns_our_own_numbers() -> None:
    assert "Finding: 7" in COMPOSER.compose(notice(NoticeKind.FINDING)).text
    assert "Finding" not in COMPOSER.compose(notice()).text


def test_the_customer_is_told_how_to_answer_and_what_we_never_ask() -> None:
    text = " ".join(COMPOSER.compose(notice()).text.split())
    assert "Your answer goes to answers@issuer.example." in text
    assert "We will never ask you for a key" in text
    assert "We have not disabled the key" in text


def test_a_reader_can_answer_on_a_page_and_see_that_the_message_is_genuine() -> None:
    message = COMPOSER.compose(notice(), None, ANSWERING)
    text = " ".join(message.text.split())
    assert f"Answer on our page: {ANSWERING.page} " in text
    assert f'<a href="{ANSWERING.page}" rel="noreferrer"' in message.html
    assert "open leakwatch.issuer.example/a/ yourself and enter the reference 42-" in text
    assert text.endswith(f"Reference: {ANSWERING.reference}, July 27, 2026 at 2:03 PM UTC")
    assert "works until October 25, 2026" in text
    assert ANSWERING.stop not in message.text + message.html


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer.ACKNOWLEDGED, "You told us on July 28, 2026 that you know of it."),
        (Answer.REVOKED, "You told us on July 28, 2026 that the key is revoked."),
        (Answer.FALSE_ALARM, "You told us on July 28, 2026 that it is a false alarm."),
    ],
)
def test_what_was_answered_is_told_to_its_customer_alone(answer: Answer, words: str) -> None:
    answered = exposure(answer=answer, answered_at=MOMENT + timedelta(days=1))
    for told in (answered, replace(answered, closed_at=MOMENT + timedelta(days=2))):
        message = COMPOSER.compose(notice(exposures=(told,)))
        wanted = "We closed this case on July 29, 2026." if told.closed_at else words
        assert wanted in message.text
        assert wanted in message.html
        assert wanted not in COMPOSER.compose(notice(NoticeKind.FINDING, exposures=(told,))).text


@settings(deadline=None, max_examples=50)  # two languages are read on the first
@given(st.text(st.characters(), max_size=200), st.text(st.characters(), max_size=200))
def test_nothing_written_outside_breaks_a_message(one: str, other: str) -> None:
    seen = exposure(
        label=one, key_id=other, masked=other, places=(place(url=one, title=other, author=one, path=other),)
    )
    message = COMPOSER.compose(notice(customer=other, exposures=(seen,)))
    assert message.subject.isprintable()
    assert {tag for tag, _ in Seen(message.html).tags} <= {
        tag for tag, _ in Seen(COMPOSER.compose(ten_keys()).html).tags
    }
    message.text.encode()
    message.html.encode()


def test_the_worst_title_is_still_a_title() -> None:
    assert "Title, as published: “URGENT: log in at https[:]//evil[.]example/login" in COMPOSER.compose(hostile()).text
    assert HOSTILE not in COMPOSER.compose(hostile()).text


def test_a_name_that_runs_from_right_to_left_turns_no_sentence() -> None:
    name = "شركة الأمان"
    told = notice(customer=name, exposures=(exposure(label=name),))
    message = COMPOSER.compose(told, None, ANSWERING)
    assert message.html.count(name) > message.html.count(f"<bdi>{name}</bdi>") > 2
    outside = message.html.replace(f"<bdi>{name}</bdi>", "")
    assert outside.count(name) == outside.count(f"“{name}”")  # the subject, as title and label, holds no markup


def test_the_summary_says_what_is_still_on_its_way() -> None:
    assert "2 messages are still on their way" in " ".join(COMPOSER.compose(summary(waiting=2)).text.split())


@pytest.mark.parametrize("kind", [k for k in NoticeKind if k not in (NoticeKind.EVENT, NoticeKind.SUMMARY)])
def test_no_word_of_others_becomes_a_link_or_a_mention(kind: NoticeKind) -> None:
    lured = exposure(detector="gone", label=LURE, key_id=LURE, provider=LURE)
    told = notice(kind, customer=LURE, alarm=LURE, detail=LURE, exposures=(lured,))
    message = COMPOSER.compose(told)
    for said in (message.subject, message.text, message.html):
        assert re.search(r"://evil|evil\.example|(?<!\[)@(?:evil|everyone)", said) is None
