/** Jingle elements to and from descriptions: XEP-0166, 0167, 0176, 0293, 0294, 0320, 0338 and 0339. */
import type { Candidate, Content, Description, Feedback, Fingerprint, Group, HeaderExtension, Parameter, Payload, Role, Senders, Source, Transport } from './description';
import { NS } from './namespaces';
import { child, children, element, integer, payload, text } from './xml';

/** The actions that we send; the page always is the initiator. */
export type Action = 'session-initiate' | 'session-info' | 'session-terminate' | 'transport-info';

export interface Reason {
  /** The name of the condition element (XEP-0166 section 7.4): success, busy, decline... */
  readonly condition: string;
  readonly text: string;
}

export class JingleError extends Error {}

// ---- writing ----

export function jingle(action: Action, sid: string, initiator: string, ...content: (Element | undefined)[]): Element {
  return element(NS.JINGLE, 'jingle', { action, sid, initiator }, ...content);
}

export function reasonElement({ condition, text: words }: Reason): Element {
  return element(NS.JINGLE, 'reason', {}, element(NS.JINGLE, condition), words ? element(NS.JINGLE, 'text', {}, words) : null);
}

/** `<mute/>` and `<unmute/>` of XEP-0167 section 8.3. */
export function muteElement(muted: boolean, content: Pick<Content, 'creator' | 'name'>): Element {
  return element(NS.RTP_INFO, muted ? 'mute' : 'unmute', { creator: content.creator, name: content.name });
}

/** The groups and contents of a session-initiate or session-accept, in document order. */
export function descriptionElements(description: Description): Element[] {
  return [
    ...description.groups.map(({ semantics, contents }) =>
      element(NS.GROUPING, 'group', { semantics }, ...contents.map((name) => element(NS.GROUPING, 'content', { name }))),
    ),
    ...description.contents.map(contentElement),
  ];
}

function contentElement(content: Content): Element {
  const { creator, name, senders } = content;
  return element(NS.JINGLE, 'content', { creator, name, senders }, rtpElement(content), transportElement(content.transport));
}

function feedbackElement({ type, subtype }: Feedback): Element {
  return element(NS.RTCP_FEEDBACK, 'rtcp-fb', { type, subtype });
}

function rtpElement(content: Content): Element {
  return element(
    NS.RTP,
    'description',
    { media: content.media, ssrc: content.sources[0]?.ssrc },
    ...content.payloads.map((each) =>
      element(
        NS.RTP,
        'payload-type',
        // channels are always written: some read a missing attribute as one channel where the codec demands two.
        { id: each.id, name: each.name, clockrate: each.clockrate, channels: each.channels },
        ...each.parameters.map(({ name, value }) => element(NS.RTP, 'parameter', { name, value })),
        ...each.feedback.map(feedbackElement),
      ),
    ),
    ...content.feedback.map(feedbackElement),
    ...content.extensions.map(({ id, uri, senders }) =>
      element(NS.HEADER_EXTENSIONS, 'rtp-hdrext', { id, uri, senders: senders === 'both' ? undefined : senders }),
    ),
    content.extmapAllowMixed ? element(NS.HEADER_EXTENSIONS, 'extmap-allow-mixed') : null,
    ...content.sources.map(({ ssrc, parameters }) =>
      element(NS.SOURCES, 'source', { ssrc }, ...parameters.map(({ name, value }) => element(NS.SOURCES, 'parameter', { name, value: value || undefined }))),
    ),
    content.rtcpMux ? element(NS.RTP, 'rtcp-mux') : null,
  );
}

function transportElement({ ufrag, pwd, fingerprints, candidates }: Transport): Element {
  return element(
    NS.ICE,
    'transport',
    { ufrag, pwd },
    ...fingerprints.map(({ hash, setup, value }) => element(NS.DTLS, 'fingerprint', { hash, setup }, value)),
    ...candidates.map(candidateElement),
  );
}

function candidateElement(candidate: Candidate): Element {
  return element(NS.ICE, 'candidate', {
    component: candidate.component,
    foundation: candidate.foundation,
    generation: candidate.generation,
    // Unique within the session, and an NCName: no two candidates share base, type and address.
    id: `c${candidate.foundation}-${candidate.generation}-${candidate.port}`.replace(/[^\w.-]/g, '_'),
    ip: candidate.ip,
    network: candidate.network ?? 0,
    port: candidate.port,
    priority: candidate.priority,
    protocol: candidate.protocol,
    type: candidate.type,
    'rel-addr': candidate.relatedAddress,
    'rel-port': candidate.relatedPort,
  });
}

/** The content of a transport-info for one candidate. It repeats both credentials: many peers demand them. */
export function trickleElement(content: Content, candidate: Candidate): Element {
  const { creator, name, transport } = content;
  return element(NS.JINGLE, 'content', { creator, name }, transportElement({ ...transport, fingerprints: [], candidates: [candidate] }));
}

// ---- reading ----

export function parseReason(jingleElement: Element): Reason {
  const reason = child(jingleElement, NS.JINGLE, 'reason');
  const condition = reason && Array.from(reason.children).find((each) => each.namespaceURI === NS.JINGLE && each.localName !== 'text');
  return { condition: condition?.localName ?? 'general-error', text: text(reason && child(reason, NS.JINGLE, 'text')) };
}

/** What session-accept says. Throws JingleError when a call could not be made of it. */
export function parseDescription(jingleElement: Element): Description {
  const contents = children(jingleElement, NS.JINGLE, 'content').map(parseContent);
  if (contents.length === 0) throw new JingleError('no content');
  return {
    groups: children(jingleElement, NS.GROUPING, 'group').map(
      (group): Group => ({
        semantics: token(group.getAttribute('semantics') ?? ''),
        contents: children(group, NS.GROUPING, 'content').map((each) => token(each.getAttribute('name') ?? '')),
      }),
    ),
    contents,
  };
}

function parseRole(value: string | null): Role {
  return value === 'responder' ? 'responder' : 'initiator';
}

function parseSenders(value: string | null): Senders {
  return value === 'initiator' || value === 'responder' || value === 'none' ? value : 'both';
}

function parseContent(content: Element): Content {
  const name = content.getAttribute('name');
  const rtp = child(content, NS.RTP, 'description');
  const transport = child(content, NS.ICE, 'transport');
  if (!name || !rtp || !transport) throw new JingleError('a content without name, RTP description or ICE transport');
  return {
    name: token(name),
    creator: parseRole(content.getAttribute('creator')),
    senders: parseSenders(content.getAttribute('senders')),
    media: token(rtp.getAttribute('media') ?? 'audio'),
    rtcpMux: child(rtp, NS.RTP, 'rtcp-mux') !== undefined,
    payloads: children(rtp, NS.RTP, 'payload-type').map(parsePayload),
    feedback: parseFeedback(rtp),
    extensions: children(rtp, NS.HEADER_EXTENSIONS, 'rtp-hdrext').map(parseExtension),
    extmapAllowMixed: child(rtp, NS.HEADER_EXTENSIONS, 'extmap-allow-mixed') !== undefined,
    sources: children(rtp, NS.SOURCES, 'source').map(parseSource),
    transport: parseTransport(transport),
  };
}

/** A value that becomes one word of a line of SDP; nothing that a peer sends may start a line of its own. */
function token(value: string): string {
  if (!value || /[\s\p{Cc}]/u.test(value)) throw new JingleError('white space or control characters in a value');
  return value;
}

function words(value: string): string {
  if (/\p{Cc}/u.test(value)) throw new JingleError('control characters in a value');
  return value;
}

function number(value: string | null, fallback?: number): number {
  const parsed = integer(value) ?? fallback;
  if (parsed === undefined) throw new JingleError('a number is missing');
  return parsed;
}

function parseParameters(parent: Element, xmlns: string): Parameter[] {
  return children(parent, xmlns, 'parameter').map((each) => ({
    name: words(each.getAttribute('name') ?? ''),
    value: words(each.getAttribute('value') ?? ''),
  }));
}

function parseFeedback(parent: Element): Feedback[] {
  return children(parent, NS.RTCP_FEEDBACK, 'rtcp-fb').map((each) => {
    const subtype = each.getAttribute('subtype');
    const type = token(each.getAttribute('type') ?? '');
    return subtype ? { type, subtype: words(subtype) } : { type };
  });
}

function parsePayload(each: Element): Payload {
  return {
    id: number(each.getAttribute('id')),
    name: token(each.getAttribute('name') ?? ''),
    clockrate: number(each.getAttribute('clockrate'), 8000),
    channels: number(each.getAttribute('channels'), 1),
    parameters: parseParameters(each, NS.RTP),
    feedback: parseFeedback(each),
  };
}

function parseExtension(each: Element): HeaderExtension {
  return {
    id: number(each.getAttribute('id')),
    uri: token(each.getAttribute('uri') ?? ''),
    senders: parseSenders(each.getAttribute('senders')),
  };
}

function parseSource(each: Element): Source {
  return { ssrc: number(each.getAttribute('ssrc')), parameters: parseParameters(each, NS.SOURCES) };
}

/** A transport of session-accept or transport-info. */
export function parseTransport(transport: Element): Transport {
  return {
    ufrag: words(transport.getAttribute('ufrag') ?? ''),
    pwd: words(transport.getAttribute('pwd') ?? ''),
    fingerprints: children(transport, NS.DTLS, 'fingerprint').map(
      (each): Fingerprint => ({
        hash: token(each.getAttribute('hash') ?? ''),
        setup: token(each.getAttribute('setup') ?? 'actpass'),
        value: token(text(each)),
      }),
    ),
    candidates: children(transport, NS.ICE, 'candidate').map(parseCandidate),
  };
}

function parseCandidate(each: Element): Candidate {
  const related = each.getAttribute('rel-addr');
  const network = integer(each.getAttribute('network'), 255);
  return {
    component: number(each.getAttribute('component'), 1),
    foundation: token(each.getAttribute('foundation') ?? '1'),
    generation: number(each.getAttribute('generation'), 0),
    ip: token(each.getAttribute('ip') ?? ''),
    port: number(each.getAttribute('port')),
    priority: number(each.getAttribute('priority'), 1),
    protocol: token(each.getAttribute('protocol') ?? 'udp').toLowerCase(),
    type: token(each.getAttribute('type') ?? 'host'),
    ...(network !== undefined && { network }),
    ...(related && { relatedAddress: token(related), relatedPort: number(each.getAttribute('rel-port'), 0) }),
  };
}

/** The candidates of a transport-info, each with the content it is for. */
export function parseTrickle(jingleElement: Element): { name: string; transport: Transport }[] {
  return children(jingleElement, NS.JINGLE, 'content').flatMap((content) => {
    const transport = child(content, NS.ICE, 'transport');
    return transport ? [{ name: content.getAttribute('name') ?? '', transport: parseTransport(transport) }] : [];
  });
}

export type SessionInfo = 'ping' | 'ringing' | 'active' | 'hold' | 'unhold' | 'mute' | 'unmute' | 'focus' | 'unknown';

/** What a session-info tells; an empty one is a ping (XEP-0166 section 6.8). */
export function parseSessionInfo(jingleElement: Element): SessionInfo {
  if (jingleElement.children.length === 0) return 'ping';
  const coin = child(jingleElement, NS.COIN, 'conference-info');
  if (coin) return 'focus';
  const info = payload(jingleElement, NS.RTP_INFO)?.localName;
  switch (info) {
    case 'ringing':
    case 'active':
    case 'hold':
    case 'unhold':
    case 'mute':
    case 'unmute':
      return info;
    default:
      return 'unknown';
  }
}
