/** A room of multi-user chat (XEP-0045): joining, following who is in it, leaving. */
import { type Capabilities, capabilitiesElement } from './discovery';
import type { Stream } from './connection';
import { bare, nicknameVariant, plainNickname, resource } from './jid';
import { NS } from './namespaces';
import { StanzaError, parseStanzaError } from './stanza';
import { child, children, element, text } from './xml';

export interface Occupant {
  readonly nick: string;
  readonly affiliation: string;
  readonly role: string;
  /** The real JID, where the room shows it. */
  readonly jid: string | undefined;
}

export type MucEvent =
  | { kind: 'present'; self: boolean; occupant: Occupant }
  | { kind: 'renamed'; self: boolean; nick: string; newNick: string }
  | { kind: 'gone'; self: boolean; nick: string; why: Departure; reason: string }
  | { kind: 'error'; error: StanzaError }
  | { kind: 'subject'; subject: string };

export type Departure = 'left' | 'kicked' | 'banned' | 'removed' | 'destroyed' | 'shutdown';

const DEPARTURES: readonly [string, Departure][] = [
  ['301', 'banned'],
  ['307', 'kicked'],
  ['321', 'removed'],
  ['322', 'removed'],
  ['332', 'shutdown'],
  ['333', 'left'],
];

/** What a stanza from `room` tells; undefined when it is from elsewhere or of no interest. */
export function parseMuc(stanza: Element, room: string, ownNick: string): MucEvent | undefined {
  const from = stanza.getAttribute('from') ?? '';
  if (bare(from) !== room) return undefined;
  if (stanza.localName === 'message') {
    // A subject is a message without body (XEP-0045 section 7.2.15).
    const subject = child(stanza, NS.CLIENT, 'subject');
    if (stanza.getAttribute('type') !== 'groupchat' || !subject || child(stanza, NS.CLIENT, 'body')) return undefined;
    return { kind: 'subject', subject: text(subject) };
  }
  if (stanza.localName !== 'presence') return undefined;
  const type = stanza.getAttribute('type');
  if (type === 'error') return { kind: 'error', error: parseStanzaError(stanza) };
  const nick = resource(from);
  const user = child(stanza, NS.MUC_USER, 'x');
  const item = user && child(user, NS.MUC_USER, 'item');
  const codes = user ? children(user, NS.MUC_USER, 'status').map((each) => each.getAttribute('code') ?? '') : [];
  const self = codes.includes('110') || nick === ownNick;
  if (type === 'unavailable') {
    const newNick = item?.getAttribute('nick');
    if (codes.includes('303') && newNick) return { kind: 'renamed', self, nick, newNick };
    const destroyed = user && child(user, NS.MUC_USER, 'destroy');
    const why = destroyed ? 'destroyed' : (DEPARTURES.find(([code]) => codes.includes(code))?.[1] ?? 'left');
    const reason = text(destroyed ? child(destroyed, NS.MUC_USER, 'reason') : item && child(item, NS.MUC_USER, 'reason'));
    return { kind: 'gone', self, nick, why, reason };
  }
  if (type) return undefined;
  return {
    kind: 'present',
    self,
    occupant: {
      nick,
      affiliation: item?.getAttribute('affiliation') ?? 'none',
      role: item?.getAttribute('role') ?? 'participant',
      jid: item?.getAttribute('jid') ?? undefined,
    },
  };
}

export interface RoomObserver {
  /** The room's subject; empty when it has none. */
  roomSubject(subject: string): void;
  /** We are out of the room, and did not ask for it. */
  roomLeft(why: Departure, reason: string): void;
}

const JOIN_TIMEOUT = 15;
const NICKNAMES = 9;

/** Our stay in one room over one stream. */
export class Room {
  readonly occupants = new Map<string, Occupant>();
  nick = '';
  private readonly stream: Stream;
  private readonly jid: string;
  private readonly caps: Capabilities;
  private readonly observer: RoomObserver;
  private stop: (() => void) | undefined;
  private settle: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(stream: Stream, jid: string, caps: Capabilities, observer: RoomObserver) {
    this.stream = stream;
    this.jid = jid;
    this.caps = caps;
    this.observer = observer;
  }

  /** Our occupant JID. */
  get occupantJid(): string {
    return `${this.jid}/${this.nick}`;
  }

  /**
   * Enters as `name`, or as "name (2)" and so on when somebody else has that nickname, and
   * without its symbols when the server knows an older Unicode than the keyboard does. Rejects with the room's
   * StanzaError; with `conflict` when too many nicknames were taken. `password`: the room's (section 7.2.5).
   */
  async join(name: string, password = ''): Promise<void> {
    this.stop = this.stream.onStanza((stanza) => this.take(stanza));
    let base = name;
    for (let attempt = 1; ; attempt++) {
      this.nick = nicknameVariant(base, attempt);
      try {
        await this.enter(password);
        return;
      } catch (error) {
        const condition = error instanceof StanzaError ? error.condition : '';
        const plain = plainNickname(base);
        if (condition === 'jid-malformed' && plain && plain !== base) {
          base = plain;
          attempt = 0;
        } else if (condition !== 'conflict' || attempt >= NICKNAMES) {
          this.stop();
          throw error;
        }
      }
    }
  }

  private enter(password: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.settle?.reject(new Error('the room did not answer')), JOIN_TIMEOUT * 1000);
      this.settle = {
        resolve: () => {
          clearTimeout(timer);
          this.settle = undefined;
          resolve();
        },
        reject: (error) => {
          clearTimeout(timer);
          this.settle = undefined;
          reject(error);
        },
      };
      this.stream.send(
        element(
          NS.CLIENT,
          'presence',
          { to: this.occupantJid },
          capabilitiesElement(this.caps),
          element(NS.MUC, 'x', {}, element(NS.MUC, 'history', { maxstanzas: 0 }), ...(password ? [element(NS.MUC, 'password', {}, password)] : [])),
        ),
      );
    });
  }

  leave(): void {
    if (!this.stop) return;
    this.stop();
    this.stop = undefined;
    this.stream.send(element(NS.CLIENT, 'presence', { to: this.occupantJid, type: 'unavailable' }));
  }

  private take(stanza: Element): boolean {
    const event = parseMuc(stanza, this.jid, this.nick);
    if (!event) return false;
    switch (event.kind) {
      case 'present':
        this.occupants.set(event.occupant.nick, event.occupant);
        if (event.self) {
          // The room may have given us another nickname than we asked for (status 210).
          this.nick = event.occupant.nick;
          this.settle?.resolve();
        }
        break;
      case 'renamed': {
        const occupant = this.occupants.get(event.nick);
        this.occupants.delete(event.nick);
        if (occupant) this.occupants.set(event.newNick, { ...occupant, nick: event.newNick });
        if (event.self) this.nick = event.newNick;
        break;
      }
      case 'gone':
        this.occupants.delete(event.nick);
        if (event.self) {
          this.stop?.();
          this.stop = undefined;
          this.observer.roomLeft(event.why, event.reason);
        }
        break;
      case 'error':
        this.settle?.reject(event.error);
        break;
      case 'subject':
        this.observer.roomSubject(event.subject);
        break;
    }
    return true;
  }
}
