/** Small stand-ins for what jsdom lacks, and a focus that is played stanza by stanza. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Stream } from '../src/connection';
import { StreamLost } from '../src/connection';
import { parseStanzaError } from '../src/stanza';

/** For what the machine does when it comes to it; only a failing test waits so long. */
export const PATIENCE = { timeout: 60_000 };

export function data(name: string): string {
  return readFileSync(join(import.meta.dirname, 'data', name), 'utf8');
}

/** A stanza as the parser of the stream would hand it over. */
export function parse(xml: string): Element {
  const document = new DOMParser().parseFromString(xml.replace(/^\s*<(iq|message|presence)\b/, "<$1 xmlns='jabber:client'"), 'text/xml');
  if (document.querySelector('parsererror')) throw new Error(`not well-formed: ${xml}`);
  return document.documentElement;
}

/** A stream whose other end is the test: what was sent is in `sent`, what comes in is given to `receive`. */
export class FakeStream implements Stream {
  jid = 'guest@guest.example/page';
  readonly sent: Element[] = [];
  closed = false;
  readonly ended: Promise<void>;
  private finish: () => void = () => undefined;
  private readonly takers = new Set<(stanza: Element) => boolean>();
  private readonly pending = new Map<string, { resolve: (result: Element) => void; reject: (error: Error) => void }>();
  private readonly waiting: { match: (stanza: Element) => boolean; resolve: (stanza: Element) => void }[] = [];
  private seen = 0;
  private ids = 0;

  constructor() {
    this.ended = new Promise((resolve) => (this.finish = resolve));
  }

  send(stanza: Element): void {
    if (this.closed) return;
    this.sent.push(stanza);
    this.deliver();
  }

  request(stanza: Element): Promise<Element> {
    const id = `r${++this.ids}`;
    stanza.setAttribute('id', id);
    return new Promise((resolve, reject) => {
      if (this.closed) {
        reject(new StreamLost());
        return;
      }
      this.pending.set(id, { resolve, reject });
      this.send(stanza);
    });
  }

  onStanza(taker: (stanza: Element) => boolean): () => void {
    this.takers.add(taker);
    return () => this.takers.delete(taker);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const { reject } of this.pending.values()) reject(new StreamLost());
    this.finish();
  }

  /** The other end's stanza. Says whether somebody took it. */
  receive(xml: string): boolean {
    const stanza = parse(xml);
    const pending = this.pending.get(stanza.getAttribute('id') ?? '');
    const type = stanza.getAttribute('type');
    if (stanza.localName === 'iq' && pending && (type === 'result' || type === 'error')) {
      if (type === 'result') pending.resolve(stanza);
      else pending.reject(parseStanzaError(stanza));
      return true;
    }
    return [...this.takers].some((taker) => taker(stanza));
  }

  /** The next stanza, sent or to be sent, that has such an element anywhere in it. */
  next(selector: string): Promise<Element> {
    return new Promise((resolve) => {
      this.waiting.push({ match: (stanza) => stanza.matches(selector) || stanza.querySelector(selector) !== null, resolve });
      this.deliver();
    });
  }

  private deliver(): void {
    const [first] = this.waiting;
    while (first && this.seen < this.sent.length) {
      const stanza = this.sent[this.seen++];
      if (stanza && first.match(stanza)) {
        this.waiting.shift();
        first.resolve(stanza);
        this.deliver();
        return;
      }
    }
  }
}

class FakeTrack extends EventTarget {
  kind = 'audio';
  enabled = true;
  stopped = false;
  stop(): void {
    this.stopped = true;
  }
}

export class FakeMediaStream {
  readonly tracks: FakeTrack[];
  constructor(tracks = [new FakeTrack()]) {
    this.tracks = tracks;
  }
  getTracks(): FakeTrack[] {
    return this.tracks;
  }
  getAudioTracks(): FakeTrack[] {
    return this.tracks;
  }
}

/** As much of a peer connection as the page uses; the test says what the network does. */
export class FakePeerConnection {
  static readonly all: FakePeerConnection[] = [];
  static get last(): FakePeerConnection {
    const last = FakePeerConnection.all.at(-1);
    if (!last) throw new Error('no connection was made');
    return last;
  }
  connectionState: RTCPeerConnectionState = 'new';
  onicecandidate: ((event: { candidate: { candidate: string } | null }) => void) | null = null;
  onicecandidateerror: ((event: { url: string; errorCode: number; errorText: string }) => void) | null = null;
  onconnectionstatechange: (() => void) | null = null;
  ontrack: ((event: { track: unknown; streams: unknown[] }) => void) | null = null;
  remote = '';
  readonly candidates: RTCIceCandidateInit[] = [];
  sources: { source: number; timestamp: number }[] = [];
  replaced: unknown;
  level = 0;
  broken = false;
  configuration: RTCConfiguration;
  /** What the configuration was when the offer was made. */
  offered: RTCConfiguration | undefined;

  constructor(configuration: RTCConfiguration = {}) {
    this.configuration = configuration;
    FakePeerConnection.all.push(this);
  }
  getConfiguration(): RTCConfiguration {
    return this.configuration;
  }
  setConfiguration(configuration: RTCConfiguration): void {
    if (this.broken) throw new Error('SyntaxError');
    this.configuration = configuration;
  }
  addTransceiver(): unknown {
    return {
      setCodecPreferences: () => undefined,
      sender: {
        replaceTrack: (track: unknown) => {
          this.replaced = track;
          return Promise.resolve();
        },
        getStats: () => Promise.resolve(new Map([['m', { type: 'media-source', audioLevel: this.level }]])),
      },
      receiver: { getContributingSources: () => this.sources },
    };
  }
  createOffer(): Promise<{ type: string; sdp: string }> {
    this.offered = this.configuration;
    return Promise.resolve({ type: 'offer', sdp: data('chrome-156-offer.sdp') });
  }
  setLocalDescription(): Promise<void> {
    return Promise.resolve();
  }
  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    if (this.broken) return Promise.reject(new Error('InvalidAccessError'));
    this.remote = sdp;
    this.ontrack?.({ track: new FakeTrack(), streams: [new FakeMediaStream()] });
    return Promise.resolve();
  }
  addIceCandidate(candidate: RTCIceCandidateInit): Promise<void> {
    this.candidates.push(candidate);
    return Promise.resolve();
  }
  close(): void {
    this.connectionState = 'closed';
  }

  // What the test does.
  find(candidate: string): void {
    this.onicecandidate?.({ candidate: { candidate } });
  }
  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
}

/** Puts the stand-ins where the page looks for them. `microphone` is what getUserMedia does. */
export function installMedia(microphone: () => Promise<unknown> = () => Promise.resolve(new FakeMediaStream())): void {
  FakePeerConnection.all.length = 0;
  Object.assign(globalThis, {
    RTCPeerConnection: FakePeerConnection,
    RTCRtpReceiver: { getCapabilities: () => ({ codecs: [] }) },
    MediaStream: FakeMediaStream,
  });
  Object.defineProperty(window, 'isSecureContext', { value: true, configurable: true });
  Object.defineProperty(navigator, 'mediaDevices', {
    configurable: true,
    value: Object.assign(new EventTarget(), { getUserMedia: microphone, enumerateDevices: () => Promise.resolve([]) }),
  });
}

/** Plays the focus for one visit, up to the point where all are talking. */
export async function letIn(stream: FakeStream, room = 'tea', { services = true } = {}): Promise<string> {
  const focus = `${room}@focus.example`;
  if (services) refuseServices(await stream.next('services'), stream);
  const proposal = await stream.next('propose');
  const sid = proposal.querySelector('propose')?.getAttribute('id') ?? '';
  stream.receive(`<message from='${focus}/focus' type='chat'><ringing xmlns='urn:xmpp:jingle-message:0' id='${sid}'/></message>`);
  stream.receive(`<message from='${focus}/focus' type='chat'><proceed xmlns='urn:xmpp:jingle-message:0' id='${sid}'/></message>`);
  const joining = await stream.next('presence[to*="rooms.example"]');
  enterRoom(stream, joining.getAttribute('to') ?? '');
  const initiate = await stream.next('jingle[action=session-initiate]');
  stream.receive(`<iq type='result' id='${initiate.getAttribute('id') ?? ''}' from='${focus}/focus'/>`);
  stream.receive(`<iq type='set' id='a1' from='${focus}/focus'>${acceptance(sid)}</iq>`);
  await stream.next('iq[id=a1]');
  FakePeerConnection.last.become('connected');
  return sid;
}

/** The server knows no STUN or TURN servers. */
export function refuseServices(question: Element, stream: FakeStream): void {
  stream.receive(
    `<iq type='error' id='${question.getAttribute('id') ?? ''}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
}

export function enterRoom(stream: FakeStream, occupant: string): void {
  stream.receive(
    `<presence from='${occupant}'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/><status code='110'/></x></presence>`,
  );
}

export function acceptance(sid: string): string {
  return `<jingle xmlns='urn:xmpp:jingle:1' action='session-accept' sid='${sid}' responder='tea@focus.example/focus'>
    <group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'><content name='0'/></group>
    <content creator='initiator' name='0' senders='both'>
      <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>
        <payload-type id='111' name='opus' clockrate='48000' channels='2'><parameter name='useinbandfec' value='1'/><parameter name='usedtx' value='1'/></payload-type>
        <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='1' uri='urn:ietf:params:rtp-hdrext:ssrc-audio-level'/>
        <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='77'><parameter name='cname' value='mix'/></source>
        <rtcp-mux/>
      </description>
      <transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='U1qd' pwd='tXC5QRElg1CfrpWicIh6ZBRs'>
        <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='active'>06:82:D6</fingerprint>
        <candidate component='1' foundation='1' generation='0' id='e2' ip='192.0.2.7' port='51226' priority='2130706431' protocol='udp' type='host'/>
      </transport>
    </content>
    <conference-info xmlns='urn:xmpp:coin:1' isfocus='true'/>
  </jingle>`;
}

export interface Person {
  nick: string;
  source: number;
  media?: string;
  status?: string;
  cascaded?: string;
  /** The second in which it went up. */
  hand?: number;
}

/** A full conference document as an IQ of the focus. */
export function information(sid: string, version: number, people: readonly Person[]): string {
  const users = people.map(
    ({ nick, source, media = 'sendrecv', status = 'connected', cascaded, hand }) => `<user entity='xmpp:tea@rooms.example/${encodeURIComponent(nick)}' state='full'>
      <display-text>${nick}</display-text>${cascaded ? `<cascaded-focus>${cascaded}</cascaded-focus>` : ''}<endpoint entity='xmpp:tea@rooms.example/${encodeURIComponent(nick)}#1' state='full'><status>${status}</status>
      <media id='1'><type>audio</type><src-id>${source}</src-id><status>${media}</status></media>${hand ? `<hand xmlns='urn:focus-conference:hand:0' since='2026-01-05T10:00:0${hand}.500Z'/>` : ''}</endpoint></user>`,
  );
  return `<iq type='set' id='coin${version}' from='tea@focus.example/focus'><conference-info xmlns='urn:ietf:params:xml:ns:conference-info'
    entity='xmpp:tea@focus.example' state='full' version='${version}' sid='${sid}'><conference-description/><users state='full'>${users.join('')}</users></conference-info></iq>`;
}
