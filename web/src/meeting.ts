/** The meeting as the page shows it: one observable view, changed by visits that come and go. */
import type { MediaState } from './call';
import type { User } from './coin';
import { type Config, fetchConfig } from './config';
import { StreamLost, WebsocketStream } from './connection';
import { Failure } from './failure';
import { bare, fromUri, names, node, resource } from './jid';
import { onceMicrophonesChange, openMicrophone } from './microphone';
import { audioOf, hasHandUp, isMutedByFocus, isTalking, isThere, onlyHears, raisedAt, statusOf } from './participation';
import { Speakers, Voice } from './speaking';
import { strings } from './strings';
import { type OpenStream, type Step, Visit, type VisitObserver } from './visit';

export type Phase = 'idle' | 'connecting' | 'joined' | 'failed' | 'left';
export type Progress = 'microphone' | Step;

export interface Participant {
  /** Stays the same for as long as the participant is there. */
  readonly key: string;
  readonly name: string;
  readonly self: boolean;
  /** Whether this is a conference of its own, and others are heard through it. */
  readonly conference: boolean;
  readonly muted: boolean;
  readonly mutedByFocus: boolean;
  readonly speaking: boolean;
  /** Which of the raised hands theirs is, from 1 in the order in which they went up; 0: none. */
  readonly hand: number;
  readonly status: 'connected' | 'ringing' | 'on-hold';
}

/** All that the page shows. A new object with every change, never changed itself. */
export interface View {
  readonly phase: Phase;
  readonly progress: Progress;
  /** The state of signalling and that of media; each can be lost without the other. */
  readonly signalling: 'offline' | 'connecting' | 'online' | 'waiting';
  readonly media: MediaState;
  readonly title: string;
  readonly name: string;
  readonly muted: boolean;
  /** Whether our microphone is gone, and no other was there to take its place. */
  readonly unheard: boolean;
  /** Whether our hand is up, or is to be as soon as the focus has heard of it. */
  readonly hand: boolean;
  readonly participants: readonly Participant[];
  readonly audio: MediaStream | null;
  readonly failure: Failure | null;
  /** The last thing worth saying aloud; `serial` tells two equal ones apart. */
  readonly notice: { readonly serial: number; readonly text: string };
}

/** What the user interface needs; it asks for nothing else. */
export interface MeetingModel extends EventTarget {
  readonly view: View;
  join(name: string, microphone: string, password?: string): Promise<void>;
  leave(): void;
  setMuted(muted: boolean): void;
  raiseHand(up: boolean): void;
  useMicrophone(id: string): Promise<void>;
  reset(): void;
}

export const INITIAL_VIEW: View = {
  phase: 'idle',
  progress: 'microphone',
  signalling: 'offline',
  media: 'idle',
  title: '',
  name: '',
  muted: false,
  unheard: false,
  hand: false,
  participants: [],
  audio: null,
  failure: null,
  notice: { serial: 0, text: '' },
};

export interface MeetingOptions {
  /** The origin whose /config.json describes the service. */
  readonly service: string;
  /** The room as people write it, and as node of its JIDs. */
  readonly room: string;
  readonly node: string;
  readonly openStream?: OpenStream;
}

/** Time between two tries to come back, in milliseconds; the last is repeated. */
const BACKOFF = [500, 1000, 2000, 4000];
/** After so many visits in a row without media there is no point in another. */
const MEDIA_TRIES = 3;
const POLL = 100;

export class Meeting extends EventTarget implements MeetingModel, VisitObserver {
  view: View = INITIAL_VIEW;
  private readonly options: MeetingOptions;
  private microphone: MediaStream | undefined;
  private config: Config | undefined;
  /** The visit we are in or entering, and the one whose media we still hear. They differ while reconnecting. */
  private visit: Visit | undefined;
  private audible: Visit | undefined;
  private users: readonly User[] | undefined;
  /** The visit that `users` came by, and every full JID that was ours since we joined. */
  private source: Visit | undefined;
  private readonly ownJids = new Set<string>();
  private speakers = new Speakers();
  private voice = new Voice();
  private speaking: ReadonlySet<number> = new Set();
  private ownVoice = false;
  private poll: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private mutedByFocus = false;
  /** Muted by the keys of a telephone, before we have gone on here. */
  private silenced = false;
  /** Whether our hand is up, as the focus tells; what we want of it is in the view. */
  private hand = false;
  private askingForHand = false;
  private password = '';
  /** Counts joins and leaves, so that what was begun before the last of them is not carried on. */
  private round = 0;

  constructor(options: MeetingOptions) {
    super();
    this.options = options;
  }

  /**
   * Enters the room as `name` with the microphone of that id ('' for the default), and with the room's password where
   * it has one. The view tells how it goes. Who was muted in the last meeting is in this one, and told so.
   */
  async join(name: string, microphone: string, password = ''): Promise<void> {
    if (this.view.phase === 'connecting' || this.view.phase === 'joined') return;
    const round = ++this.round;
    this.users = this.source = undefined;
    this.ownJids.clear();
    this.password = password;
    const { notice, muted } = this.view;
    this.update({ ...INITIAL_VIEW, notice, muted, phase: 'connecting', name, title: this.options.room });
    try {
      const opened = await openMicrophone(microphone);
      if (round !== this.round) {
        stop(opened);
        return;
      }
      this.listenTo(opened);
      this.update({ progress: 'server', signalling: 'connecting' });
      await this.enter(round);
      if (round !== this.round) return;
      this.update({ phase: 'joined' });
      this.refresh();
      this.poll = setInterval(() => void this.listen(), POLL);
      const given = resource(this.visit?.occupantJid ?? '');
      const joined = given && given !== name ? strings.nicknameChanged(given) : strings.youJoined(this.options.room);
      this.say(this.view.muted ? `${joined}. ${strings.stillMuted}` : joined);
    } catch (error) {
      if (round === this.round) this.fail(error instanceof Failure ? error : new Failure('focus', String(error)));
    }
  }

  /** Leaves at once and says so to everybody; fit to be called while the page goes away. */
  leave(): void {
    if (this.view.phase !== 'connecting' && this.view.phase !== 'joined') return;
    const phase = this.view.phase === 'joined' ? 'left' : 'idle';
    this.end();
    this.update({ phase, signalling: 'offline', media: 'idle', participants: [], audio: null });
  }

  /** Back to the start after a failure or a leave. */
  reset(): void {
    if (this.view.phase === 'failed' || this.view.phase === 'left') this.update({ phase: 'idle', failure: null });
  }

  setMuted(muted: boolean): void {
    const call = this.visit?.call;
    if (this.view.muted !== muted) call?.mute(muted);
    else if (this.silenced) call?.insist();
    else return;
    this.silenced = false;
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !muted;
    this.update({ muted });
    this.refresh();
    this.say(muted ? strings.youMuted : strings.youUnmuted);
  }

  /** What the list shows of it comes from the focus, as of all others. */
  raiseHand(up: boolean): void {
    this.update({ hand: up });
    if (!this.askingForHand) void this.askForHand();
  }

  /** One request after another, until what was asked for last is what is wanted. */
  private async askForHand(): Promise<void> {
    const { visit } = this;
    if (!visit) return;
    this.askingForHand = true;
    try {
      let asked: boolean;
      do {
        asked = this.view.hand;
        await visit.raiseHand(asked);
      } while (asked !== this.view.hand && visit === this.visit);
    } catch (error) {
      // The next visit asks again.
      if (error instanceof StreamLost || visit !== this.visit) return;
      console.warn('focus: the hand was not taken', error);
      this.update({ hand: this.hand });
      this.say(strings.handRefused);
    } finally {
      this.askingForHand = false;
    }
  }

  /** Speaks through another microphone from now on. Rejects with Failure and keeps the old one. */
  async useMicrophone(id: string): Promise<void> {
    const opened = await openMicrophone(id);
    if (!this.microphone) {
      stop(opened);
      return;
    }
    const old = this.microphone;
    this.listenTo(opened);
    this.update({ unheard: false });
    for (const visit of new Set([this.visit, this.audible])) await visit?.call.replaceMicrophone(opened);
    stop(old);
  }

  private listenTo(microphone: MediaStream): void {
    this.microphone = microphone;
    for (const track of microphone.getAudioTracks()) {
      track.enabled = !this.view.muted;
      track.addEventListener('ended', () => void this.replaceLost(microphone));
    }
  }

  /** By another one, at once or as soon as there is one. */
  private async replaceLost(microphone: MediaStream): Promise<void> {
    if (this.microphone !== microphone) return;
    try {
      await this.useMicrophone('');
      this.say(strings.microphoneGone);
    } catch (error) {
      if (this.microphone !== microphone) return;
      if (!this.view.unheard) this.say(strings.failures[error instanceof Failure ? error.code : 'microphone-missing'].title);
      this.update({ unheard: true });
      void onceMicrophonesChange(() => void this.replaceLost(microphone));
    }
  }

  // ---- visits ----

  /** Makes a visit. When it succeeds, it takes over from the one before it. */
  private async enter(round: number): Promise<void> {
    const { service, node: room, openStream } = this.options;
    if (!this.microphone) return;
    try {
      this.config ??= await fetchConfig(service);
    } catch {
      throw new Failure('server');
    }
    if (round !== this.round) return;
    const visit = new Visit(
      {
        config: this.config,
        room,
        name: this.view.name,
        password: this.password,
        microphone: this.microphone,
        muted: this.view.muted,
        openStream: openStream ?? ((url, domain, signal) => WebsocketStream.open(url, domain, signal)),
      },
      this,
    );
    this.visit = visit;
    await visit.enter();
    if (this.audible !== visit) this.audible?.silence();
    this.audible = visit;
    this.speakers = new Speakers();
    // Muted, or given another microphone, while we were entering.
    visit.call.mute(this.view.muted);
    await visit.call.replaceMicrophone(this.microphone);
    this.update({ signalling: 'online', media: visit.call.media, audio: visit.call.audio });
    this.refresh();
  }

  /** Tries to come back, with growing patience, for as long as what stands in the way may pass. */
  private comeBack(attempt: number, lastFailure: Failure, mediaFailures: number): void {
    const round = this.round;
    this.update({ signalling: 'waiting' });
    const base = BACKOFF[Math.min(attempt, BACKOFF.length - 1)] ?? 0;
    const go = (): void => {
      clearTimeout(this.retry);
      window.removeEventListener('online', go);
      if (round !== this.round) return;
      this.update({ signalling: 'connecting' });
      this.enter(round).then(
        () => {
          if (round === this.round) this.say(strings.backOnline);
        },
        (error: unknown) => {
          if (round !== this.round) return;
          const failure = error instanceof Failure ? error : lastFailure;
          const failures = failure.code === 'media' ? mediaFailures + 1 : mediaFailures;
          if (failure.passing && failures < MEDIA_TRIES) this.comeBack(attempt + 1, failure, failures);
          else this.fail(failure);
        },
      );
    };
    this.retry = setTimeout(go, base * (0.75 + Math.random() / 2));
    window.addEventListener('online', go);
  }

  private fail(failure: Failure): void {
    this.end();
    this.update({ phase: 'failed', failure, signalling: 'offline', media: 'idle', participants: [], audio: null });
    this.say(strings.failures[failure.code].title);
  }

  private end(): void {
    this.stayMuted();
    this.round++;
    clearTimeout(this.retry);
    clearInterval(this.poll);
    this.visit?.leave();
    if (this.audible !== this.visit) this.audible?.silence();
    this.visit = this.audible = undefined;
    if (this.microphone) stop(this.microphone);
    this.microphone = undefined;
    this.mutedByFocus = this.hand = this.askingForHand = false;
    this.speaking = new Set();
    this.ownVoice = false;
  }

  /** Who does not want to be heard is not heard either when they come again: by keys they have said so to one call only. */
  private stayMuted(): void {
    if (!this.silenced) return;
    this.silenced = false;
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = false;
    this.update({ muted: true });
  }

  visitStep(visit: Visit, progress: Step): void {
    if (visit === this.visit) this.update({ progress });
  }

  visitTitle(visit: Visit, title: string): void {
    if (visit === this.visit) this.update({ title: title || this.options.room });
  }

  visitMedia(visit: Visit, media: MediaState): void {
    if (visit === (this.audible ?? this.visit)) this.update({ media });
  }

  visitEnded(visit: Visit, failure: Failure): void {
    if (visit !== this.visit) return;
    if (!failure.passing) {
      // It goes on for the others, where there are any.
      const isOver = failure.code === 'hung-up' && this.view.participants.length <= 1;
      this.fail(isOver ? new Failure('ended', failure.detail) : failure);
      return;
    }
    if (failure.code === 'media') visit.leave();
    this.stayMuted();
    this.comeBack(0, failure, 0);
  }

  // ---- who is here ----

  visitUsers(visit: Visit, users: readonly User[]): void {
    if (visit !== this.visit) return;
    const before = this.users;
    const isBack = this.source !== undefined && this.source !== visit;
    this.users = users;
    this.source = visit;
    this.ownJids.add(visit.jid);
    const own = users.find((user) => this.isSelf(user));
    const mutedByFocus = own !== undefined && isMutedByFocus(own);
    if (mutedByFocus !== this.mutedByFocus) {
      this.mutedByFocus = mutedByFocus;
      this.say(mutedByFocus ? strings.youMutedByFocus : strings.youUnmutedByFocus);
    }
    this.hearOfSilence(own !== undefined && onlyHears(own) && !mutedByFocus && !this.view.muted);
    this.hearOfHand(own !== undefined && hasHandUp(own), isBack);
    this.refresh();
    if (before && this.view.phase === 'joined') this.announce(before, users);
  }

  /** Takes note of whether keys have muted us. While our own word on it is on its way, the focus may tell what was before. */
  private hearOfSilence(silenced: boolean): void {
    if (silenced === this.silenced || this.visit?.call.saying) return;
    this.silenced = silenced;
    if (!this.mutedByFocus && !this.view.muted) this.say(silenced ? strings.youMuted : strings.youUnmuted);
  }

  private hearOfHand(hand: boolean, isBack: boolean): void {
    if (isBack && hand !== this.view.hand) {
      this.hand = hand;
      this.raiseHand(this.view.hand);
      return;
    }
    if (hand === this.hand) return;
    this.hand = hand;
    const wanted = this.view.hand;
    if (this.askingForHand) {
      if (hand !== wanted) return;
    } else if (hand !== wanted) {
      this.update({ hand });
    }
    this.say(hand ? strings.youRaised : wanted ? strings.handLoweredByModerator : strings.youLowered);
  }

  private announce(before: readonly User[], after: readonly User[]): void {
    const changed = (some: readonly User[], others: readonly User[]) => {
      const known = new Set(others.filter(isTalking).map(({ entity }) => entity));
      return some.filter((user) => isTalking(user) && !this.isSelf(user) && !known.has(user.entity)).map((user) => this.displayName(user));
    };
    const joined = changed(after, before);
    const left = changed(before, after);
    if (joined.length > 0) this.say(strings.hasJoined(joined));
    if (left.length > 0) this.say(strings.hasLeft(left));
    const raised = changed(after.filter(hasHandUp), before.filter(hasHandUp));
    if (raised.length > 0) this.say(strings.hasRaised(raised));
  }

  /** Our own entry has our full JID as an endpoint, or our occupant JID as its user. */
  private isSelf(user: User): boolean {
    const own = [this.source?.occupantJid ?? '', ...this.ownJids];
    const entities = [user.entity, ...user.endpoints.map(({ entity }) => entity)];
    return entities.some((entity) => own.some((jid) => names(entity, jid)));
  }

  /** The name to show: what the focus gives, else the nickname of an occupant JID, else the node of another JID. */
  private displayName(user: User): string {
    const given = user.displayText || user.endpoints.map((each) => each.displayText).find(Boolean);
    if (given) return given;
    const jid = fromUri(user.entity);
    return (bare(jid) === this.source?.roomJid ? resource(jid) : node(jid)) || strings.nobody;
  }

  private refresh(): void {
    if (this.view.phase !== 'joined') return;
    const others: Participant[] = [];
    let own: User | undefined;
    const hands = (this.users ?? []).filter(hasHandUp).sort((a, b) => raisedAt(a) - raisedAt(b));
    const place = (user: User): number => hands.indexOf(user) + 1;
    for (const user of this.users ?? []) {
      if (this.isSelf(user)) own = user;
      else if (isThere(user)) others.push(this.participant(user, place(user)));
    }
    others.sort((a, b) => (a.hand || Infinity) - (b.hand || Infinity) || 0);
    const muted = this.view.muted || this.mutedByFocus || this.silenced;
    const self: Participant = {
      key: 'self',
      name: own ? this.displayName(own) : this.view.name,
      self: true,
      conference: false,
      muted,
      mutedByFocus: this.mutedByFocus,
      speaking: this.ownVoice && !muted,
      hand: own ? place(own) : 0,
      status: 'connected',
    };
    this.update({ participants: [self, ...others] });
  }

  private participant(user: User, hand: number): Participant {
    const mutedByFocus = isMutedByFocus(user);
    return {
      key: user.entity,
      name: this.displayName(user),
      self: false,
      conference: user.cascadedFocus !== '',
      muted: mutedByFocus || onlyHears(user),
      mutedByFocus,
      speaking: audioOf(user).some(({ source }) => source !== undefined && this.speaking.has(source)),
      hand,
      status: statusOf(user),
    };
  }

  /** Polls who is in the mix, and our own microphone. */
  private async listen(): Promise<void> {
    const call = this.audible?.call;
    if (!call) return;
    const now = performance.now();
    const speaking = this.speakers.poll(now, call.contributingSources());
    const ownVoice = this.voice.poll(now, this.view.muted ? 0 : await call.level());
    if (ownVoice === this.ownVoice && speaking.size === this.speaking.size && [...speaking].every((each) => this.speaking.has(each))) return;
    this.speaking = speaking;
    this.ownVoice = ownVoice;
    this.refresh();
  }

  private say(words: string): void {
    this.update({ notice: { serial: this.view.notice.serial + 1, text: words } });
  }

  private update(change: Partial<View>): void {
    this.view = { ...this.view, ...change };
    this.dispatchEvent(new Event('change'));
  }
}

function stop(microphone: MediaStream): void {
  for (const track of microphone.getTracks()) track.stop();
}
