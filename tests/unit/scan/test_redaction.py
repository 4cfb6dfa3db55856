import base64
import re
from collections.abc import Callable
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.surroundings import DISGUISES, Disguise
from leakwatch.scan import synthetic
from leakwatch.scan.detectors import Detector, shipped
from leakwatch.scan.redaction import Span, mask, redact
from leakwatch.scan.scanner import Scanner
from tests.unit.core.making import sieve_of
from tests.unit.scan.making import MARKED, made, named

UNHURRIED = settings(deadline=None)  # the first of a process takes longer than the others
SCANNER = Scanner(shipped())
TOO_MANY = "AIza" * 1000  # denser than keys can stand
KEY_CHARACTERS = synthetic.ALPHABETS["alnum"] + "-_+/=.%"


def encoded(key: str, times: int) -> str:
    """A key as it stands in an address: every character but letters and digits escaped, some letters too."""
    for _ in range(times):
        key = "".join(f"%{ord(c):02X}" if c in "-_.=+/%sA" else c for c in key)
    return key


KEYS = st.builds(made, st.sampled_from(MARKED), st.integers(0, 999))
PIECES = st.one_of(
    KEYS,
    st.builds(encoded, KEYS, st.integers(1, 2)),
    st.text(KEY_CHARACTERS, max_size=20),
    st.text(max_size=5),
    st.sampled_from([" ", "\n", "?key=", "%", "%2", "%25", "\ud800"]),
)


@pytest.mark.parametrize(
    ("key", "prefix", "masked"),
    [
        ("sk-" + "a" * 40 + "wxyz", "sk-", "sk-…wxyz"),
        ("sk-" + "a" * 40 + "wxyz", "", "…wxyz"),
        ("sk-" + "a" * 40 + "wxyz", "other-", "…wxyz"),
        ("sk-abcdefgh1234", "sk-", "sk-…1234"),
        ("sk-abcdefg1234", "sk-", "sk-…"),
        ("", "", "…"),
    ],
)
def test_a_mask_shows_the_prefix_and_the_last_four_characters(key: str, prefix: str, masked: str) -> None:
    assert mask(key, prefix) == masked


@pytest.mark.parametrize("detector", MARKED, ids=lambda detector: detector.id)
def test_a_key_in_an_address_is_masked_plain_or_percent_encoded(detector: Detector) -> None:
    key = made(detector, 5)
    for form in (key, quote(key, safe=""), encoded(key, 1), encoded(key, 2)):
        redacted = SCANNER.redact(f"https://example.org/é?a=b&key={form}&c=%20d")
        assert redacted.startswith("https://example.org/é?a=b&key=")
        assert redacted.endswith(f"…{detector.key(key)[-4:]}&c=%20d")
        assert len(redacted) < 80


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing here",
        "100% of %zz %41",
        "é\0\ud800\udfff",
        "a%c3%a9%ff",
        "https://example.org/blog/task-management-software-for-small-teams-2026",  # sk- and 22 characters
        "https://example.org/wiki/Risk-Management_in_Financial_Institutions",
        "https://example.org/docs/functional-programming-for-the-working-mathematician-2",  # al- and 43
        "https://example.org/src/tests/assert_array_almost_equal_nulp.py",  # rt_ and 20
    ],
)
def test_a_text_without_keys_stays_as_it_is(text: str) -> None:
    assert SCANNER.redact(text) == text


def test_words_that_are_glued_to_a_key_do_not_save_it_from_being_masked() -> None:
    key = synthetic.fill("esecret_{lowernum:26}", Random(1))
    assert SCANNER.redact(f"<{key}-and-some-words>").startswith("<esecret_…")


@UNHURRIED
@given(st.lists(PIECES, max_size=8))
def test_no_candidate_is_left_and_redacting_again_changes_nothing(pieces: list[str]) -> None:
    text = "".join(pieces)
    redacted = SCANNER.redact(text)
    assert not SCANNER._spans(None, redacted.encode("utf-8", "surrogatepass"))
    assert SCANNER.redact(redacted) == redacted


@UNHURRIED
@given(st.lists(PIECES, max_size=5), KEYS, st.integers(0, 2), st.lists(PIECES, max_size=5))
def test_a_key_is_gone_whatever_is_glued_to_it(before: list[str], key: str, times: int, after: list[str]) -> None:
    hidden = encoded(key, times)
    text = "".join([*before, hidden, *after])
    # Such an escape would take some of the key.
    assume(not (times and re.search(r"%(?:25)*[0-9A-Fa-f]?" + re.escape(hidden), text)))
    redacted = SCANNER.redact(text)
    assert key not in redacted
    assert hidden not in redacted


@pytest.mark.parametrize("width", ["utf-16-be", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("times", [0, 1])
def test_what_is_wide_behind_what_is_something_else_is_hidden_with_its_own_disguise(width: str, times: int) -> None:
    """What parts two texts is taken for a character of neither: what would be hidden then would be a part of both."""
    wide = made(named("github-pat-classic"), 1)
    for _ in range(times):
        wide = base64.b64encode(wide.encode()).decode()
    hidden = base64.b64encode(wide.encode(width)).decode()
    assert SCANNER.redact(f"a1bcdefghijklmno\nk {hidden}").rstrip("=") == "a1bcdefghijklmno\nk ghp_…tV7c"


def test_of_a_text_that_does_not_become_shorter_nothing_is_shown() -> None:
    finds = [Span(2, 3, "…")]
    assert redact("ab.de", lambda _data: finds, lambda _data: []) == "…"


def test_overlapping_keys_become_one_mask() -> None:
    first = synthetic.fill("nvapi-{alnum:58}AIza{alnum:2}", Random(1))
    second = synthetic.fill("{alnum:29}wxyz", Random(1))
    assert SCANNER.redact(f"<{first}{second}>") == "<nvapi-…wxyz>"


def test_a_key_within_a_key_changes_nothing_of_the_mask() -> None:
    key = synthetic.fill("nvapi-{alnum:10}AIza{alnum:46}wxyz", Random(1))
    assert SCANNER.redact(f"<{key}>") == "<nvapi-…wxyz>"


def test_a_text_with_too_many_keys_is_not_shown_at_all(keys_in: Callable[[str], list[str]]) -> None:
    few = Scanner(shipped(), limit=3)
    keys = [made(named(name), 1) for name in ("jina", "featherless", "nvidia-nvapi", "wandb")]
    assert len(keys_in("\n".join(keys))) == 4
    assert few.redact("\n\n".join(keys)).count("…") == 4
    assert few.redact("\n\n".join([*keys, TOO_MANY])) == "…"


@pytest.mark.parametrize("form", ["{hex:32}", "{uuid:4}", "{alnum:40}", "{alnum:20}/{alnum:18}"])
def test_a_registered_key_of_no_marker_is_masked(form: str) -> None:
    key = synthetic.fill(form, Random(1))
    other = synthetic.fill(form, Random(2))
    text = f"https://example.org/?a={other}&k={key}&c=d"
    assert SCANNER.redact(text, sieve_of(key)) == f"https://example.org/?a={other}&k=…{key[-4:]}&c=d"
    assert SCANNER.redact(text, sieve_of("another")) == text


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_a_disguised_key_is_hidden_with_its_disguise(disguise: Disguise) -> None:
    key = made(named("openai-project"), 1)
    text = f"before {disguise(key.encode()).decode('latin-1')} after"
    redacted = SCANNER.redact(text)
    assert redacted.startswith("before")
    assert "…" in redacted
    assert disguise(key.encode()).decode("latin-1") not in redacted


def test_a_registered_key_of_no_marker_is_hidden_under_a_disguise_too() -> None:
    key = synthetic.fill("{hex:32}", Random(1))
    assert SCANNER.redact(f"<{key.encode().hex()}>", sieve_of(key)) == f"<…{key[-4:]}>"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n", "\\\n", "\n  # "])
def test_a_registered_key_of_no_marker_that_is_broken_over_lines_is_hidden_and_its_neighbours_are_not(end: str) -> None:
    key = synthetic.fill("{alnum:48}", Random(1))
    text = f"token1{end}{key[:24]}{end}{key[24:]}{end}another2 word"
    redacted = SCANNER.redact(text, sieve_of(key))
    assert redacted == f"token1{end}…{key[-4:]}{end}another2 word"


@pytest.mark.parametrize("format_", ["openai-project", "anthropic-api", "openai-service-account", "minimax-coding"])
def test_a_key_whose_first_line_looks_like_a_whole_one_is_hidden_with_its_others(format_: str) -> None:
    key = made(named(format_), 1)
    for at in (40, 60, 80):
        redacted = SCANNER.redact(f"a {key[:at]}\n{key[at:]} b", sieve_of(key))
        assert "\n" not in redacted
        assert not any(key[start : start + 12] in redacted for start in range(12, len(key) - 12))


def test_broken_lines_with_too_many_keys_are_not_shown_at_all() -> None:
    few = Scanner(shipped(), limit=3)
    keys = [made(named(name), 1) for name in ("jina", "featherless", "nvidia-nvapi", "wandb")]
    broken = "\n\n".join(f"{key[:12]}\n{key[12:]}" for key in [*keys, TOO_MANY])
    assert few.redact(broken) == "…"


def test_a_disguise_of_too_many_keys_is_not_shown_at_all() -> None:
    few = Scanner(shipped(), limit=3)
    assert few.redact(DISGUISES["base64"](TOO_MANY.encode()).decode()) == "…"


def test_an_escaped_letter_of_two_bytes_is_shown_whole_or_not_at_all() -> None:
    """Its first byte was once taken for all that is escaped."""
    key = made(named("groq"), 1)
    escaped = "".join(f"\\u{ord(c):04x}" for c in key)
    for text in (f"{escaped}\\é", f"\\é{escaped}\\é€", f"é\\{escaped}"):
        assert "…" in SCANNER.redact(text)
