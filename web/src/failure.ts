/** Why a meeting could not be joined, or ended. The words for it are in strings.ts. */
import type { Reason } from './jingle';
import type { Departure } from './muc';
import { StanzaError } from './stanza';

export type FailureCode =
  | 'insecure'
  | 'unsupported'
  | 'microphone-refused'
  | 'microphone-withheld'
  | 'microphone-missing'
  | 'microphone-busy'
  | 'server'
  | 'focus'
  | 'no-answer'
  | 'declined'
  | 'full'
  | 'banned'
  | 'members-only'
  | 'password'
  | 'nickname'
  | 'room'
  | 'kicked'
  | 'removed'
  | 'destroyed'
  | 'ended'
  | 'hung-up'
  | 'media'
  | 'incompatible';

/** Failures that may be gone a little later, so that a meeting once joined tries again by itself. */
const PASSING = new Set<FailureCode>(['server', 'focus', 'no-answer', 'room', 'media']);

export class Failure extends Error {
  readonly code: FailureCode;
  /** What the other side said about it, to be shown beside our own words. */
  readonly detail: string;

  constructor(code: FailureCode, detail = '') {
    super(detail ? `${code}: ${detail}` : code);
    this.code = code;
    this.detail = detail;
  }

  get passing(): boolean {
    return PASSING.has(this.code);
  }
}

/** An error from the conference service, in answer to propose or session-initiate. */
export function focusFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (!(error instanceof StanzaError)) return new Failure('server');
  switch (error.condition) {
    case 'forbidden':
    case 'not-allowed':
    case 'not-authorized':
      return new Failure('declined', error.text);
    case 'resource-constraint':
    case 'policy-violation':
      return new Failure('full', error.text);
    case 'remote-server-timeout':
      return new Failure('no-answer', error.text);
    default:
      return new Failure('focus', error.text);
  }
}

/** An error from the room, in answer to joining it (XEP-0045 section 7.2). */
export function roomFailure(error: unknown): Failure {
  if (!(error instanceof StanzaError)) return new Failure('room');
  switch (error.condition) {
    case 'conflict':
      return new Failure('nickname');
    case 'service-unavailable':
    case 'resource-constraint':
      return new Failure('full', error.text);
    case 'forbidden':
      return new Failure('banned', error.text);
    case 'registration-required':
      return new Failure('members-only', error.text);
    case 'not-authorized':
      return new Failure('password', error.text);
    case 'jid-malformed':
    case 'not-acceptable':
      return new Failure('nickname', error.text);
    default:
      return new Failure('room', error.text || error.condition);
  }
}

/** A reason given with reject, session-terminate or finish (XEP-0166 section 7.4). */
export function reasonFailure({ condition, text }: Reason): Failure {
  switch (condition) {
    case 'success':
      return new Failure('hung-up', text);
    case 'gone':
    case 'expired':
      return new Failure('ended', text);
    case 'busy':
      return new Failure('full', text);
    case 'decline':
    case 'cancel':
      return new Failure('declined', text);
    case 'timeout':
      return new Failure('no-answer', text);
    case 'connectivity-error':
    case 'failed-transport':
      return new Failure('media', text);
    case 'security-error':
    case 'incompatible-parameters':
    case 'media-error':
    case 'unsupported-applications':
    case 'unsupported-transports':
    case 'failed-application':
      return new Failure('incompatible', text);
    default:
      return new Failure('declined', text);
  }
}

/** How being put out of the room ends a meeting; undefined: it does not, the room is only out of reach for now. */
export function departureFailure(why: Departure, reason: string): Failure | undefined {
  switch (why) {
    case 'kicked':
      return new Failure('kicked', reason);
    case 'banned':
      return new Failure('banned', reason);
    case 'removed':
      return new Failure('removed', reason);
    case 'destroyed':
      return new Failure('destroyed', reason);
    case 'left':
    case 'shutdown':
      return undefined;
  }
}
