/** Jingle Message Initiation (XEP-0353): the messages that come before and after a Jingle session. */
import { type Reason, parseReason, reasonElement } from './jingle';
import { NS } from './namespaces';
import { element, payload } from './xml';

export type InvitationName = 'propose' | 'ringing' | 'proceed' | 'reject' | 'retract' | 'finish';
const NAMES: readonly string[] = ['propose', 'ringing', 'proceed', 'reject', 'retract', 'finish'];

export interface Invitation {
  readonly name: InvitationName;
  readonly id: string;
  readonly reason: Reason;
}

/** A message of type chat with the `<store/>` hint, which the specification wants on all of them. */
function message(to: string, content: Element, id?: string): Element {
  return element(NS.CLIENT, 'message', { to, type: 'chat', id }, content, element(NS.HINTS, 'store'));
}

/** The id of the message that proposes session `id`. An error in answer to it need not repeat more than that. */
export function proposalId(id: string): string {
  return `jm-propose-${id}`;
}

/** Proposes an audio call. */
export function propose(to: string, id: string): Element {
  const proposal = element(NS.JINGLE_MESSAGE, 'propose', { id }, element(NS.RTP, 'description', { media: 'audio' }));
  return message(to, proposal, proposalId(id));
}

export function retract(to: string, id: string): Element {
  return withReason(to, 'retract', id, { condition: 'cancel', text: '' });
}

export function reject(to: string, id: string): Element {
  return withReason(to, 'reject', id, { condition: 'busy', text: '' });
}

export function finish(to: string, id: string, reason: Reason): Element {
  return withReason(to, 'finish', id, reason);
}

function withReason(to: string, name: InvitationName, id: string, reason: Reason): Element {
  return message(to, element(NS.JINGLE_MESSAGE, name, { id }, reasonElement(reason)));
}

/** The invitation within a message, or undefined. */
export function parseInvitation(stanza: Element): Invitation | undefined {
  const content = payload(stanza, NS.JINGLE_MESSAGE);
  const id = content?.getAttribute('id');
  if (!content || !id || !NAMES.includes(content.localName)) return undefined;
  return { name: content.localName as InvitationName, id, reason: parseReason(content) };
}
