import base64
import string
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.scan import cask, checks, synthetic
from leakwatch.scan.detectors import Detector, shipped

SUMMED = {
    "cask": ["{cask:AAABACOG}"],
    "azure-search": ["{azsearch:admin}", "{azsearch:query}"],
    "github-crc": ["{crc:ghp_30}", "{crc:ghr_70}"],
    "vercel-crc": ["{crc:vck_50}"],
}
CHECKED = [detector for detector in shipped() if detector.check]


def key(template: str) -> str:
    return synthetic.fill(template, Random(template))


@pytest.mark.parametrize(
    ("check", "template", "sound"),
    [
        ("openai-marker", "sk-{alnum:20}T3BlbkFJ{alnum:20}", True),
        ("openai-marker", "sk-proj-{alnum:74}T3BlbkFJ{alnum:74}", True),
        ("openai-marker", "sk-proj-{alnum:74}T3BlbkFJ{alnum:73}", False),
        ("openai-marker", "sk-None-{alnum:48}", False),
        ("anthropic-tail", "sk-ant-oat01-{alnum:93}AA", True),
        ("anthropic-tail", "sk-ant-oat01-{alnum:40}-{alnum:52}AA", True),
        ("anthropic-tail", "sk-ant-oat01-{alnum:92}AA", False),
        ("anthropic-tail", "sk-ant-oat01-{alnum:93}AB", False),
        ("groq-marker", "gsk_{alnum:20}WGdyb3FY{alnum:24}", True),
        ("groq-marker", "gsk_{alnum:19}WGdyb3FY{alnum:25}", False),
        ("bedrock", "{bedrock:long}", True),
        ("bedrock", "{bedrock:short}", True),
        ("bedrock", "{bedrock:user}", True),  # of an IAM user whom somebody named
        ("bedrock", "{bedrock:long}a", False),
        ("bedrock", "ABSK{alnum:128}", False),
        ("bedrock", "{alnum:128}", False),
        ("bedrock", "ABSK{one:Ä}", False),
        ("aws-account", "{aws:AKIA}", True),
        ("aws-account", "AKIAI{base32:15}", False),  # made before ids held the account
        ("aws-account", "AKIA{one:1}{base32:15}", False),
        ("aws-account", "AKIA{one:7777777777}{base32:6}", False),  # an account of thirteen digits
        ("azure-search", "{azsearch:admin}", True),
        ("azure-search", "{azsearch:query}", True),
        ("azure-search", "{alnum:42}AzSeA{alnum:5}", False),
        ("github-crc", "{crc:ghp_30}", True),
        ("github-crc", "ghp_{alnum:36}", False),
        ("github-fine", "{github:github_pat}", True),
        ("github-fine", "github_pat_{alnum:22}_{alnum:59}", False),
        ("heygen", "{text64:heygen}", True),
        ("heygen", "{alnum:58}==", False),
        ("jwt", "{jwt:HS256 plain}", True),
        ("jwt", "ghs_{digits:6}_{jwt:RS256 plain}", True),
        ("jwt", "eyJ{alnum:30}.eyJ{alnum:60}.{alnum:43}", False),
        ("jwt", "{alnum:90}", False),
        ("jwt", "{jwt:HS256 plain}.{alnum:5}", False),
        ("jwt-aleph", "{jwt:HS256 aleph}", True),
        ("jwt-aleph", "{jwt:HS256 plain}", False),
        ("jwt-minimax", "{jwt:RS256 minimax}", True),
        ("jwt-minimax", "{jwt:RS256 plain}", False),
        ("jwt-phoenix", "{jwt:HS256 phoenix}", True),
        ("jwt-phoenix", "{jwt:HS256 plain}", False),
        ("jwt-qdrant", "{jwt:HS256 qdrant}", True),
        ("jwt-qdrant", "{jwt:HS256 plain}", False),
        ("letta", "sk-let-{text64:letta}", True),
        ("letta", "sk-let-{alnum:96}", False),
        ("neptune", "{neptune:app.neptune.ai}", True),
        ("neptune", "{alnum:160}", False),
        ("ngc", "{text64:ngc}", True),
        ("ngc", "{alnum:84}", False),
        ("not-hex", "{alnum:39}+", True),
        ("not-hex", "{hex:40}", False),
        ("vercel-crc", "{crc:vck_50}", True),
        ("vercel-crc", "vck_{alnum:56}", False),
        ("cask", "{cask:AAABACOG}", True),
        ("cask", "{alnum:88}", True),
        ("cask", "-{alnum:83}", False),
        ("cask", "{one:Ä}{alnum:83}", False),
    ],
)
def test_a_check_knows_a_whole_key(check: str, template: str, *, sound: bool) -> None:
    assert checks.CHECKS[check](key(template)) is sound


@given(st.sampled_from(sorted(SUMMED)), st.integers(), st.data())
def test_a_checksum_notices_one_changed_character(check: str, seed: int, data: st.DataObject) -> None:
    whole = synthetic.fill(data.draw(st.sampled_from(SUMMED[check])), Random(seed))
    assert checks.CHECKS[check](whole)
    body = whole.index("_") + 1 if "_" in whole else 0  # the prefix is not summed
    at = data.draw(st.integers(body, len(whole) - 1))
    other = data.draw(st.sampled_from([c for c in string.ascii_letters + string.digits if c != whole[at]]))
    assert not checks.CHECKS[check](whole[:at] + other + whole[at + 1 :])


@given(st.integers(), st.integers(0, 84), st.sampled_from("_-AZaz09"))
def test_the_digest_of_a_fine_grained_token_notices_one_changed_character(seed: int, at: int, other: str) -> None:
    whole = synthetic.fill("{github:github_pat}", Random(seed))
    damaged = whole[:at] + other + whole[at + 1 :]
    assert checks.github_fine(damaged) == (damaged == whole)


@given(st.sampled_from(CHECKED), st.text(max_size=120))
def test_a_check_takes_any_text(detector: Detector, text: str) -> None:
    assert checks.CHECKS[detector.check](text) in {True, False}


@pytest.mark.parametrize("detector", [d for d in CHECKED if d.breadth == "type"], ids=lambda detector: detector.id)
def test_a_format_s_first_example_passes_its_check(detector: Detector) -> None:
    assert checks.CHECKS[detector.check](key(detector.examples[0]))


def test_every_check_is_some_format_s() -> None:
    assert {detector.check for detector in CHECKED} == set(checks.CHECKS)
    assert set(checks.CHECKS) > checks.TELLING


def test_the_account_in_an_access_key_id_is_the_documentation_s() -> None:
    assert checks.aws_account(key("{aws:AKIA}")) == checks.aws_account(key("{aws:ASIA}")) == "111122223333"


@pytest.mark.parametrize(("number", "written"), [(0, "000000"), (61, "00000z"), (62, "000010"), (2**32 - 1, "4gfFC3")])
def test_base_62_has_zeros_in_front(number: int, written: str) -> None:
    assert checks.base62(number, 6) == written


@pytest.mark.parametrize("payload", ["[]", "1", "{", "\ud800", "[" * 5000])
def test_a_payload_that_is_no_object_makes_no_claims(payload: str) -> None:
    header, body = (base64.urlsafe_b64encode(p.encode(errors="replace")).decode() for p in ('{"a":1}', payload))
    assert not checks.claims(f"{header}.{body}.x")
    assert not checks.claims(f"eyJ.{header}.x")


def test_an_azure_key_may_carry_its_checksum_in_base_64() -> None:
    head = key("{cask:AAABACOG}")[:80]
    assert checks.azure_cask(head + cask.checksums(head)[1])


def test_a_bedrock_key_says_in_base_64_what_it_is_for() -> None:
    other = base64.b64encode(b"another service's key: " + b"a" * 60).decode()
    assert not checks.bedrock("ABSK" + other)
