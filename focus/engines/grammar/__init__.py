"""SRGS grammars in their XML form: read, linked, matched token by token, interpreted (SRGS 1.0, SISR 1.0).

grammar = await load(document, fetch=fetch)
matcher = Matcher([grammar])
for token in of_input("1 2 3 #", grammar.mode):
    match = matcher.feed(token)
matched = matcher.matched()
"""

from focus.engines.grammar.expansions import Mode
from focus.engines.grammar.loading import Fetch, Grammar, load, load_from
from focus.engines.grammar.matching import Match, Matched, Matcher
from focus.engines.grammar.tokens import of_input
from focus.engines.markup import DocumentError

__all__ = [
    "DocumentError",
    "Fetch",
    "Grammar",
    "Match",
    "Matched",
    "Matcher",
    "Mode",
    "load",
    "load_from",
    "of_input",
]
