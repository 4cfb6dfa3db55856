import re
import tomllib
from pathlib import Path
from random import Random

import pytest

from leakwatch.scan import detectors, synthetic
from leakwatch.scan.detectors import Detector, load, shipped
from leakwatch.scan.rows import rows
from leakwatch.toml import Problems
from tests.unit.scan.making import MARKED

TOML = """\
provider = "Example"

[revocation.key]
page = "https://keys.example/"
confidence = "memory"
source = ""
steps = ["Delete the key."]

[[detector]]
id = "example"
name = "Example API key"
pattern = 'exk-[a-z]{20,40}'
prefix = 'exk-'
env_vars = ["EXAMPLE_API_KEY"]
confidence = "memory"
sources = []
revocation = "key"
examples = ["exk-{one:a}bcdefghijklmnopqrstuvwxyz"]
counterexamples = ["exk-{one:a}bc"]
"""


def written(folder: Path, text: str, name: str = "example.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, old: str, new: str) -> str:
    assert old in TOML
    path = written(folder, TOML.replace(old, new, 1))
    with pytest.raises(Problems) as caught:
        load([path])
    return str(caught.value).replace(str(path), "example.toml")


def test_a_file_becomes_detectors(tmp_path: Path) -> None:
    (detector,) = load([written(tmp_path, TOML)])
    assert (detector.id, detector.provider, detector.breadth) == ("example", "Example", "type")
    assert detector.find == ("exk-[a-z]{20}",)
    assert detector.revocation.steps == ("Delete the key.",)


def test_a_bare_format_is_not_looked_for(tmp_path: Path) -> None:
    bare = TOML.replace("prefix = 'exk-'", "bare = true\ngroup = 'ex'\ncontext = ['example']")
    (detector,) = load([written(tmp_path, bare)])
    assert (detector.bare, detector.find, detector.group) == (True, (), "ex")


def test_the_provider_and_the_menu_are_put_into_what_people_read(tmp_path: Path) -> None:
    text = TOML.replace("Example API key", "{provider} key").replace('source = ""', 'menu = "Settings > Keys"')
    (detector,) = load([written(tmp_path, text.replace("Delete the key.", "Delete it at {provider}."))])
    assert (detector.name, detector.wording) == ("Example key", "{provider} key")
    assert [detector.guide.said(step) for step in detector.revocation.steps] == [
        "Open “Settings > Keys” at Example.",
        "Delete it at Example.",
    ]


def test_a_provider_without_steps_of_its_own_gets_those_that_many_share(tmp_path: Path) -> None:
    silent = TOML.replace('steps = ["Delete the key."]\n', "")
    (key,) = load([written(tmp_path, silent)])
    (token,) = load([written(tmp_path, silent.replace('source = ""', 'advice = "token"'), "token.toml")])
    assert key.revocation.steps[0] == "Create a new key at {provider}, with no more rights than it needs."
    assert token.revocation.steps[0] == "Create a new token at {provider}, with no more rights than it needs."


def test_of_a_private_key_the_base_64_is_the_key() -> None:
    google = next(detector for detector in shipped() if detector.form == "pem")
    texts = [synthetic.fill(template, Random(3)) for template in google.examples]
    assert len(set(texts)) == 2
    assert len({google.key(text) for text in texts}) == 1
    assert google.key(texts[0]).startswith("MII")
    assert google.key("no private key") == "no private key"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'exk-[a-z]{20,40}'", "'exk-[a-z'", "example.toml:12: detector.0.pattern: it is not a regular expression"),
        ("'exk-'", "'exk-('", "example.toml:13: detector.0.prefix: it is not a regular expression"),
        ("{20,40}'", "+'", "example.toml:9: detector.0.find: exk-[a-z]+ has no one length"),
        (
            "'exk-'",
            "'exk-'\nfind = ['(a)\\1', 'exk-']",
            "example.toml:14: detector.0.find: hyperscan does not take",
        ),
        ('id = "example"', 'id = "Example Key"', "example.toml:10: detector.0.id: write it in small letters"),
        ("'exk-'", "'exk-'\ngroup = 'EX'", "example.toml:14: detector.0.group: write it in small letters"),
        ("'exk-'", "'exk-'\nform = 'der'", "example.toml:14: detector.0.form"),
        ("'exk-'", "'exk-'\nbare = true", "example.toml:9: detector.0: a bare format needs a group"),
        (
            "'exk-'",
            "'exk-'\nbare = true\ngroup = 'ex'\nfind = ['exk-']",
            "example.toml:16: detector.0.find: nothing is looked for where `bare` is set",
        ),
        (
            'env_vars = ["EXAMPLE_API_KEY"]',
            "env_vars = []\ngroup = 'ex'",
            "example.toml:9: detector.0: a format that shares a group needs context or env_vars",
        ),
        ('source = ""', 'advice = "kye"', "example.toml:6: there is no advice kye"),
        ('source = ""', 'api = [{method = "GET"}]', "example.toml:6: revocation.key.api.0.address is missing"),
        ("'exk-'", "'exk-'\nchek = 'cask'", "example.toml:14: unknown setting detector.0.chek (did you mean check?)"),
        ("'exk-'", "'exk-'\ncheck = 'casks'", "example.toml:14: detector.0.check: there is no check casks; known"),
        ("'exk-'", "'exk-'\nreach = -1", "example.toml:14: detector.0.reach"),
        ("'exk-'", "'exk-'\nbreadth = 'wide'", "example.toml:14: detector.0.breadth"),
        ('name = "Example API key"\n', "", "example.toml:9: detector.0.name is missing"),
        ('exk-{one:a}bc"', '{many:3}"', "example.toml:19: detector.0.counterexamples: there is no placeholder"),
        ("exk-{one:a}bcd", "exq-{one:a}bcd", "example.toml:9: detector.0: the pattern does not take the whole of"),
        ("'exk-'", "'exk-[a-z]{20}'", "example.toml:9: detector.0: the prefix does not begin, or shows too much"),
        ("'exk-'", "'sk-'", "example.toml:9: detector.0: the prefix does not begin, or shows too much"),
        ('revocation = "key"', 'revocation = "kye"', "example.toml:17: there is no revocation kye"),
        ('steps = ["Delete the key."]', "steps = ''", "example.toml:7: revocation.key.steps"),
        ('provider = "Example"', "provider = Example", "example.toml:1: is not TOML"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_what_to_change(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in problems(tmp_path, old, new)


def test_an_id_stands_once_in_all_files_and_all_problems_are_told(tmp_path: Path) -> None:
    first, second = written(tmp_path, TOML), written(tmp_path, TOML, "second.toml")
    third = written(tmp_path, TOML.replace("provider", "vendor"), "third.toml")
    with pytest.raises(Problems) as caught:
        load([first, second, third])
    assert f"{second}:10: the id example is taken" in str(caught.value)
    assert f"{third}:1: unknown setting vendor" in str(caught.value)


def test_no_whole_key_stands_in_the_package_or_its_tests() -> None:
    folders = (Path(detectors.__file__).parent, Path(__file__).parent)
    paths = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".toml"}]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    telling = [detector for detector in shipped() if not detector.group]  # others take names and digests too
    assert len(telling) > 100
    found = [(detector.id, match[0]) for detector in telling for match in re.finditer(detector.pattern, text)]
    assert not [name for name, key in found if not key.islower()]  # an address can hold very long words


def test_every_provider_has_one_file() -> None:
    folder = Path(detectors.__file__).parent / "detectors"
    providers = [tomllib.loads(path.read_text(encoding="utf-8"))["provider"] for path in folder.glob("*.toml")]
    assert len(providers) == len(set(providers)) == len({detector.provider for detector in shipped()})


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_shipped_detector_says_where_its_facts_are_from_and_what_to_do(detector: Detector) -> None:
    assert detector.id == detector.id.lower()
    assert detector.confidence == "memory" or detector.sources
    assert detector.revocation.confidence == "memory" or detector.revocation.source
    assert all(call.confidence == "memory" or call.source for call in detector.revocation.api)
    assert not detector.revocation.page or re.fullmatch(r"https://[^\s{}<>]+", detector.revocation.page)
    steps = [detector.guide.said(step) for step in detector.revocation.steps]
    assert all(step[0].isupper() and step.endswith(".") for step in steps)
    assert "{" not in "".join([detector.name, *steps])


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_shipped_detector_tells_what_stands_near_its_keys_in_words_that_can_be_met(detector: Detector) -> None:
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", variable) for variable in detector.env_vars)
    words = [word for word in detector.context if len(word) > 1 and word == word.strip()]
    assert len(words) == len(set(words)) == len(detector.context)
    assert detector.canonical == "" or detector.canonical.endswith(".")
    assert detector.note == "" or detector.note.endswith(".")


def test_a_name_that_is_no_format_s_own_is_no_detector_s_id() -> None:
    groups = {detector.group for detector in shipped() if detector.group}
    assert not groups & {detector.id for detector in shipped()}


@pytest.mark.parametrize("detector", [one for one in shipped() if one.reach], ids=lambda one: one.id)
def test_a_key_is_reached_however_much_of_it_stands_before_what_is_found(detector: Detector) -> None:
    for row in rows(detector.pattern):
        last = next(number for number, unit in enumerate(row) if unit.is_open)
        assert sum(unit.most for unit in row[: last + 1]) == detector.reach


@pytest.mark.parametrize("detector", MARKED, ids=lambda detector: detector.id)
def test_hyperscan_s_form_is_in_every_key_within_reach(detector: Detector) -> None:
    for template in detector.examples:
        key = synthetic.fill(template, Random(7))
        found = [match.start() for find in detector.find for match in re.finditer(f"(?={find})", key)]
        assert any(at == 0 or at <= detector.reach for at in found)


def test_the_shipped_detectors_are_read_once() -> None:
    assert shipped() is shipped()
