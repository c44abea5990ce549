"""pocketsphinx in a process of its own: `python -m focus.engines.decoding`, which is asked on stdin.

It holds the interpreter's lock while it decodes, which would stop everything else for as long; and grammars and sound
come from strangers, which C should not meet in the process that has everybody's calls.

A question is a line of JSON: `{"words": [...]}` is answered with those that are not in the dictionary. With
`{"transitions": [[from, to, probability, word], ...], "length": bytes}` come as many bytes of 16-bit samples at 16 kHz,
and the answer says which words they are, if any, and how well these fit, or what the error is. Each answer is a line of
JSON. The process ends with its input.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

SAMPLE_RATE = 16000

#: How digits are said where a grammar writes them as such.
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

#: The decoder's scores leave so many low bits of their logarithms out.
_SHIFT = 1 << 10


class Decoding:
    """A decoder with two searches: for the words of a grammar, and for any phones at all."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder, get_model_path

        # All senones, as scores are relative to the best of those that are computed: only so can searches be compared.
        self._decoder = Decoder(samprate=SAMPLE_RATE, lm=None, loglevel="FATAL", compallsen=True, bestpath=False)
        self._decoder.add_allphone_file("phones", get_model_path("en-us/en-us-phone.lm.bin"))
        for digit, word in enumerate(DIGITS):
            self._decoder.add_word(str(digit), self._decoder.lookup_word(word), digit == len(DIGITS) - 1)

    def unknown(self, words: list[str]) -> list[str]:
        """Those that cannot be recognized, as nobody knows how they sound."""
        return [word for word in words if self._decoder.lookup_word(word) is None]

    def decode(self, transitions: list[list[Any]], samples: bytes) -> tuple[list[str], float] | None:
        """The words in 16-bit samples, and by how much (natural logarithm, a frame) they fit better than any phones do.

        From state 0 to state 1 of a network; None where there is no such way.
        """
        network = [tuple(each) if each[3] is not None else tuple(each[:3]) for each in transitions]
        self._decoder.add_fsg("grammar", self._decoder.create_fsg("grammar", 0, 1, network))
        try:
            found, score = self._search("grammar", samples)
            if not found:
                return None
            _, best = self._search("phones", samples)
            return found, (score - best) * _SHIFT / self._decoder.n_frames()
        finally:
            self._decoder.activate_search("phones")  # what is active cannot be removed
            self._decoder.remove_search("grammar")

    def _search(self, name: str, samples: bytes) -> tuple[list[str], float]:
        self._decoder.activate_search(name)
        self._decoder.start_utt()
        self._decoder.process_raw(samples, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        if hypothesis is None or not hypothesis.hypstr or hypothesis.score <= 0:
            return [], 0.0
        return hypothesis.hypstr.split(), math.log(hypothesis.score)


def _answer(decoding: Decoding, question: dict[str, Any]) -> dict[str, Any]:
    if "words" in question:
        return {"unknown": decoding.unknown(question["words"])}
    samples = sys.stdin.buffer.read(question["length"])
    try:
        found = decoding.decode(question["transitions"], samples)
    except (RuntimeError, ValueError) as error:
        return {"error": str(error)}
    return {"words": found[0], "fit": found[1]} if found else {"words": None}


def main() -> None:
    """Answer until nothing more is asked."""
    decoding = Decoding()
    while line := sys.stdin.buffer.readline():
        question = json.loads(line)
        sys.stdout.write(json.dumps(_answer(decoding, question)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
