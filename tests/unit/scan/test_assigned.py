"""Keys without a marker that are assigned to a name which says whose they are: shown to who wants strangers' keys."""

from random import Random

import pytest

from benchmarks.recall import variable
from leakwatch.model import Document, Reference
from leakwatch.scan import Detector, Scanner, shipped
from leakwatch.scan.assigned import Assigned
from leakwatch.scan.formats import Format
from leakwatch.scan.synthetic import fill
from tests.unit.core.making import sieve_of
from tests.unit.scan.making import BARE, made, named

SCANNER = Scanner(shipped())
MISTRAL = fill("{alnum:31}7", Random(1))
HEX40 = fill("{hex:40}", Random(2))
NAMED = [
    "{n}={k}\n",
    "export {n}='{k}'",
    '"{n}": "{k}",',
    "{n}: {k}",
    '{n} := "{k}"',
    "{n} => `{k}`",
    "os.environ['{n}'] = '{k}'",
    'setenv("{n}", "{k}")',
    "<{n}>\n    {k}\n</{n}>",
    "{n} ?= {k};",
    '{{\\"{n}\\": \\"{k}\\"}}',
    "{n}_secret = Bearer {k}",
    "https://example.org/v1?x=1&{n}={k}&y=2",
]


def called(text: str, scanner: Scanner = SCANNER) -> dict[str, str]:
    """What is found, strangers' keys too, and the name of each."""
    scan = scanner.scan(Document(reference=Reference(url="", id=""), text=text), strangers=True)
    return {candidate.plaintext.reveal(): candidate.detector for candidate in scan.candidates}


@pytest.mark.parametrize("detector", BARE, ids=lambda detector: detector.id)
def test_what_is_assigned_to_its_variable_is_found_and_named(detector: Detector) -> None:
    key = made(detector, 1)
    for form in NAMED:
        text = form.format(n=variable(detector), k=key)
        assert called(text).get(key) == detector.id, text


@pytest.mark.parametrize(
    "name", ["mistral_api_key", "mistralToken", "my.mistral.key", "CODESTRAL-KEY", "mistral api key"]
)
def test_any_name_will_do_in_which_the_provider_is_named(name: str) -> None:
    assert called(f"{name} = '{MISTRAL}'") == {MISTRAL: "mistral"}


@pytest.mark.parametrize(
    "section",
    [
        '{{"mistral": {{"api_key": "{}"}}}}',
        "mistral:\n  api_key: {}\n",
        "[mistral]\napi_key = '{}'\n",
        "mistral = {{\n    'token': '{}',\n}}",
        "Mistral(api_key='{}')",
        "mistral(\n    secret={},\n)",
    ],
)
def test_a_key_in_a_section_of_its_own_is_found(section: str) -> None:
    assert called(section.format(MISTRAL)) == {MISTRAL: "mistral"}


@pytest.mark.parametrize(
    "address",
    ["https://api.mistral.ai/v1/models?key={}", "https://api.mistral.ai/v1/models?a=b&api-key={}#c"],
)
def test_a_parameter_of_the_providers_address_is_found(address: str) -> None:
    assert called(address.format(MISTRAL)) == {MISTRAL: "mistral"}


@pytest.mark.parametrize(
    "text",
    [
        f"wandb at {HEX40}",  # a commit, most likely
        f"wandb @ {HEX40}",
        f"sum = {HEX40}",
        f"wandb = {HEX40}0",
        f"wandb = {HEX40}-1",
        f"wandb = {HEX40}.tar",
        f"wandb = x{HEX40}",
        f"wandbox = {HEX40}",
        f"awandb = {HEX40}",
        f"wandb = load('{HEX40}')",
        "wandb = none",
        "wandb",
    ],
)
def test_what_is_not_assigned_or_not_the_whole_value_is_left(text: str) -> None:
    assert called(text) == {}


def test_of_two_names_the_nearer_one_names_it() -> None:
    assert called(f"deepgram_serper_key = {HEX40}") == {HEX40: "serper"}


def test_the_rest_of_a_sentence_may_follow() -> None:
    assert called(f"Set MISTRAL_API_KEY: {MISTRAL}. Then go on.") == {MISTRAL: "mistral"}


def test_it_is_found_under_a_disguise_too() -> None:
    text = "".join(f"\\x{byte:02x}" for byte in f"MISTRAL_API_KEY={MISTRAL}".encode())
    assert called(f'"{text}"') == {MISTRAL: "mistral"}


def test_each_value_is_one_candidate_and_a_registered_one_is_named_the_same() -> None:
    text = f"MISTRAL_API_KEY={MISTRAL}\nMISTRAL_API_KEY={MISTRAL}\n"
    document = Document(reference=Reference(url="", id=""), text=text)
    (stranger,) = SCANNER.scan(document, strangers=True).candidates
    (customers,) = SCANNER.scan(document, sieve_of(MISTRAL), strangers=True).candidates
    assert stranger == customers


def test_whoever_wants_no_strangers_keys_is_told_of_none() -> None:
    document = Document(reference=Reference(url="", id=""), text=f"MISTRAL_API_KEY={MISTRAL}")
    assert SCANNER.scan(document).candidates == ()
    assert SCANNER.scan(document, sieve_of("another")).candidates == ()


def test_values_beyond_the_limit_are_counted_and_names_without_values_are_not() -> None:
    few = Scanner(shipped(), limit=3, spacing=1_000_000)
    document = Document(reference=Reference(url="", id=""), text=f"mistral: {MISTRAL} " * 9)
    assert few.scan(document, strangers=True).skipped > 0
    assert SCANNER.scan(document, strangers=True).skipped == 0
    bare = Document(reference=Reference(url="", id=""), text="mistral " * 90 + f"MISTRAL_API_KEY={MISTRAL}")
    scan = few.scan(bare, strangers=True)
    assert (len(scan.candidates), scan.skipped) == (1, 0)


@pytest.mark.parametrize("name", ["MISTRAL_API_KEY_BUILD", "mistral key for this version", "mistral_token_id"])
def test_a_name_that_says_key_is_a_keys_whatever_it_ends_with(name: str) -> None:
    assert MISTRAL in called(f"{name}: {MISTRAL}\n")


@pytest.mark.parametrize("name", ["deepai_request_id", "exa.projectId", "azure_content_md5", "aws_lambda_code_sha1"])
def test_what_a_name_says_to_be_no_key_is_none(name: str) -> None:
    values = [fill("{uuid:4}", Random(3)), fill("{hex:32}", Random(3)), HEX40, MISTRAL]
    assert called("".join(f"{name} = {value}\n" for value in values)) == {}


def test_a_plain_scan_shows_what_has_a_marker_alone() -> None:
    document = Document(reference=Reference(url="", id=""), text=f"MISTRAL_API_KEY={MISTRAL}")
    assert SCANNER.scan(document, strangers=True).candidates
    plain = Scanner(shipped(), plain=True)
    assert not plain.scan(document, strangers=True).candidates
    assert plain.scan(document, sieve_of(MISTRAL), strangers=True).candidates


def test_without_a_bare_format_there_is_nothing_to_look_for() -> None:
    none = Assigned([Format(named("groq"))])
    assert none.values(b"GROQ_API_KEY=" + made(named("groq"), 1).encode(), 10) == ([], 0)


def test_names_without_values_and_values_that_are_words_are_nothing() -> None:
    names = [f"{variable(detector)} = read_the_setting()\n" for detector in shipped()]
    assert called("".join(names)) == {}
