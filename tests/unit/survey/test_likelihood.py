"""What is taken for a key in use, and what for an example."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.scan import Detector
from leakwatch.scan.synthetic import fill
from leakwatch.survey.likelihood import Likelihood, Verdict, judge
from tests.unit.scan.making import named

GROQ = named("groq")


def judged(key: str, prefix: str = "", detector: Detector | None = GROQ, **facts: bool) -> Verdict:
    return judge(key, prefix, detector, **({"sound": True, "is_glued": False} | facts))


def random_key(seed: int = 1) -> str:
    return fill("{alnum:40}", Random(seed))


@given(st.integers(0, 10_000), st.sampled_from(["{alnum:32}", "{hex:40}", "{base64url:64}", "{upper:32}"]))
def test_what_is_drawn_by_chance_is_nearly_always_likely(seed: int, template: str) -> None:
    verdicts = [judged("k_" + fill(template, Random(seed * 100 + n)), "k_").likelihood for n in range(20)]
    assert verdicts.count(Likelihood.LIKELY) >= 17


@pytest.mark.parametrize(
    "body",
    [
        "x" * 40,
        "XXXXXXXXXXXXXXXXXXXX",
        "YOUR_API_KEY_GOES_HERE_01",
        "your-api-key-here-123456",
        "IOSFODNN7EXAMPLE",
        "replace-me-with-the-real1",
        "abcdefghijklmnopqrstuvwxyz123456",
        "1234567890abcdef1234567890abcdef",
        "zyxwvutsrqponmlkji012",
        "qwertyuiopasdfghjkl1",
        "0" * 32,
        "abcabcabcabcabcabcabcabc",
        "aaaaabbbbbaaaaabbbbbaaaaa",
        "some_words_of_a_name",
        "deadbeefdeadbeefdeadbeefdeadbeef",
        "****************************",
        "",
        "a",
    ],
)
def test_placeholders_and_examples_are_unlikely_and_it_is_said_why(body: str) -> None:
    verdict = judged("gsk_" + body, "gsk_")
    assert verdict.likelihood is Likelihood.UNLIKELY
    assert verdict.why


def test_a_wrong_structure_is_no_more_than_possible() -> None:
    assert judged(random_key(), sound=False) == (
        Likelihood.POSSIBLE,
        "its structure is not that of the keys we know",
    )


def test_what_could_be_anybodys_is_possible() -> None:
    assert judged(random_key(), detector=None).likelihood is Likelihood.POSSIBLE


@pytest.mark.parametrize(("prefix", "likelihood"), [("rt_", Likelihood.UNLIKELY), ("sk-ant-", Likelihood.POSSIBLE)])
def test_what_is_glued_is_a_key_only_if_its_prefix_is_no_accident(prefix: str, likelihood: Likelihood) -> None:
    assert judged(prefix + random_key(), prefix, is_glued=True).likelihood is likelihood


@pytest.mark.parametrize(("sound", "likelihood"), [(True, Likelihood.LIKELY), (False, Likelihood.UNLIKELY)])
def test_whatever_is_glued_to_it_a_checksum_tells_a_key(sound: bool, likelihood: Likelihood) -> None:
    token = fill("{crc:ghp_30}", Random(1))
    assert judged(token, "ghp_", named("github-pat-classic"), is_glued=True, sound=sound).likelihood is likelihood


def test_letters_alone_are_no_key_where_nothing_marks_it() -> None:
    letters = fill("{letters:40}", Random(1))
    assert judged(letters, detector=named("cohere")).likelihood is Likelihood.UNLIKELY
    assert judged(random_key(), detector=named("cohere")).likelihood is Likelihood.LIKELY
    assert judged("gsk_" + letters, "gsk_").likelihood is Likelihood.LIKELY


@pytest.mark.parametrize(
    ("format_", "template"),
    [("photoroom", "sk_pr_mykey_{hex:40}"), ("lambda", "secret_my-api-key_{hex:32}.{alnum:32}")],
)
def test_what_its_owner_called_a_key_says_nothing_of_it(format_: str, template: str) -> None:
    detector, key = named(format_), fill(template, Random(1))
    shown = re.match(detector.prefix, key)
    assert shown is not None
    assert judged(key, shown[0], detector).likelihood is Likelihood.LIKELY
