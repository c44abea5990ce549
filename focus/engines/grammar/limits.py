"""How much a grammar may ask for. Grammars come from strangers, and callers are strangers, too."""

#: Longer input matches nothing, so that to repeat something more often than this is to repeat it without end.
MAX_TOKENS = 500

#: Of a grammar with its rule references and repeats written out.
MAX_NODES = 50_000
MAX_NESTING = 250

#: Of documents that a grammar takes together, itself included.
MAX_DOCUMENTS = 20

#: Nodes that are looked at while input is matched, all tokens together; what costs more matches nothing.
MAX_WORK = 2_000_000

#: Nodes in all sets that a grammar remembers, so that the same input costs nothing the second time.
MAX_REMEMBERED = 500_000

#: Of grammars as a network of words for a recognizer of speech, all of one input together.
MAX_TRANSITIONS = 5_000

#: Nodes and edges that are looked at while such a network is made.
MAX_NETWORK_WORK = 200_000
