/** What the server tells the page at /config.json. */
export interface Config {
  readonly domain: string;
  /** The domain of anonymous accounts. */
  readonly guests: string;
  /** The chat service: room R lives at R@rooms. */
  readonly rooms: string;
  /** The conference service: room R is called at R@focus. */
  readonly focus: string;
  /** Absolute ws: or wss: address. */
  readonly websocket: string;
  readonly title: string;
}

export class ConfigError extends Error {}

/** Checks the shape of /config.json and resolves its addresses against `base`. Throws ConfigError. */
export function readConfig(data: unknown, base: string): Config {
  if (typeof data !== 'object' || data === null) throw new ConfigError('config.json is not an object');
  const fields = data as Record<string, unknown>;
  const field = (name: string): string => {
    const value = fields[name];
    if (typeof value !== 'string' || !value) throw new ConfigError(`config.json has no ${name}`);
    return value;
  };
  return {
    domain: field('domain'),
    guests: field('guests'),
    rooms: field('rooms'),
    focus: field('focus'),
    websocket: websocketUrl(field('websocket'), base),
    title: typeof fields['title'] === 'string' ? fields['title'] : '',
  };
}

/** `/xmpp-websocket` seen from https://host/ is wss://host/xmpp-websocket. */
export function websocketUrl(path: string, base: string): string {
  const url = new URL(path, base);
  if (url.protocol === 'http:') url.protocol = 'ws:';
  if (url.protocol === 'https:') url.protocol = 'wss:';
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new ConfigError(`not a websocket address: ${path}`);
  return url.href;
}

export async function fetchConfig(base: string, signal?: AbortSignal): Promise<Config> {
  const response = await fetch(new URL('/config.json', base), { cache: 'no-store', ...(signal && { signal }) });
  if (!response.ok) throw new ConfigError(`config.json: HTTP ${response.status}`);
  return readConfig(await response.json(), base);
}
