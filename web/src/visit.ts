/**
 * One visit to a meeting over one XMPP stream: directed presence and a proposal to the focus, the chat room, the call,
 * and the conference information that the focus then sends. A lost stream ends the visit; its media may go on for
 * as long as the next visit takes.
 */
import { Call, type CallObserver, type MediaState } from './call';
import { ConferenceInformation, type User, readTree, users } from './coin';
import type { Config } from './config';
import type { Stream } from './connection';
import { type Capabilities, capabilities, capabilitiesElement, discoInfo } from './discovery';
import { ExternalServices } from './external-services';
import { Failure, departureFailure, focusFailure, reasonFailure, roomFailure } from './failure';
import { bare } from './jid';
import type { Reason } from './jingle';
import { type Invitation, finish, parseInvitation, proposalId, propose, reject, retract } from './jingle-message';
import { type Departure, Room, type RoomObserver } from './muc';
import { NS } from './namespaces';
import { errorOf, iq, parseStanzaError, resultOf } from './stanza';
import { child, element } from './xml';

export type Step = 'server' | 'calling' | 'ringing' | 'room' | 'media';

export interface VisitObserver {
  visitStep(visit: Visit, step: Step): void;
  visitUsers(visit: Visit, users: readonly User[]): void;
  /** The room's subject has changed; '' when it has none. */
  visitTitle(visit: Visit, title: string): void;
  visitMedia(visit: Visit, state: MediaState): void;
  /** It is over, and not by `leave`. */
  visitEnded(visit: Visit, failure: Failure): void;
}

export type OpenStream = (url: string, domain: string, signal: AbortSignal) => Promise<Stream>;

export interface VisitPlan {
  readonly config: Config;
  /** The room's JID node. */
  readonly room: string;
  readonly name: string;
  /** The room's, where it has one; else ''. */
  readonly password: string;
  readonly microphone: MediaStream;
  readonly muted: boolean;
  readonly openStream: OpenStream;
}

/** In seconds. A person may have to let us in, so ringing is given longer. */
const ANSWER = 30;
const RINGING = 90;
/** How soon an answer comes that waits for nothing. After that it may be waiting for us to be in the room. */
const PROMPT = 1;
const ACCEPT = 20;
const MEDIA = 20;

const SUCCESS: Reason = { condition: 'success', text: '' };

export class Visit implements CallObserver, RoomObserver {
  readonly call: Call;
  readonly sid = crypto.randomUUID();
  private readonly plan: VisitPlan;
  private readonly observer: VisitObserver;
  private readonly abort = new AbortController();
  private readonly information = new ConferenceInformation();
  /** Rejected when the visit is over while we are still entering. */
  private readonly broken: Promise<never>;
  private stream: Stream | undefined;
  private services: ExternalServices | undefined;
  private room: Room | undefined;
  private caps: Capabilities = { node: '', ver: '' };
  private asking = false;
  private over = false;
  private breakOff: (failure: Failure) => void = () => undefined;
  private enterUnanswered: () => void = () => undefined;
  /** It rings, and nobody answers at once. */
  private readonly rung = new Promise<void>((resolve) => (this.enterUnanswered = resolve));
  private invited: (invitation: Invitation, from: string) => void = () => undefined;
  private refused: (failure: Failure) => void = () => undefined;
  private accepted: () => void = () => undefined;
  private connected: () => void = () => undefined;
  /** A proposal is out that nobody has answered. */
  private proposed = false;
  /** The full JID that answered it. */
  private peer = '';
  private entering = true;

  constructor(plan: VisitPlan, observer: VisitObserver) {
    this.plan = plan;
    this.observer = observer;
    this.call = new Call(this.sid, plan.microphone, this);
    this.call.mute(plan.muted);
    this.broken = new Promise((_, breakOff) => {
      this.breakOff = breakOff;
    });
    this.broken.catch(() => undefined);
  }

  /** Where the room is called. */
  get focusJid(): string {
    return `${this.plan.room}@${this.plan.config.focus}`;
  }

  get roomJid(): string {
    return `${this.plan.room}@${this.plan.config.rooms}`;
  }

  get jid(): string {
    return this.stream?.jid ?? '';
  }

  get occupantJid(): string {
    return this.room?.occupantJid ?? '';
  }

  /** Fulfilled when we hear and are heard. Rejects with Failure; the visit is over then. */
  async enter(): Promise<void> {
    try {
      await Promise.race([this.steps(), this.broken]);
      this.entering = false;
    } catch (error) {
      const failure = error instanceof Failure ? error : new Failure('focus', error instanceof Error ? error.message : '');
      this.finishWith({ condition: failure.code === 'media' ? 'connectivity-error' : 'cancel', text: '' });
      throw failure;
    }
  }

  private async steps(): Promise<void> {
    const { config, name, password, openStream } = this.plan;
    this.observer.visitStep(this, 'server');
    const caps = capabilities(location.origin);
    const stream = await openStream(config.websocket, config.guests, this.abort.signal).catch(() => {
      throw new Failure('server');
    });
    this.stream = stream;
    if (this.over) {
      stream.close();
      return;
    }
    this.caps = await caps;
    stream.onStanza((stanza) => this.take(stanza));
    void stream.ended.then(() => this.lost());
    const prepared = this.prepare(stream);
    prepared.catch(() => undefined);

    this.observer.visitStep(this, 'calling');
    stream.send(element(NS.CLIENT, 'presence', { to: this.focusJid }, capabilitiesElement(this.caps)));
    const peer = this.propose(stream);
    peer.catch(() => undefined);
    await Promise.race([peer, this.rung]);

    this.observer.visitStep(this, 'room');
    this.room = new Room(stream, this.roomJid, this.caps, this);
    await this.room.join(name, password).catch((error: unknown) => {
      throw roomFailure(error);
    });
    const answered = await peer;

    this.observer.visitStep(this, 'media');
    await prepared;
    const accepted = new Promise<void>((resolve) => (this.accepted = resolve));
    const connected = new Promise<void>((resolve) => (this.connected = resolve));
    await this.call.initiate(stream, answered).catch((error: unknown) => {
      throw focusFailure(error);
    });
    await within(ACCEPT, accepted, new Failure('no-answer'));
    if (this.call.media !== 'connected') await within(MEDIA, connected, new Failure('media'));
  }

  /** Makes the call's offer, once it is known by which servers it may go. */
  private async prepare(stream: Stream): Promise<void> {
    this.services = new ExternalServices(stream, this.plan.config.guests, (servers) => this.call.reachThrough(servers));
    this.call.reachThrough(await this.services.ask());
    await this.call.prepare();
  }

  /** Proposes, and gives the full JID that answered. */
  private async propose(stream: Stream): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const answer = new Promise<string>((resolve, refuse) => {
      const patience = (seconds: number): void => {
        clearTimeout(timer);
        timer = setTimeout(() => refuse(new Failure('no-answer')), seconds * 1000);
      };
      patience(ANSWER);
      this.refused = (failure) => {
        this.proposed = false;
        refuse(failure);
      };
      this.invited = ({ name, reason }, from) => {
        if (name === 'ringing') {
          patience(RINGING);
          this.observer.visitStep(this, 'ringing');
          setTimeout(this.enterUnanswered, PROMPT * 1000);
        } else if (name === 'proceed') {
          this.peer = from;
          resolve(from);
        } else if (name === 'reject') {
          this.refused(reasonFailure(reason));
        }
      };
    });
    this.proposed = true;
    stream.send(propose(this.focusJid, this.sid));
    try {
      return await Promise.race([answer, this.broken]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Rejects with what `request` rejects with. */
  async raiseHand(up: boolean): Promise<void> {
    const command = element(NS.COMMANDS, 'command', { node: up ? NS.RAISE_HAND : NS.LOWER_HAND, action: 'execute' });
    await this.stream?.request(iq('set', this.focusJid, command));
  }

  /** Leaves in every way there is; all of it is handed to the browser before this returns. Idempotent. */
  leave(): void {
    this.finishWith(SUCCESS);
  }

  private finishWith(reason: Reason): void {
    this.over = true;
    this.abort.abort();
    this.breakOff(new Failure('ended'));
    this.call.terminate(reason);
    if (this.stream) {
      if (this.peer) this.stream.send(finish(this.peer, this.sid, reason));
      else if (this.proposed) this.stream.send(retract(this.focusJid, this.sid));
      this.room?.leave();
      this.stream.close();
    }
    this.proposed = false;
    this.peer = '';
  }

  /** Ends the media of a visit whose stream is gone. */
  silence(): void {
    this.call.close();
  }

  private lost(): void {
    this.end(new Failure('server'));
  }

  private end(failure: Failure): void {
    if (this.over) return;
    if (this.entering) {
      this.breakOff(failure);
    } else {
      this.over = true;
      this.observer.visitEnded(this, failure);
    }
  }

  // ---- what comes in ----

  private take(stanza: Element): boolean {
    switch (stanza.localName) {
      case 'iq':
        return this.takeIq(stanza);
      case 'message':
        return this.takeMessage(stanza);
      default:
        return false;
    }
  }

  private takeMessage(stanza: Element): boolean {
    const from = stanza.getAttribute('from') ?? '';
    if (stanza.getAttribute('type') === 'error') {
      const ours = bare(from) === this.focusJid && stanza.getAttribute('id') === proposalId(this.sid);
      if (ours) this.refused(focusFailure(parseStanzaError(stanza)));
      return ours;
    }
    const invitation = parseInvitation(stanza);
    if (!invitation) return false;
    if (invitation.name === 'propose') {
      this.stream?.send(reject(from, invitation.id));
      return true;
    }
    if (bare(from) !== this.focusJid || invitation.id !== this.sid) return false;
    if (invitation.name === 'finish') this.end(reasonFailure(invitation.reason));
    else this.invited(invitation, from);
    return true;
  }

  private takeIq(stanza: Element): boolean {
    const { stream } = this;
    if (!stream) return false;
    if (this.call.take(stanza) || this.services?.take(stanza)) return true;
    const type = stanza.getAttribute('type');
    if (child(stanza, NS.JINGLE, 'jingle')) {
      stream.send(errorOf(stanza, 'item-not-found', element(NS.JINGLE_ERRORS, 'unknown-session')));
      return true;
    }
    const query = child(stanza, NS.DISCO_INFO, 'query');
    if (query && type === 'get') {
      const info = discoInfo(query, this.caps);
      stream.send(info ? resultOf(stanza, info) : errorOf(stanza, 'item-not-found'));
      return true;
    }
    if (child(stanza, NS.DISCO_ITEMS, 'query') && type === 'get') {
      stream.send(resultOf(stanza, element(NS.DISCO_ITEMS, 'query')));
      return true;
    }
    if (child(stanza, NS.PING, 'ping') && type === 'get') {
      stream.send(resultOf(stanza));
      return true;
    }
    const document = child(stanza, NS.CONFERENCE_INFO, 'conference-info');
    if (document && type === 'set') {
      this.takeInformation(stream, stanza, document);
      return true;
    }
    return false;
  }

  private takeInformation(stream: Stream, stanza: Element, document: Element): void {
    const from = stanza.getAttribute('from') ?? '';
    if (bare(from) !== this.focusJid || document.getAttribute('sid') !== this.sid) {
      stream.send(errorOf(stanza, 'item-not-found'));
      return;
    }
    switch (this.information.apply(readTree(document))) {
      case 'invalid':
        stream.send(errorOf(stanza, 'bad-request'));
        return;
      case 'gap':
        stream.send(errorOf(stanza, 'unexpected-request'));
        void this.ask(stream, from, document.getAttribute('entity') ?? '');
        return;
      case 'ended':
        stream.send(resultOf(stanza));
        this.observer.visitUsers(this, []);
        return;
      case 'stale':
        stream.send(resultOf(stanza));
        return;
      case 'applied':
        stream.send(resultOf(stanza));
        this.show();
    }
  }

  private show(): void {
    this.observer.visitUsers(this, users(this.information.document));
  }

  /** Asks for the full document; the answer may bring it, or it follows as a set of its own. */
  private async ask(stream: Stream, from: string, entity: string): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      const answer = await stream.request(iq('get', from, element(NS.CONFERENCE_INFO, 'conference-info', { entity, sid: this.sid })));
      const document = child(answer, NS.CONFERENCE_INFO, 'conference-info');
      if (document && this.information.apply(readTree(document)) === 'applied') this.show();
    } catch (error) {
      console.debug('focus: no conference information to be had', error);
    } finally {
      this.asking = false;
    }
  }

  // ---- what the call and the room tell ----

  callAccepted(): void {
    this.accepted();
  }

  callEnded(reason: Reason): void {
    this.end(reasonFailure(reason));
  }

  callMedia(state: MediaState): void {
    if (state === 'connected') this.connected();
    this.observer.visitMedia(this, state);
    if (state === 'failed') this.end(new Failure('media'));
  }

  roomSubject(title: string): void {
    this.observer.visitTitle(this, title);
  }

  roomLeft(why: Departure, reason: string): void {
    // A room that is merely out of reach takes nobody's voice away; the stream will tell if there is more to it.
    const failure = departureFailure(why, reason);
    if (failure) this.end(failure);
  }
}

/** The promise, or the failure when it takes longer. */
function within(seconds: number, promise: Promise<void>, failure: Failure): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(failure), seconds * 1000);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
