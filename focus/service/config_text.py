"""What `focus config` prints: the example file, and the snippets for XMPP servers."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from focus.service.config import PREFIX, Settings, section_model
from focus.service.lua import quoted
from focus.service.sections.xmpp import XmppSettings
from focus.service.values import Address, address_of, is_ip

WIDTH = 100


# --- example ----------------------------------------------------------------------------------------------------------


def example() -> str:
    """A complete, commented configuration file, written from the models. It passes `focus config check`."""
    lines = [
        "# Configuration of focus.",
        "#",
        "# Every key can also come from the environment, which wins over this file: port of [media] is",
        f"# {PREFIX}MEDIA__PORT. Lists are written with commas there.",
        "# What is commented out has no value of its own; every other key is shown with its default, but for",
        "# the names under example.org and the secret.",
    ]
    for section in Settings.model_fields:
        model, repeated = section_model(section)
        lines += ["", "", *_comment(inspect.getdoc(model) or ""), f"# [[{section}]]" if repeated else f"[{section}]"]
        for key, option in model.model_fields.items():
            assignment = _assignment(key, option)
            if repeated and not assignment.startswith("#"):
                assignment = f"# {assignment}"  # there is none by default
            lines += ["", *_comment(f"{option.description}{_range(option)}"), assignment]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, WIDTH - 2):
        yield f"# {line}"


def _range(option: FieldInfo) -> str:
    """The bounds of a number, for the comment."""
    bounds = {
        name: f"{getattr(item, name):.15g}"
        for item in option.metadata
        for name in ("gt", "ge", "le")
        if hasattr(item, name)
    }
    if bounds.keys() == {"gt", "le"}:
        return f" More than {bounds['gt']}, and at most {bounds['le']}."
    return f" From {bounds['ge']} to {bounds['le']}." if bounds.keys() == {"ge", "le"} else ""


def _assignment(key: str, option: FieldInfo) -> str:
    if option.examples:
        line = f"{key} = {_toml(option.examples[0])}"
        return line if option.default is not None else f"# {line}"
    return f"{key} = {_toml(option.default)}"


def _toml(value: object) -> str:
    """The value in TOML, whose strings, numbers and lists are JSON's."""
    if isinstance(value, Address | Path):
        value = str(value)
    if isinstance(value, dict):
        pairs = ", ".join(f"{key} = {_toml(each)}" for key, each in value.items())
        return f"{{ {pairs} }}"
    return json.dumps(value, ensure_ascii=False)


# --- servers ----------------------------------------------------------------------------------------------------------


def placeholder() -> Settings:
    """Settings for a snippet when there is no configuration yet."""
    return Settings(
        xmpp=XmppSettings(jid="focus.example.org", muc="rooms.example.org", secret=SecretStr("change-me")),
    )


PROSODY = """\
-- Prosody 0.12 and newer, for focus. Put this into a file of its own, such as /etc/prosody/conf.d/focus.cfg.lua,
-- and merge what your configuration has already.

-- Where components connect. If focus runs on another machine, let the firewall admit only that one: the
-- connection is not encrypted.
component_interfaces = {{ {component_host} }}
component_ports = {{ {component_port} }}

-- The page's websocket, {websocket}: reached through focus, which says whom it is for and
-- stands behind the web server that ends TLS, hence "secure".
http_interfaces = {{ {http_host} }}
http_ports = {{ {http_port} }}
http_default_host = {guests}
trusted_proxies = {{ {http_host} }}
consider_websocket_secure = true

Component {focus}
  component_secret = {secret}

-- The meeting rooms. focus makes them and owns them all, so that no guest is the owner of one.
-- (Without restrict_room_creation everybody may make rooms, and who comes first owns the room.)
Component {rooms} "muc"
  name = "Meeting rooms"
  admins = {{ {admins} }}
  restrict_room_creation = true
  muc_room_locking = false
  muc_room_default_public = false
  muc_tombstones = false

-- Guests of the page: anonymous logins that reach nothing but this server.
VirtualHost {guests}
  authentication = "anonymous"
  modules_enabled = {{ "websocket", "smacks" }}
  modules_disabled = {{
    "s2s", "dialback", "offline", "carbons", "pep", "bookmarks", "vcard4", "vcard_legacy", "blocklist", "private",
    "register",
  }}
  disco_items = {{ {{ {rooms}, "Meeting rooms" }}, {{ {focus}, "Conference focus" }} }}

-- To the VirtualHost of your own people add this, so that their clients find the rooms:
--   disco_items = {{ {{ {rooms}, "Meeting rooms" }}, {{ {focus}, "Conference focus" }} }}
"""

EJABBERD = """\
# ejabberd 23.01 and newer, for focus. Merge it into /etc/ejabberd/ejabberd.yml: every key that stands there already
# (hosts, listen, acl, access_rules, host_config, modules) gets these lines added to what it has.

hosts:
  - {domain}
  - {guests}

listen:
  # focus itself. If it runs on another machine, name an address of this one here, and let the firewall admit only
  # focus: the connection is not encrypted.
  -
    port: {component_port}
    ip: {component_host}
    module: ejabberd_service
    access: all
    hosts:
      {focus}:
        password: {secret}
  # The page's websocket, {websocket}: reached through focus. No other listener may have
  # this port; Debian's configuration has one at 5280 already. Another is said by `[http] websocket` in focus.toml.
  -
    port: {http_port}
    ip: {http_host}
    module: ejabberd_http
    request_handlers:
      {http_path}: ejabberd_http_ws

# Whom focus is in the rooms; no other address of it needs their rights.
acl:
  focus:
    user:
      - {occupant}

access_rules:
  focus:
    allow: focus

# Guests of the page: anonymous logins.
host_config:
  {guests}:
    auth_method: [anonymous]
    anonymous_protocol: sasl_anon
    allow_multiple_connections: true

modules:
  mod_disco:
    # Also keeps ejabberd from looking for focus elsewhere while it is not connected.
    extra_domains:
      - {focus}
  # The meeting rooms. focus makes them and owns them all, so that no guest is the owner of one.
  mod_muc:
    hosts:
      - {rooms}
    access: all
    access_create: focus
    access_admin: focus
    max_users: 1000
    default_room_options:
      max_users: 1000
      public: false
      persistent: false
      # As elsewhere: else only moderators can call in somebody, or focus.
      allow_user_invites: true
"""


def prosody(settings: Settings) -> str:
    """What Prosody's configuration needs."""
    values = _values(settings)
    numbers = {name: value for name, value in values.items() if isinstance(value, int)}
    texts = {name: quoted(value) for name, value in values.items() if isinstance(value, str)}
    admins = ", ".join(texts[whom] for whom in ("focus", "occupant"))
    return PROSODY.format(**texts | numbers, websocket=settings.http.websocket, admins=admins)


def ejabberd(settings: Settings) -> str:
    """What ejabberd's configuration needs."""
    values = {name: json.dumps(value) for name, value in _values(settings).items()}  # JSON's scalars are YAML's
    return EJABBERD.format(**values, websocket=settings.http.websocket)


def _values(settings: Settings) -> dict[str, str | int]:
    """What both servers must agree about with us."""
    xmpp = settings.xmpp
    websocket = address_of(settings.http.websocket)
    return {
        "domain": settings.domain,
        "guests": settings.guests,
        "focus": xmpp.jid,
        "occupant": f"focus@{xmpp.jid}",
        "rooms": xmpp.muc,
        "secret": xmpp.secret.get_secret_value(),
        "component_host": _listening(xmpp.host),
        "component_port": xmpp.port,
        "http_host": _listening(websocket.host),
        "http_port": websocket.port,
        "http_path": urlsplit(settings.http.websocket).path or "/",
    }


def _listening(host: str) -> str:
    """The address that a server must listen on to be reached as `host`."""
    if host == "localhost":
        return "127.0.0.1"
    return host if is_ip(host) else "0.0.0.0"
