/** JIDs (RFC 7622), room names as people write them (XEP-0106), and nicknames. */

export function bare(jid: string): string {
  return jid.split('/', 1)[0] ?? jid;
}

export function resource(jid: string): string {
  const slash = jid.indexOf('/');
  return slash < 0 ? '' : jid.slice(slash + 1);
}

export function node(jid: string): string {
  const address = bare(jid);
  const at = address.indexOf('@');
  return at < 0 ? '' : address.slice(0, at);
}

/** The JID within an `xmpp:` URI (RFC 5122); a JID that is none is returned as it is. */
export function fromUri(uri: string): string {
  if (!/^xmpp:/i.test(uri)) return uri;
  const path = uri.slice(5).replace(/^\/\/[^/]*\//, '').split(/[?#]/, 1)[0] ?? '';
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Whether a URI or plain JID names this JID. */
export function names(uri: string, jid: string): boolean {
  return jid !== '' && fromUri(uri) === jid;
}

/** Paths of the server itself, which cannot be rooms. */
const RESERVED = new Set(
  'assets config.json external_api.js favicon.ico favicon.svg focus-meeting.js healthz http-bind index.html metrics readyz recordings xmpp-websocket'.split(' '),
);
const ESCAPES: Record<string, string> = { ' ': '\\20', '"': '\\22', '&': '\\26', "'": '\\27', ':': '\\3a', '<': '\\3c', '>': '\\3e' };

export type RoomName =
  | { ok: true; /** as shown and as in the page's address */ name: string; /** the node of its JIDs */ node: string }
  | { ok: false; problem: 'empty' | 'characters' | 'long' | 'reserved' };

/**
 * What a person typed as a room's name, made a JID's node. `@` is refused although XEP-0106 could write it: in the
 * focus's addresses an escaped `@` names a room of another chat service.
 */
export function roomName(input: string): RoomName {
  const name = input.normalize('NFKC').trim().replace(/\s+/g, ' ').toLowerCase();
  if (!name) return { ok: false, problem: 'empty' };
  if (/[\p{C}@/\\?#]/u.test(name)) return { ok: false, problem: 'characters' };
  if (RESERVED.has(name) || /^\.+$/.test(name)) return { ok: false, problem: 'reserved' };
  const escaped = name.replace(/[ "&':<>]/g, (letter) => ESCAPES[letter] ?? letter);
  if (new TextEncoder().encode(escaped).length > 200) return { ok: false, problem: 'long' };
  return { ok: true, name, node: escaped };
}

/** The room named by the page's address (`/ROOM`), as a person would write it. Empty for `/`. */
export function roomOfPath(path: string): string {
  const segment = path.replace(/^\/+|\/+$/g, '');
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function pathOfRoom(name: string): string {
  return `/${encodeURIComponent(name)}`;
}

/** A name made fit to be a nickname (a JID's resource): no control characters, one line, at most 60 letters. */
export function nickname(name: string): string {
  const clean = name.normalize('NFKC').replace(/\p{C}/gu, ' ').replace(/\s+/g, ' ').trim();
  return Array.from(clean).slice(0, 60).join('').trim();
}

/** A nickname for servers that know no younger characters than those of RFC 3454: letters, digits and punctuation. */
export function plainNickname(name: string): string {
  return nickname(name.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{Z}]/gu, ' '));
}

/** The n-th try at a nickname that others may have taken: "Ann", "Ann (2)", "Ann (3)". */
export function nicknameVariant(name: string, attempt: number): string {
  return attempt <= 1 ? name : `${name} (${attempt})`;
}
