from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.recall import variable
from leakwatch.scan import synthetic
from leakwatch.scan.detectors import Detector, shipped
from leakwatch.scan.formats import Format
from leakwatch.scan.naming import Names
from tests.unit.scan.making import BARE, made, named

NAMES = Names(map(Format, shipped()))
GROUPS: dict[str, list[Detector]] = {}
for member in shipped():
    if member.group:
        GROUPS.setdefault(member.group, []).append(member)


def called(text: str, key: str) -> str | None:
    """What a key is called where it stands in a text."""
    data = text.encode()
    start = data.index(key.encode())
    name = NAMES.of(data, start, start + len(key))
    return name and name.name


def key(template: str) -> str:
    return synthetic.fill(template, Random(template))


@pytest.mark.parametrize("detector", BARE, ids=lambda detector: detector.id)
def test_a_bare_key_is_named_where_its_variable_or_its_context_stands_before_it(detector: Detector) -> None:
    for template in detector.examples:
        text = key(template)
        assert called(f'{variable(detector)}="{text}"', text) == detector.id
        for word in detector.context:
            assert called(f"{word}: {text}", text) == detector.id


@pytest.mark.parametrize("detector", BARE, ids=lambda detector: detector.id)
def test_a_bare_key_of_which_nothing_is_said_has_the_name_of_a_group(detector: Detector) -> None:
    for template in detector.examples:
        assert called(key(template), key(template)) in {*GROUPS, "nvidia-ngc-legacy", "heygen-legacy"}


@pytest.mark.parametrize(("group", "members"), GROUPS.items(), ids=list(GROUPS))
def test_of_formats_that_look_alike_the_words_around_a_key_choose_one(group: str, members: list[Detector]) -> None:
    for detector in members:
        assert detector.id not in GROUPS
        text = detector.key(made(detector, 1))
        data = made(detector, 1).encode()
        rivals = [Format(other) for other in members if Format(other).takes(data, 0, len(data))]
        before = f"{variable(detector)}=".encode()
        name = NAMES.among(rivals, text, before + data, len(before), len(before + data))
        assert name.name == detector.id


@pytest.mark.parametrize(
    ("text", "template", "name"),
    [
        ("{}", "sk-{alnum:48}", "sk-alnum48"),
        ("client = Moonshot('{}')", "sk-{alnum:48}", "moonshot"),
        ("client = Client('{}')  # kimi", "sk-{alnum:48}", "moonshot"),
        ("STABILITY_API_KEY=…\nBRAINTRUST_API_KEY={}\nMOONSHOT_API_KEY=…", "sk-{alnum:48}", "braintrust-key"),
        ("deepgram {} assemblyai", "{hex:32}", "assemblyai"),
        ("stability {}", "sk-{alnum:20}T3BlbkFJ{alnum:20}", "openai-legacy"),  # a format of its own goes first
        ("OPENAI_API_KEY={}", "sk-{alnum:48}", "oneapi-relay"),  # without the marker it is no key of OpenAI
        ("AZURE_OPENAI_API_KEY={}", "{hex:32}", "azure-openai-hex"),
        ("exaKey = '{}'", "{uuid:4}", "exa"),
        ("EXA_API_KEY = '{}'", "{uuid:4}", "exa"),
        ("myExaKey = '{}'", "{uuid:4}", "exa"),
        ("example = '{}'", "{uuid:4}", "uuid"),
        ("EXAMPLE = '{}'", "{uuid:4}", "uuid"),
        ("alexa = '{}'", "{uuid:4}", "uuid"),
        ("exa2 = '{}'", "{uuid:4}", "uuid"),
        ("{}", "{hex:32}", "hex32"),
        ("{}", "{hex:40}", "hex40"),
        ("{}", "{hex:39}G", "alnum40"),
        ("aws {}", "{hex:40}", "aws-secret-access-key"),
        ("aws_secret_access_key: {} # cohere", "{alnum:40}", "aws-secret-access-key"),
        ("paradigm {}", "gsk_{alnum:52}", "groq"),
        ("wandb paradigm {}", "{hex:40}", "wandb-legacy"),  # the narrower breadth goes before the nearer word
        ("{}", "{jwt:HS256 plain}", "jwt"),
        ("{}", "{jwt:HS256 phoenix}", "phoenix"),  # its claims tell
        ("qdrant {}", "{jwt:HS256 phoenix}", "phoenix"),
        ("hyperbolic {}", "{jwt:HS256 plain}", "hyperbolic"),
        ("{}", "{text64:ngc}", "nvidia-ngc-legacy"),
        ("ngc {}", "{alnum:84}", "nvidia-ngc-legacy"),
        ("poe " + "x" * 200 + " {}", "{base64url:43}", "b64url-43"),  # too far away
    ],
)
def test_the_rule_decides(text: str, template: str, name: str) -> None:
    made_key = key(template)
    assert called(text.replace("{}", made_key), made_key) == name


def test_what_no_format_takes_has_no_name() -> None:
    assert NAMES.of(b"nothing", 0, 7) is None


@pytest.mark.parametrize(
    ("name", "provider", "settled"),
    [
        ("sk-alnum48", "Moonshot AI", "moonshot"),
        ("sk-alnum48", "kimi", "moonshot"),
        ("sk-alnum48", "Acme", "sk-alnum48"),
        ("sk-alnum48", "", "sk-alnum48"),
        ("stability", "Braintrust", "braintrust-key"),  # what is registered counts for more than what stood around
        ("stability", "Acme", "stability"),
        ("uuid", "exa", "exa"),
        ("uuid", "Example", "uuid"),
        ("hex32", "azure", "azure-openai-hex"),
        ("sk-hex32", "Alibaba Cloud", "dashscope"),
        ("uuid", "AI", "uuid"),
        ("uuid", "\ud800", "uuid"),
        ("groq", "OpenAI", "groq"),  # its form is its own
        ("gone", "OpenAI", "gone"),
        ("", "OpenAI", ""),
    ],
)
def test_the_provider_of_a_registered_key_settles_its_name(name: str, provider: str, settled: str) -> None:
    assert NAMES.settled(name, provider) == settled


@given(st.binary(max_size=60), st.sampled_from(BARE), st.integers(0, 99), st.binary(max_size=60))
def test_a_name_is_found_whatever_stands_around(before: bytes, detector: Detector, seed: int, after: bytes) -> None:
    text = made(detector, seed).encode()
    name = NAMES.of(before + text + after, len(before), len(before + text))
    assert name is not None
    assert name.name in {*GROUPS, *(member.id for member in shipped())}


def test_a_key_is_masked_after_the_format_that_names_it() -> None:
    text = key("{hex:32}.{alnum:16}").encode()
    name = NAMES.of(b"zhipu " + text, 6, 6 + len(text))
    assert name is not None
    assert name.format.detector == named("zhipu")
