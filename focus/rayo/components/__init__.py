"""The components of Rayo, one in each file; whoever imports this has them all in the `registry`."""

from focus.rayo.component import registry
from focus.rayo.components import cpa, input, output, prompt, record

__all__ = ["cpa", "input", "output", "prompt", "record", "registry"]
