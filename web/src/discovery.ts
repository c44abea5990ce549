/** Service discovery (XEP-0030) and entity capabilities (XEP-0115): what the page says it can do. */
import { NS } from './namespaces';
import { element } from './xml';

/** Sorted, as the capability hash wants them. */
export const FEATURES: readonly string[] = [
  NS.CAPS,
  NS.DISCO_INFO,
  NS.MUC,
  NS.COIN,
  'urn:xmpp:coin', // COMPAT (Jitsi desktop, SylkServer): their name of the same feature
  NS.JINGLE,
  NS.JINGLE_MESSAGE,
  NS.GROUPING,
  'urn:ietf:rfc:5888', // XEP-0338 asks for this name of grouping
  'urn:ietf:rfc:5576', // and XEP-0339 for this one of sources
  NS.SOURCES,
  NS.DTLS,
  NS.ICE,
  NS.RTP,
  'urn:xmpp:jingle:apps:rtp:audio',
  NS.RTCP_FEEDBACK,
  NS.HEADER_EXTENSIONS,
  NS.PING,
].sort();

const IDENTITY = { category: 'client', type: 'web', name: 'focus' } as const;

export interface Capabilities {
  readonly node: string;
  readonly ver: string;
}

/** The string that XEP-0115 section 5.1 hashes. */
export function verificationString(): string {
  return `${IDENTITY.category}/${IDENTITY.type}//${IDENTITY.name}<${FEATURES.join('<')}<`;
}

export async function capabilities(node: string): Promise<Capabilities> {
  const digest = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(verificationString()));
  return { node, ver: btoa(String.fromCharCode(...new Uint8Array(digest))) };
}

/** The `<c/>` of presence. */
export function capabilitiesElement({ node, ver }: Capabilities): Element {
  return element(NS.CAPS, 'c', { hash: 'sha-1', node, ver });
}

/** The answer to a disco#info query; undefined when it asks about a node that we do not have. */
export function discoInfo(query: Element, { node, ver }: Capabilities): Element | undefined {
  const asked = query.getAttribute('node');
  if (asked !== null && asked !== `${node}#${ver}`) return undefined;
  return element(
    NS.DISCO_INFO,
    'query',
    { node: asked },
    element(NS.DISCO_INFO, 'identity', IDENTITY),
    ...FEATURES.map((feature) => element(NS.DISCO_INFO, 'feature', { var: feature })),
  );
}
