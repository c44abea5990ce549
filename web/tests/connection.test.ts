import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StreamLost, WebsocketStream } from '../src/connection';
import { StanzaError, iq } from '../src/stanza';
import { element } from '../src/xml';
import { PATIENCE } from './fakes';

/** A server at the other end of the websocket: it lets guests in, and then does what the test says. */
class Server {
  static readonly CLOSED = 3;
  static last: Server;
  static mood: 'kind' | 'closed' | 'silent' = 'kind';
  readyState = 1;
  readonly heard: string[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {
    Server.last = this;
    setTimeout(() => {
      if (this.readyState === Server.CLOSED) return;
      if (Server.mood === 'closed') this.onclose?.({ code: 1006 });
      else this.onopen?.();
    });
  }

  send(text: string): void {
    this.heard.push(text);
    if (Server.mood !== 'kind') return;
    if (text.startsWith('<open')) {
      this.say("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' from='guest.example'/>");
      const inside = this.heard.some((each) => each.startsWith('<auth'));
      this.say(
        `<stream:features xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>${
          inside ? "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" : "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism></mechanisms>"
        }</stream:features>`,
      );
    } else if (text.startsWith('<auth')) {
      this.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    } else if (text.includes('xmpp-bind')) {
      this.say("<iq type='result' id='_bind_auth_2' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>g@guest.example/page</jid></bind></iq>");
    }
  }

  say(text: string): void {
    queueMicrotask(() => this.onmessage?.({ data: text }));
  }

  close(): void {
    this.readyState = Server.CLOSED;
  }

  async hears(part: string): Promise<string> {
    return vi.waitFor(() => {
      const found = this.heard.find((each) => each.includes(part));
      if (!found) throw new Error(`nothing with ${part}`);
      return found;
    }, PATIENCE);
  }
}

const open = (signal = new AbortController().signal) => WebsocketStream.open('ws://meet.example/xmpp-websocket', 'guest.example', signal);
const version = () => iq('get', 'focus.example', element('urn:example', 'query'));

beforeEach(() => {
  Server.mood = 'kind';
  vi.stubGlobal('WebSocket', Server);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('a stream', () => {
  it('is an anonymous account over a websocket', async () => {
    const stream = await open();
    expect([Server.last.url, Server.last.protocol]).toEqual(['ws://meet.example/xmpp-websocket', 'xmpp']);
    expect(stream.jid).toBe('g@guest.example/page');
    stream.close();
  });

  it('is not to be had from a server that is not there', async () => {
    Server.mood = 'closed';
    await expect(open()).rejects.toBeInstanceOf(StreamLost);
  });

  it('is not waited for when somebody gives up', async () => {
    Server.mood = 'silent';
    const giving = new AbortController();
    const opening = open(giving.signal);
    giving.abort();
    await expect(opening).rejects.toBeInstanceOf(StreamLost);
  });

  it('ends with a goodbye, after everything that was said before', async () => {
    const giving = new AbortController();
    const stream = await open(giving.signal);
    giving.abort();
    stream.send(element('jabber:client', 'message', { to: 'a@b' }, element('jabber:client', 'body', {}, 'bye')));
    stream.close();
    const tail = Server.last.heard.slice(-3);
    expect(tail[0]).toContain('<body>bye</body>');
    expect(tail[1]).toContain('type="unavailable"');
    expect(tail[2]).toContain('<close');
    await stream.ended;
  });

  it('ends when the websocket does, and takes what waits with it', async () => {
    const stream = await open();
    const waiting = stream.request(version());
    Server.last.onclose?.({ code: 1006 });
    await expect(waiting).rejects.toBeInstanceOf(StreamLost);
    await stream.ended;
    await expect(stream.request(version())).rejects.toBeInstanceOf(StreamLost);
  });
});

describe('a request', () => {
  const id = async () => /id="([^"]+)"/.exec(await Server.last.hears('urn:example'))?.[1] ?? '';

  it('is answered by whom it was sent to, and by nobody else', async () => {
    const stream = await open();
    const waiting = stream.request(version());
    const answer = (from: string, value: string) =>
      Server.last.say(`<iq xmlns='jabber:client' type='result' from='${from}' id='${asked}'><query xmlns='urn:example' value='${value}'/></iq>`);
    const asked = await id();
    answer('evil@example/x', 'bad');
    answer('focus.example', 'good');
    expect((await waiting).firstElementChild?.getAttribute('value')).toBe('good');
    stream.close();
  });

  it('fails with the condition of the error', async () => {
    const stream = await open();
    const waiting = stream.request(version());
    Server.last.say(
      `<iq xmlns='jabber:client' type='error' from='focus.example' id='${await id()}'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>full</text></error></iq>`,
    );
    await expect(waiting).rejects.toMatchObject({ condition: 'resource-constraint', text: 'full' });
    stream.close();
  });

  it('fails when its time is over', async () => {
    const stream = await open();
    await expect(stream.request(version(), 0.02)).rejects.toEqual(new StanzaError('remote-server-timeout'));
    stream.close();
  });
});

describe('what comes in', () => {
  it('is offered to one taker after the other', async () => {
    const stream = await open();
    const seen: string[] = [];
    const stop = stream.onStanza(({ localName }) => seen.push(`first ${localName}`) > 9);
    stream.onStanza(({ localName }) => seen.push(`second ${localName}`) > 0);
    Server.last.say("<message xmlns='jabber:client' from='a@b'/>");
    await vi.waitFor(() => expect(seen).toEqual(['first message', 'second message']), PATIENCE);
    stop();
    Server.last.say("<presence xmlns='jabber:client' from='a@b'/>");
    await vi.waitFor(() => expect(seen.at(-1)).toBe('second presence'), PATIENCE);
    expect(seen).toHaveLength(3);
    stream.close();
  });

  it('is answered when nobody takes it, and when it breaks something', async () => {
    const stream = await open();
    Server.last.say("<iq xmlns='jabber:client' type='get' id='u1' from='a@b'><x xmlns='urn:x'/></iq>");
    expect(await Server.last.hears('id="u1"')).toContain('service-unavailable');
    stream.onStanza(() => {
      throw new Error('oops');
    });
    Server.last.say("<iq xmlns='jabber:client' type='set' id='u2' from='a@b'><x xmlns='urn:x'/></iq>");
    expect(await Server.last.hears('id="u2"')).toContain('bad-request');
    Server.last.say("<iq xmlns='jabber:client' type='set' id='u3' from='a@b'><x xmlns='urn:x'/></iq>");
    expect(await Server.last.hears('id="u3"')).toContain('bad-request');
    stream.close();
  });
});
