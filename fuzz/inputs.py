"""The inputs that are kept: files in fuzz/corpus/TARGET, named by their hash, or by what they once broke."""

from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TARGETS = ("rtp", "opus", "jitter", "g711", "dtmf", "srtp", "rtcp", "stun", "plane")
#: Of fuzz.documents.
DOCUMENTS = ("grammar", "builtin", "speech", "result")


def inputs(target: str) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each, in a fixed order."""
    for path in sorted((CORPUS / target).iterdir()):
        yield f"{target}/{path.name}", path.read_bytes()
