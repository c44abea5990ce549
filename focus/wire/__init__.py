"""The elements of every protocol spoken here, as frozen models; both directions follow from the declaration.

Nothing in this package opens a socket, knows a task or imports anything of focus outside itself.
"""

from focus.wire import document_order as document_order
