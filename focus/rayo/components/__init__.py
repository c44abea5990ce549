"""The components of Rayo, one in each file; whoever imports this has them all in the `registry`."""

from focus.rayo.component import registry
from focus.rayo.components import cpa, fax, input, output, prompt, record

__all__ = ["cpa", "fax", "input", "output", "prompt", "record", "registry"]
