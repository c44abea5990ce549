/** SDP to and from a Description. Only what Jingle can say is kept; the rest is a browser's private matter. */
import type { Candidate, Content, Description, Feedback, Fingerprint, HeaderExtension, Parameter, Payload, Role, Senders, Source } from './description';

export class SdpError extends Error {}

const DIRECTIONS = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];

function other(role: Role): Role {
  return role === 'initiator' ? 'responder' : 'initiator';
}

/** Who sends, when `writer` of the SDP wrote this direction. */
function sendersOf(direction: string, writer: Role): Senders {
  if (direction === 'sendonly') return writer;
  if (direction === 'recvonly') return other(writer);
  return direction === 'inactive' ? 'none' : 'both';
}

function directionOf(senders: Senders, writer: Role): string {
  if (senders === 'both') return 'sendrecv';
  if (senders === 'none') return 'inactive';
  return senders === writer ? 'sendonly' : 'recvonly';
}

/** The line as `[before, after]` the first separator. */
function cut(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator);
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + separator.length)];
}

class Section {
  private readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    this.lines = lines;
  }

  /** The values of `a=name:value`; an attribute without value gives ''. */
  all(name: string): string[] {
    const found: string[] = [];
    for (const line of this.lines) {
      if (line === `a=${name}`) found.push('');
      else if (line.startsWith(`a=${name}:`)) found.push(line.slice(name.length + 3));
    }
    return found;
  }

  first(name: string): string | undefined {
    return this.all(name)[0];
  }
}

/** `minptime=10;useinbandfec=1`; a format that has no names (`111/111` of RED, `0-15` of DTMF) gives one unnamed parameter. */
function parseFormat(format: string): Parameter[] {
  return format
    .split(';')
    .map((item) => item.trim())
    .filter(Boolean)
    .map((item) => {
      if (!item.includes('=')) return { name: '', value: item };
      const [name, value] = cut(item, '=');
      return { name: name.trim(), value: value.trim() };
    });
}

function writeFormat(parameters: readonly Parameter[]): string {
  return parameters.map(({ name, value }) => (name ? `${name}=${value}` : value)).join(';');
}

function parseFeedback(section: Section, target: string): Feedback[] {
  return section
    .all('rtcp-fb')
    .filter((line) => line.startsWith(`${target} `))
    .map((line) => {
      const [type, subtype] = cut(line.slice(target.length + 1).trim(), ' ');
      return subtype ? { type, subtype } : { type };
    });
}

function parsePayload(section: Section, id: string): Payload | undefined {
  const map = section.all('rtpmap').find((line) => line.startsWith(`${id} `));
  const known = STATIC_PAYLOADS[id];
  const description = map ? map.slice(id.length + 1) : known;
  if (!description) return undefined;
  const [name = '', clockrate = '', channels = '1'] = description.split('/');
  const format = section.all('fmtp').find((line) => line.startsWith(`${id} `));
  return {
    id: Number(id),
    name,
    clockrate: Number(clockrate),
    channels: Number(channels),
    parameters: format ? parseFormat(format.slice(id.length + 1)) : [],
    feedback: parseFeedback(section, id),
  };
}

/** Payload types that need no rtpmap (RFC 3551). */
const STATIC_PAYLOADS: Record<string, string> = { 0: 'PCMU/8000', 8: 'PCMA/8000', 9: 'G722/8000', 13: 'CN/8000' };

function parseExtension(line: string, writer: Role): HeaderExtension {
  const [head, uri = ''] = line.split(' ');
  const [id, direction] = cut(head ?? '', '/');
  return { id: Number(id), uri, senders: direction ? sendersOf(direction, writer) : 'both' };
}

function parseSources(section: Section): Source[] {
  const sources = new Map<number, Parameter[]>();
  for (const line of section.all('ssrc')) {
    const [ssrc, attribute] = cut(line, ' ');
    const [name, value] = cut(attribute, ':');
    const parameters = sources.get(Number(ssrc)) ?? [];
    if (name) parameters.push({ name, value });
    sources.set(Number(ssrc), parameters);
  }
  return Array.from(sources, ([ssrc, parameters]) => ({ ssrc, parameters }));
}

/** A candidate of SDP or of RTCIceCandidate, `candidate:...` with or without `a=`; undefined if it is not one. */
export function parseCandidate(line: string): Candidate | undefined {
  const words = line.replace(/^(a=)?candidate:/, '').trim().split(/\s+/);
  const [foundation, component, protocol, priority, ip, port, typ, type, ...rest] = words;
  if (!foundation || !protocol || !ip || typ !== 'typ' || !type) return undefined;
  const extra = new Map<string, string>();
  for (let index = 0; index + 1 < rest.length; index += 2) extra.set(rest[index] ?? '', rest[index + 1] ?? '');
  const related = extra.get('raddr');
  const network = extra.get('network-id');
  return {
    component: Number(component),
    foundation,
    generation: Number(extra.get('generation') ?? 0),
    ip,
    port: Number(port),
    priority: Number(priority),
    protocol: protocol.toLowerCase(),
    type,
    ...(network !== undefined && { network: Number(network) }),
    ...(related !== undefined && { relatedAddress: related, relatedPort: Number(extra.get('rport') ?? 0) }),
  };
}

/** As RTCPeerConnection.addIceCandidate wants it: `candidate:...`. */
export function writeCandidate(candidate: Candidate): string {
  const words: (string | number)[] = [
    `candidate:${candidate.foundation}`,
    candidate.component,
    candidate.protocol,
    candidate.priority,
    candidate.ip,
    candidate.port,
    'typ',
    candidate.type,
  ];
  if (candidate.relatedAddress !== undefined) words.push('raddr', candidate.relatedAddress, 'rport', candidate.relatedPort ?? 0);
  words.push('generation', candidate.generation);
  if (candidate.network !== undefined) words.push('network-id', candidate.network);
  return words.join(' ');
}

/** Reads an SDP that `writer` made. Throws SdpError when it lacks what a call cannot do without. */
export function parseSdp(sdp: string, writer: Role): Description {
  const blocks: string[][] = [[]];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith('m=')) blocks.push([]);
    if (line) blocks[blocks.length - 1]?.push(line);
  }
  const [head = [], ...media] = blocks;
  const session = new Section(head);
  return {
    groups: session.all('group').map((line) => {
      const [semantics = '', ...contents] = line.split(' ');
      return { semantics, contents };
    }),
    contents: media.map((lines) => parseContent(lines, session, writer)),
  };
}

function parseContent(lines: readonly string[], session: Section, writer: Role): Content {
  const section = new Section(lines);
  const [media = '', , , ...ids] = (lines[0] ?? '').slice(2).split(' ');
  const inherited = (name: string): string | undefined => section.first(name) ?? session.first(name);
  const name = section.first('mid');
  const ufrag = inherited('ice-ufrag');
  const pwd = inherited('ice-pwd');
  if (name === undefined || !ufrag || !pwd) throw new SdpError(`the ${media} section has no mid or no ICE credentials`);
  const direction = DIRECTIONS.find((each) => section.first(each) !== undefined) ?? DIRECTIONS.find((each) => session.first(each) !== undefined);
  const setup = inherited('setup') ?? 'actpass';
  const fingerprints = section.all('fingerprint').length > 0 ? section.all('fingerprint') : session.all('fingerprint');
  return {
    name,
    creator: 'initiator',
    senders: sendersOf(direction ?? 'sendrecv', writer),
    media,
    rtcpMux: section.first('rtcp-mux') !== undefined,
    payloads: ids.map((id) => parsePayload(section, id)).filter((payload) => payload !== undefined),
    feedback: parseFeedback(section, '*'),
    extensions: section.all('extmap').map((line) => parseExtension(line, writer)),
    extmapAllowMixed: inherited('extmap-allow-mixed') !== undefined,
    sources: parseSources(section),
    transport: {
      ufrag,
      pwd,
      fingerprints: fingerprints.map((line): Fingerprint => {
        const [hash, value] = cut(line, ' ');
        return { hash, setup, value };
      }),
      candidates: section.all('candidate').map(parseCandidate).filter((candidate) => candidate !== undefined),
    },
  };
}

/** Writes the SDP that `writer` would have made of the description. */
export function writeSdp(description: Description, writer: Role): string {
  const lines = ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0'];
  for (const { semantics, contents } of description.groups) lines.push(`a=group:${[semantics, ...contents].join(' ')}`);
  lines.push('a=msid-semantic: WMS *');
  for (const content of description.contents) lines.push(...writeContent(content, writer));
  return `${lines.join('\r\n')}\r\n`;
}

function writeContent(content: Content, writer: Role): string[] {
  const { payloads, transport } = content;
  const lines = [
    `m=${content.media} 9 UDP/TLS/RTP/SAVPF ${payloads.map(({ id }) => id).join(' ')}`,
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    ...transport.candidates.map((candidate) => `a=${writeCandidate(candidate)}`),
    `a=ice-ufrag:${transport.ufrag}`,
    `a=ice-pwd:${transport.pwd}`,
    'a=ice-options:trickle',
    ...transport.fingerprints.map(({ hash, value }) => `a=fingerprint:${hash} ${value}`),
  ];
  const setup = transport.fingerprints[0]?.setup;
  if (setup) lines.push(`a=setup:${setup}`);
  lines.push(`a=mid:${content.name}`);
  if (content.extmapAllowMixed) lines.push('a=extmap-allow-mixed');
  for (const { id, uri, senders } of content.extensions) {
    lines.push(`a=extmap:${id}${senders === 'both' ? '' : `/${directionOf(senders, writer)}`} ${uri}`);
  }
  lines.push(`a=${directionOf(content.senders, writer)}`);
  if (content.rtcpMux) lines.push('a=rtcp-mux');
  const feedback = (target: string | number, all: readonly Feedback[]) =>
    all.map(({ type, subtype }) => `a=rtcp-fb:${target} ${subtype ? `${type} ${subtype}` : type}`);
  for (const payload of payloads) {
    const channels = payload.channels > 1 ? `/${payload.channels}` : '';
    lines.push(`a=rtpmap:${payload.id} ${payload.name}/${payload.clockrate}${channels}`, ...feedback(payload.id, payload.feedback));
    if (payload.parameters.length > 0) lines.push(`a=fmtp:${payload.id} ${writeFormat(payload.parameters)}`);
  }
  lines.push(...feedback('*', content.feedback));
  for (const { ssrc, parameters } of content.sources) {
    for (const { name, value } of parameters) lines.push(`a=ssrc:${ssrc} ${value ? `${name}:${value}` : name}`);
  }
  return lines;
}
