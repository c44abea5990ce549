import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig, websocketUrl } from '../src/config';

const CONFIG = { domain: 'example', guests: 'guest.example', rooms: 'rooms.example', focus: 'focus.example', websocket: '/xmpp-websocket', title: 'Talk' };

describe('the configuration', () => {
  it('has addresses that are resolved against the page', () => {
    expect(readConfig(CONFIG, 'https://meet.example/tea').websocket).toBe('wss://meet.example/xmpp-websocket');
    expect(websocketUrl('/xmpp-websocket', 'http://localhost:8080/')).toBe('ws://localhost:8080/xmpp-websocket');
    expect(websocketUrl('wss://other.example/ws', 'http://localhost/')).toBe('wss://other.example/ws');
  });

  it.each([null, 'text', {}, { ...CONFIG, focus: '' }, { ...CONFIG, rooms: 7 }, { ...CONFIG, websocket: 'ftp://x/' }])('is refused when it is %j', (data) => {
    expect(() => readConfig(data, 'https://meet.example/')).toThrow(ConfigError);
  });
});
