"""From a key to its digest, and from digests to the customers whose keys they are.

The digest is the proof: whatever is key-shaped is digested and looked up, and nothing else decides. This package
knows neither network nor storage; the lookup is handed in.
"""

from leakwatch.match.canonical import canonical
from leakwatch.match.matcher import Digester, Found, match
from leakwatch.match.schemes import SCHEMES, digest_text, parse_digest
from leakwatch.match.sieve import DigestSieve, Wanted

__all__ = ["SCHEMES", "DigestSieve", "Digester", "Found", "Wanted", "canonical", "digest_text", "match", "parse_digest"]
