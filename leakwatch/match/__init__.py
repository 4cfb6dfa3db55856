"""From a key to its digest, and from digests to the customers whose keys they are.

The digest is the proof: whatever is key-shaped is digested and looked up, and nothing else decides. This package
knows neither network nor storage; the lookup is handed in.
"""

from leakwatch.match.canonical import canonical
from leakwatch.match.matcher import Digester, Found, match
from leakwatch.match.schemes import SCHEMES, digest_text, parse_digest

__all__ = ["SCHEMES", "Digester", "Found", "canonical", "digest_text", "match", "parse_digest"]
