/**
 * One call: a Jingle session (XEP-0166) in which the page is the initiator, and the RTCPeerConnection it is about.
 * Signalling and media have each a state of their own; media goes on when signalling is lost.
 */
import type { Candidate, Description } from './description';
import type { Stream } from './connection';
import {
  JingleError,
  type Reason,
  descriptionElements,
  jingle,
  muteElement,
  parseDescription,
  parseReason,
  parseSessionInfo,
  parseTrickle,
  reasonElement,
  trickleElement,
} from './jingle';
import { NS } from './namespaces';
import { parseCandidate, parseSdp, writeCandidate, writeSdp } from './sdp';
import { StanzaError, errorOf, iq, resultOf } from './stanza';
import { child, element } from './xml';

export type SessionState = 'prepared' | 'pending' | 'active' | 'ended';
export type MediaState = 'idle' | 'connecting' | 'connected' | 'interrupted' | 'failed';

/** What the peer may do, and what follows. An action that is not here is out of order. */
export const TRANSITIONS: Readonly<Record<SessionState, Readonly<Record<string, SessionState>>>> = {
  prepared: {},
  pending: {
    'session-accept': 'active',
    'session-info': 'pending',
    'transport-info': 'pending',
    'description-info': 'pending',
    'session-terminate': 'ended',
  },
  active: {
    'session-info': 'active',
    'transport-info': 'active',
    'description-info': 'active',
    'session-terminate': 'ended',
  },
  ended: {},
};

const KNOWN_ACTIONS = new Set(['session-accept', 'session-info', 'transport-info', 'description-info', 'session-terminate', 'session-initiate']);

export interface CallObserver {
  callAccepted(): void;
  /** The peer ended the call, or what it accepted could not be used. */
  callEnded(reason: Reason): void;
  callMedia(state: MediaState): void;
}

export class Call {
  state: SessionState = 'prepared';
  media: MediaState = 'idle';
  /** What is to be heard, once the call is accepted. */
  audio: MediaStream | null = null;
  readonly sid: string;
  private readonly connection: RTCPeerConnection;
  private readonly sender: RTCRtpTransceiver;
  private readonly observer: CallObserver;
  private stream: Stream | undefined;
  private peer = '';
  private offer: Description | undefined;
  private readonly gathered: Candidate[] = [];
  /** Work on the RTCPeerConnection, one step after another. */
  private work: Promise<void> = Promise.resolve();
  private muted = false;
  /** What the peer was last told of it; at first it takes us for audible. */
  private told = false;
  private unanswered = 0;

  constructor(sid: string, microphone: MediaStream, observer: CallObserver) {
    this.sid = sid;
    this.observer = observer;
    this.connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
    const [track] = microphone.getAudioTracks();
    this.sender = this.connection.addTransceiver(track ?? 'audio', { direction: 'sendrecv', streams: [microphone] });
    withoutRedundancy(this.sender);
    this.connection.onicecandidate = ({ candidate }) => this.found(candidate?.candidate ?? '');
    this.connection.onicecandidateerror = ({ url, errorCode, errorText }) => console.info(`focus: ${url} gives no way: ${String(errorCode)} ${errorText}`);
    this.connection.onconnectionstatechange = () => this.changed();
    this.connection.ontrack = ({ track: remote, streams }) => {
      this.audio = streams[0] ?? new MediaStream([remote]);
    };
  }

  /** By which STUN and TURN servers it may go from now on; a way that is in use stays. */
  reachThrough(iceServers: RTCIceServer[]): void {
    if (this.state === 'ended') return;
    try {
      this.connection.setConfiguration({ ...this.connection.getConfiguration(), iceServers });
    } catch (error) {
      console.warn('focus: the server names STUN or TURN servers that cannot be used', error);
    }
  }

  /** Makes the offer, and starts to look for candidates while others are still finding out whom to call. */
  async prepare(): Promise<void> {
    const offer = await this.connection.createOffer();
    await this.connection.setLocalDescription(offer);
    this.offer = parseSdp(offer.sdp ?? '', 'initiator');
  }

  /** Sends session-initiate. Rejects with what `request` rejects with. */
  async initiate(stream: Stream, peer: string): Promise<void> {
    const [content] = this.offer?.contents ?? [];
    if (!this.offer || !content || this.state !== 'prepared') throw new Error('not prepared');
    this.stream = stream;
    this.peer = peer;
    this.state = 'pending';
    const transport = { ...content.transport, candidates: [...this.gathered] };
    const description = { groups: this.offer.groups, contents: [{ ...content, transport }] };
    await this.request('session-initiate', ...descriptionElements(description));
  }

  /** Takes an IQ of this session. False: it belongs to somebody else. */
  take(stanza: Element): boolean {
    const jingleElement = child(stanza, NS.JINGLE, 'jingle');
    if (!jingleElement || !this.stream || stanza.getAttribute('type') !== 'set') return false;
    if (stanza.getAttribute('from') !== this.peer || jingleElement.getAttribute('sid') !== this.sid) return false;
    const action = jingleElement.getAttribute('action') ?? '';
    const next = TRANSITIONS[this.state][action];
    if (this.state === 'ended') {
      this.stream.send(errorOf(stanza, 'item-not-found', element(NS.JINGLE_ERRORS, 'unknown-session')));
    } else if (!KNOWN_ACTIONS.has(action)) {
      this.stream.send(errorOf(stanza, 'feature-not-implemented'));
    } else if (!next) {
      this.stream.send(errorOf(stanza, 'unexpected-request', element(NS.JINGLE_ERRORS, 'out-of-order')));
    } else if (action === 'session-info' && parseSessionInfo(jingleElement) === 'unknown') {
      this.stream.send(errorOf(stanza, 'feature-not-implemented', element(NS.JINGLE_ERRORS, 'unsupported-info')));
    } else {
      this.stream.send(resultOf(stanza));
      this.state = next;
      this.act(action, jingleElement);
    }
    return true;
  }

  private act(action: string, jingleElement: Element): void {
    try {
      switch (action) {
        case 'session-accept':
          this.accept(parseDescription(jingleElement));
          break;
        case 'transport-info':
          for (const { name, transport } of parseTrickle(jingleElement)) {
            for (const candidate of transport.candidates) this.add(name, candidate, transport.ufrag);
          }
          break;
        case 'session-terminate':
          this.close();
          this.observer.callEnded(parseReason(jingleElement));
          break;
      }
    } catch (error) {
      if (!(error instanceof JingleError)) throw error;
      if (action === 'session-accept') this.give({ condition: 'failed-application', text: error.message });
    }
  }

  private accept(answer: Description): void {
    // One round of negotiation has one set of contents: what we offered and they did not mention stays out of it.
    const sdp = writeSdp(answer, 'responder');
    this.then(async () => {
      try {
        await this.connection.setRemoteDescription({ type: 'answer', sdp });
      } catch (error) {
        console.error('focus: the answer cannot be used', error, sdp);
        this.give({ condition: 'failed-application', text: 'the answer cannot be used' });
        return;
      }
      this.observer.callAccepted();
      this.inform();
    });
  }

  /** Ends a call that cannot go on, and says so to both sides. */
  private give(reason: Reason): void {
    this.terminate(reason);
    this.observer.callEnded(reason);
  }

  private add(name: string, candidate: Candidate, ufrag: string): void {
    if (candidate.component !== 1) return;
    this.then(async () => {
      try {
        await this.connection.addIceCandidate({ candidate: writeCandidate(candidate), sdpMid: name, usernameFragment: ufrag || null });
      } catch (error) {
        console.warn('focus: a candidate cannot be used', error);
      }
    });
  }

  private then(step: () => Promise<void>): void {
    this.work = this.work.then(async () => {
      if (this.state !== 'ended') await step();
    });
  }

  /** Tells the peer whether we are muted. The track itself belongs to whoever opened the microphone. */
  mute(muted: boolean): void {
    this.muted = muted;
    if (this.state === 'active') this.inform();
  }

  /** Tells it anew, as the peer takes us for something else. */
  insist(): void {
    this.told = !this.muted;
    this.mute(this.muted);
  }

  /** Whether the peer has not answered yet what it was told of our being muted. */
  get saying(): boolean {
    return this.unanswered > 0;
  }

  private inform(): void {
    const [content] = this.offer?.contents ?? [];
    if (!content || this.told === this.muted) return;
    this.told = this.muted;
    this.unanswered++;
    void this.tell('session-info', muteElement(this.muted, content)).then(() => this.unanswered--);
  }

  /** Sends another microphone from now on. */
  async replaceMicrophone(microphone: MediaStream): Promise<void> {
    await this.sender.sender.replaceTrack(microphone.getAudioTracks()[0] ?? null);
  }

  /** Ends the call from our side. Idempotent. */
  terminate(reason: Reason): void {
    if (this.state === 'pending' || this.state === 'active') void this.tell('session-terminate', reasonElement(reason));
    this.close();
  }

  /** Ends the media without a word, for a call whose signalling is gone. */
  close(): void {
    this.state = 'ended';
    this.connection.onicecandidate = null;
    this.connection.onicecandidateerror = null;
    this.connection.onconnectionstatechange = null;
    this.connection.close();
  }

  /** Who is in the mix that we hear. */
  contributingSources(): RTCRtpContributingSource[] {
    return this.state === 'ended' ? [] : this.sender.receiver.getContributingSources();
  }

  /** The level of our microphone, 0..1. */
  async level(): Promise<number> {
    if (this.state === 'ended') return 0;
    let level = 0;
    for (const stats of (await this.sender.sender.getStats()).values() as Iterable<{ type: string; audioLevel?: number }>) {
      if (stats.type === 'media-source') level = stats.audioLevel ?? 0;
    }
    return level;
  }

  private found(line: string): void {
    const candidate = line ? parseCandidate(line) : undefined;
    // The focus speaks UDP only, and a name that hides an address (mDNS) means nothing outside the local network: it
    // learns our address from our own checks.
    if (!candidate || candidate.protocol !== 'udp' || candidate.ip.endsWith('.local')) return;
    this.gathered.push(candidate);
    const [content] = this.offer?.contents ?? [];
    if (content && (this.state === 'pending' || this.state === 'active')) void this.tell('transport-info', trickleElement(content, candidate));
  }

  private changed(): void {
    const states: Record<RTCPeerConnectionState, MediaState> = {
      new: 'idle',
      connecting: 'connecting',
      connected: 'connected',
      disconnected: 'interrupted',
      failed: 'failed',
      closed: 'failed',
    };
    this.media = states[this.connection.connectionState];
    this.observer.callMedia(this.media);
  }

  private request(action: Parameters<typeof jingle>[0], ...content: Element[]): Promise<Element> {
    if (!this.stream) return Promise.reject(new Error('not initiated'));
    return this.stream.request(iq('set', this.peer, jingle(action, this.sid, this.stream.jid, ...content)));
  }

  /** A request whose answer changes nothing. */
  private async tell(action: Parameters<typeof jingle>[0], content: Element): Promise<void> {
    await this.request(action, content).catch((error: unknown) => {
      if (error instanceof StanzaError) console.warn(`focus: ${action} was not taken`, error);
    });
  }
}

/** RED doubles the bitrate, and its format has no form in Jingle's parameters. */
function withoutRedundancy(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpReceiver.getCapabilities('audio')?.codecs ?? [];
  const kept = codecs.filter(({ mimeType }) => mimeType.toLowerCase() !== 'audio/red');
  if (kept.length > 0) transceiver.setCodecPreferences(kept);
}

