"""What hides a key from us: each is written down in docs/formats.md, and one that is found should go from there."""

import base64
import binascii
from random import Random

import pytest

from benchmarks.recall import is_found
from leakwatch.scan import Scanner, shipped
from leakwatch.scan.synthetic import fill

SCANNER = Scanner(shipped())
KEY = fill("{alnum:48}", Random(5))
FIRST, LAST = KEY[:20], KEY[20:]
BYTES = KEY.encode()
NOT_SEEN: dict[str, str] = {
    "hexadecimal digits with blanks": BYTES.hex(" "),
    "hexadecimal digits with colons": BYTES.hex(":"),
    "hexdump": "\n".join(f"{at:08x}: {BYTES[at : at + 16].hex(' ', 2)}  {KEY[at : at + 16]}" for at in (0, 16, 32)),
    "numbers with blanks": " ".join(map(str, BYTES)),
    "calls for characters": "+".join(f"chr({byte})" for byte in BYTES),
    "escapes of CSS": "".join(f"\\{byte:x} " for byte in BYTES),
    "base32": base64.b32encode(BYTES).decode(),
    "ascii85": base64.a85encode(BYTES).decode(),
    "uuencode": binascii.b2a_uu(BYTES[:45]).decode() + binascii.b2a_uu(BYTES[45:]).decode(),
    "wide characters": "".join(chr(byte + 0xFEE0) for byte in BYTES),
    "backwards": KEY[::-1],
    "a list that is joined": f'["{FIRST}", "{LAST}"].join("")',
    "a call that joins": f"CONCAT('{FIRST}', '{LAST}')",
    "a macro that joins": f'concat!("{FIRST}", "{LAST}")',
    "appended": f'k = "{FIRST}"\nk += "{LAST}"',
    "a remark between strings": f'k = ("{FIRST}"  # one\n     "{LAST}")',
    "a backtick at the end of a line": f'"{FIRST}`\n{LAST}"',
    "lines of a diff": f"+K={FIRST}\n+{LAST}\n",
    "lines of remarks": f"// {FIRST}\n// {LAST}\n",
    "lines of a table": f"| {FIRST} |\n| {LAST} |\n",
    "paragraphs": f"<p>{FIRST}</p>\n<p>{LAST}</p>",
    "numbered lines": f"12  {FIRST}\n13  {LAST}\n",
    "a blank that does not break": f"{FIRST}\u00a0{LAST}",
}


@pytest.mark.parametrize("text", NOT_SEEN.values(), ids=NOT_SEEN)
def test_what_is_not_seen_is_written_down(text: str) -> None:
    assert not is_found(SCANNER, f"so it is:\n{text}\n", KEY)
