"""Whom a `<dial/>` calls, and from where (XEP-0327 section 6.2.1)."""

from __future__ import annotations

import re
from typing import NamedTuple

from focus.rayo.addresses import Addresses, is_mixer_name
from focus.wire.conditions import BadRequest, OptionNotSupported
from focus.wire.jid import JID
from focus.wire.rayo import Dial

#: What `<dial/>` may be given to call elsewhere. Anything else that is no JID is malformed.
_URI_SCHEME = re.compile(r"(tel|sips?):", re.IGNORECASE)


class Dialled(NamedTuple):
    """`address` is what the call is to have itself."""

    to: JID
    caller: JID
    address: JID


def dialled(command: Dial, addresses: Addresses) -> Dialled:
    """Raises `StanzaError` for what nobody could call, whoever asks for it."""
    if scheme := _URI_SCHEME.match(command.to):
        raise OptionNotSupported(f"{scheme[1]}: addresses cannot be called from here")
    try:
        to = JID.from_uri(command.to)
        caller = JID.from_uri(command.from_) if command.from_ else addresses.service
        address = JID.from_uri(command.uri) if command.uri else addresses.new_call()
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if caller.local and not is_mixer_name(caller.local):
        raise BadRequest(f"nobody could call {caller} back")
    if caller.domain != addresses.domain:
        raise OptionNotSupported(f"calls can only be made from addresses at {addresses.domain}")
    if address.domain != addresses.domain or address.resource or not is_mixer_name(address.local):
        raise BadRequest(f"uri must be an address at {addresses.domain}")
    return Dialled(to, caller, address)
