import base64
from random import Random

import pytest

from leakwatch.scan import cask, checks, synthetic


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
        ("bedrock", "{bedrock:long}a", False),
        ("bedrock", "ABSK{alnum:128}", False),
        ("bedrock", "{alnum:128}", False),
        ("bedrock", "ABSK{one:Ä}", False),
        ("cask", "{cask:AAABACOG}", True),
        ("cask", "{alnum:88}", True),
        ("cask", "-{alnum:83}", False),
        ("cask", "{one:Ä}{alnum:83}", False),
    ],
)
def test_a_check_knows_a_whole_key(check: str, template: str, *, sound: bool) -> None:
    assert checks.CHECKS[check](key(template)) is sound


@pytest.mark.parametrize("at", [0, 30, 70, 81])
def test_the_checksum_of_an_azure_key_notices_one_changed_character(at: int) -> None:
    whole = key("{cask:AAABACOG}")
    damaged = whole[:at] + ("B" if whole[at] != "B" else "C") + whole[at + 1 :]
    assert not checks.azure_cask(damaged)


def test_an_azure_key_may_carry_its_checksum_in_base_64() -> None:
    head = key("{cask:AAABACOG}")[:80]
    assert checks.azure_cask(head + cask.checksums(head)[1])


def test_a_bedrock_key_says_in_base_64_what_it_is_for() -> None:
    other = base64.b64encode(b"another service's key: " + b"a" * 60).decode()
    assert not checks.bedrock("ABSK" + other)
