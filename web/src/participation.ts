/** How somebody takes part, as the conference document tells of their endpoints (RFC 4575 section 5.7). */
import type { Media, User } from './coin';

const CALLED = new Set(['pending', 'dialing-out', 'dialing-in', 'alerting']);

export function isThere(user: User): boolean {
  return user.endpoints.length === 0 || user.endpoints.some(({ status }) => status !== 'disconnected' && status !== 'disconnecting');
}

export function audioOf(user: User): Media[] {
  return user.endpoints.flatMap(({ media }) => media).filter(({ type, id }) => (type || id) === 'audio');
}

/** Seen from the participant: one who only receives is muted. */
export function onlyHears(user: User): boolean {
  const audio = audioOf(user);
  return audio.length > 0 && audio.every(({ status }) => status === 'recvonly' || status === 'inactive');
}

export function isMutedByFocus(user: User): boolean {
  return user.endpoints.some(({ status }) => status === 'muted-via-focus');
}

export function statusOf(user: User): 'connected' | 'ringing' | 'on-hold' {
  const all = user.endpoints.map(({ status }) => status);
  return all.some((each) => CALLED.has(each)) ? 'ringing' : all.includes('on-hold') ? 'on-hold' : 'connected';
}

export function isTalking(user: User): boolean {
  return isThere(user) && statusOf(user) !== 'ringing';
}

export function hasHandUp(user: User): boolean {
  return user.endpoints.some(({ hand }) => hand);
}

export function raisedAt(user: User): number {
  return Math.min(...user.endpoints.filter(({ hand }) => hand).map(({ hand }) => Date.parse(hand)));
}
