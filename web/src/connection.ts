/** The XMPP stream: strophe.js over a websocket, an anonymous account, requests with an end, and a pulse. */
import { Strophe } from 'strophe.js';
import { NS } from './namespaces';
import { bare } from './jid';
import { StanzaError, errorOf, iq, parseStanzaError } from './stanza';
import { element } from './xml';

type StropheConnection = InstanceType<typeof Strophe.Connection>;

/** What the rest of the page needs of a stream. */
export interface Stream {
  /** Our full JID. */
  readonly jid: string;
  send(stanza: Element): void;
  /** Sends an IQ and gives its result. Rejects with StanzaError, or StreamLost when no answer can come any more. */
  request(stanza: Element, seconds?: number): Promise<Element>;
  /** Takes stanzas until it is removed by the function returned. A taker that returns true ends the search. */
  onStanza(taker: (stanza: Element) => boolean): () => void;
  /** Fulfilled when the stream has ended, by whomever. */
  readonly ended: Promise<void>;
  /** Says goodbye and closes. All of it is handed to the browser before this returns. */
  close(): void;
}

export class StreamLost extends Error {}

interface Pending {
  readonly to: string;
  readonly resolve: (result: Element) => void;
  readonly reject: (error: Error) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** How long a server may be silent before we ask, and how long it may then take to answer, in seconds. */
const PULSE = 20;
const PULSE_TIMEOUT = 10;
const CONNECT_TIMEOUT = 15;

export class WebsocketStream implements Stream {
  readonly ended: Promise<void>;
  private readonly connection: StropheConnection;
  private readonly takers = new Set<(stanza: Element) => boolean>();
  private readonly pending = new Map<string, Pending>();
  private readonly finish: () => void;
  private heard = Date.now();
  private pulse: ReturnType<typeof setInterval> | undefined;
  private over = false;

  private constructor(connection: StropheConnection) {
    this.connection = connection;
    let finish: () => void = () => undefined;
    this.ended = new Promise((resolve) => {
      finish = resolve;
    });
    this.finish = finish;
  }

  /**
   * Connects anonymously at `domain`. Rejects with StreamLost when the server does not let us in, and when `signal`
   * gives up before it did.
   */
  static open(url: string, domain: string, signal: AbortSignal): Promise<WebsocketStream> {
    // No stream management: a closed websocket must mean that we are gone, not that we might come back.
    Strophe.setLogLevel(Strophe.LogLevel.WARN);
    const connection = new Strophe.Connection(url);
    const stream = new WebsocketStream(connection);
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', giveUp);
      };
      const fail = (why: string): void => {
        settle();
        reject(new StreamLost(why));
        stream.end();
      };
      const timer = setTimeout(() => {
        fail('the server did not answer');
        connection.disconnect('timeout');
      }, CONNECT_TIMEOUT * 1000);
      const giveUp = (): void => {
        fail('given up');
        connection.disconnect('given up');
      };
      signal.addEventListener('abort', giveUp);
      connection.connect(domain, '', (status: number, condition: string | null) => {
        switch (status) {
          case Strophe.Status.CONNECTED:
            settle();
            stream.begin();
            resolve(stream);
            break;
          case Strophe.Status.AUTHFAIL:
          case Strophe.Status.CONNFAIL:
          case Strophe.Status.CONNTIMEOUT:
          case Strophe.Status.ERROR:
          case Strophe.Status.DISCONNECTED:
            fail(condition ?? 'the connection was closed');
            break;
        }
      });
    });
  }

  get jid(): string {
    return this.connection.jid;
  }

  send(stanza: Element): void {
    if (!this.over) this.connection.send(stanza);
  }

  request(stanza: Element, seconds = 20): Promise<Element> {
    const id = stanza.getAttribute('id') ?? crypto.randomUUID();
    stanza.setAttribute('id', id);
    return new Promise((resolve, reject) => {
      if (this.over) {
        reject(new StreamLost('the connection is closed'));
        return;
      }
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new StanzaError('remote-server-timeout'));
      }, seconds * 1000);
      this.pending.set(id, { to: stanza.getAttribute('to') ?? '', resolve, reject, timer });
      this.send(stanza);
    });
  }

  onStanza(taker: (stanza: Element) => boolean): () => void {
    this.takers.add(taker);
    return () => this.takers.delete(taker);
  }

  close(): void {
    if (this.over) return;
    this.connection.disconnect();
    this.end();
  }

  private begin(): void {
    // One taker of everything: Strophe drops a handler that throws, and hands over only what came after it was added.
    this.connection.addHandler(
      (stanza: Element) => {
        this.take(stanza);
        return true;
      },
      null,
      null,
      null,
    );
    this.pulse = setInterval(() => this.beat(), (PULSE * 1000) / 2);
  }

  private beat(): void {
    if (Date.now() - this.heard < PULSE * 1000) return;
    this.request(iq('get', undefined, element(NS.PING, 'ping')), PULSE_TIMEOUT).catch((error: unknown) => {
      // Any answer, be it an error, is a sign of life.
      if (error instanceof StanzaError && error.condition !== 'remote-server-timeout') return;
      this.close();
    });
  }

  private take(stanza: Element): void {
    this.heard = Date.now();
    try {
      const type = stanza.getAttribute('type');
      const isIq = stanza.localName === 'iq';
      if (isIq && (type === 'result' || type === 'error')) {
        this.answer(stanza, type);
        return;
      }
      for (const taker of [...this.takers]) {
        if (taker(stanza)) return;
      }
      if (isIq) this.send(errorOf(stanza, 'service-unavailable'));
    } catch (error) {
      console.error('focus: a stanza could not be handled', error, stanza);
      if (stanza.localName === 'iq') this.send(errorOf(stanza, 'bad-request'));
    }
  }

  private answer(stanza: Element, type: 'result' | 'error'): void {
    const id = stanza.getAttribute('id') ?? '';
    const pending = this.pending.get(id);
    if (!pending || !this.answers(stanza.getAttribute('from') ?? '', pending.to)) return;
    this.pending.delete(id);
    clearTimeout(pending.timer);
    if (type === 'result') pending.resolve(stanza);
    else pending.reject(parseStanzaError(stanza));
  }

  /** Only who was asked may answer; our own server may write itself in several ways (RFC 6120 section 8.1.2.1). */
  private answers(from: string, to: string): boolean {
    if (to) return from === to;
    return from === '' || from === this.jid || from === bare(this.jid) || from === bare(this.jid).split('@').pop();
  }

  private end(): void {
    if (this.over) return;
    this.over = true;
    clearInterval(this.pulse);
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new StreamLost('the connection was lost'));
    }
    this.pending.clear();
    this.finish();
  }
}
