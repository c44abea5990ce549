/** STUN and TURN servers that our XMPP server knows of (XEP-0215), as a RTCPeerConnection wants them. */
import type { Stream } from './connection';
import { NS } from './namespaces';
import { errorOf, iq, resultOf } from './stanza';
import { child, children, element, integer } from './xml';

interface Service {
  readonly type: string;
  readonly host: string;
  readonly port: string;
  readonly transport: string;
  readonly username: string;
  readonly password: string;
  /** When the credentials end, in milliseconds since 1970; NaN if nothing is said of it. */
  readonly expires: number;
  readonly action: string;
}

const TYPES = ['stun', 'turn', 'turns'];
/** More than that delays a browser, and helps nobody. */
const MOST = 8;
/** How long a call waits for the answer, in seconds. */
const ANSWER = 3;
/** Credentials are renewed when a tenth of their time is left. Clocks may differ: there is a least time, in ms. */
const RENEW = 0.9;
const LEAST = 60_000;
const LONGEST = 24 * 3600_000;

export class ExternalServices {
  private readonly stream: Stream;
  private readonly server: string;
  private readonly renewed: (servers: RTCIceServer[]) => void;
  private services: Service[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private over = false;

  /** `server` is asked; `renewed` is told what there is whenever it is another than `ask` has said. */
  constructor(stream: Stream, server: string, renewed: (servers: RTCIceServer[]) => void) {
    this.stream = stream;
    this.server = server;
    this.renewed = renewed;
    void stream.ended.then(() => this.close());
  }

  /** What there is. None, where the server does not know this protocol, or takes too long. */
  async ask(): Promise<RTCIceServer[]> {
    await this.load();
    return this.iceServers();
  }

  /** Takes a push of the server (section 3.2). False: it is something else. */
  take(stanza: Element): boolean {
    const pushed = child(stanza, NS.EXTERNAL_SERVICES, 'services');
    if (!pushed || stanza.getAttribute('type') !== 'set') return false;
    if (!['', this.server].includes(stanza.getAttribute('from') ?? '')) {
      this.stream.send(errorOf(stanza, 'service-unavailable'));
      return true;
    }
    this.stream.send(resultOf(stanza));
    for (const service of servicesIn(pushed)) {
      this.services = this.services.filter((known) => !same(known, service));
      if (service.action !== 'delete' && service.action !== 'remove') this.services.push(service); // the table says remove, the schema delete
    }
    void this.complete().then(() => this.tell());
    return true;
  }

  /** Asks no more, and renews nothing. */
  close(): void {
    this.over = true;
    clearTimeout(this.timer);
  }

  private async load(): Promise<boolean> {
    try {
      const answer = await this.stream.request(iq('get', this.server, element(NS.EXTERNAL_SERVICES, 'services')), ANSWER);
      const services = child(answer, NS.EXTERNAL_SERVICES, 'services');
      this.services = services ? servicesIn(services) : [];
    } catch (error) {
      console.debug('focus: the server names no STUN or TURN servers', error);
      return false;
    } finally {
      await this.complete();
    }
    return true;
  }

  /** Asks for the credentials of relays that came without (section 3.3), and sees to it that none grow too old. */
  private async complete(): Promise<void> {
    const bare = this.services.filter(lacksCredentials).map(({ type, host, port }) => element(NS.EXTERNAL_SERVICES, 'service', { type, host, port: port || null }));
    if (bare.length > 0 && !this.over) {
      try {
        const answer = await this.stream.request(iq('get', this.server, element(NS.EXTERNAL_SERVICES, 'credentials', {}, ...bare)), ANSWER);
        const given = child(answer, NS.EXTERNAL_SERVICES, 'credentials');
        const credentials = given ? servicesIn(given) : [];
        this.services = this.services.map((service) => {
          const match = lacksCredentials(service) && credentials.find(({ type, host, port }) => type === service.type && host === service.host && (!port || port === service.port));
          return match ? { ...service, username: match.username, password: match.password, expires: match.expires } : service;
        });
      } catch (error) {
        console.debug('focus: the server gives no credentials', error);
      }
    }
    clearTimeout(this.timer);
    const ends = this.services.map(({ expires }) => expires).filter((expires) => !Number.isNaN(expires));
    if (ends.length === 0 || this.over) return;
    const wait = (Math.min(...ends) - Date.now()) * RENEW;
    this.timer = setTimeout(() => void this.renew(), Math.min(Math.max(wait, LEAST), LONGEST));
  }

  private async renew(): Promise<void> {
    if (await this.load()) this.tell();
  }

  private tell(): void {
    if (!this.over) this.renewed(this.iceServers());
  }

  private iceServers(): RTCIceServer[] {
    return this.services.flatMap((service) => iceServer(service) ?? []).slice(0, MOST);
  }
}

function servicesIn(parent: Element): Service[] {
  return children(parent, NS.EXTERNAL_SERVICES, 'service')
    .map((each) => {
      const value = (name: string): string => each.getAttribute(name) ?? '';
      const [type, host, port, transport, username, password, action] = ['type', 'host', 'port', 'transport', 'username', 'password', 'action'].map(value);
      return { type, host, port, transport: transport?.toLowerCase(), username, password, action, expires: Date.parse(value('expires')) } as Service;
    })
    .filter(({ type }) => TYPES.includes(type));
}

/** A change names type and host, and the port or transport where there are several of them. */
function same(known: Service, named: Service): boolean {
  const keys = ['port', 'transport'] as const;
  return known.type === named.type && known.host === named.host && keys.every((key) => !named[key] || known[key] === named[key]);
}

function lacksCredentials({ type, username, password }: Service): boolean {
  return type !== 'stun' && !(username && password);
}

/** Undefined for what a browser would refuse, and all the others with it. */
function iceServer(service: Service): RTCIceServer | undefined {
  const { type, host, port, transport, username, password } = service;
  const number = port ? integer(port, 65535) : undefined;
  const address = host.includes(':') ? `[${host}]` : host;
  if (!/^([\w.-]+|\[[\da-f:.]+\])$/i.test(address) || (port && !number)) return undefined;
  const url = `${type}:${address}${number ? `:${number}` : ''}`;
  // A browser asks STUN servers by UDP only.
  if (type === 'stun') return transport && transport !== 'udp' ? undefined : { urls: url };
  if (lacksCredentials(service) || !['', 'udp', 'tcp'].includes(transport)) return undefined;
  return { urls: transport ? `${url}?transport=${transport}` : url, username, credential: password };
}
