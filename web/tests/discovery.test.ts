import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FEATURES, capabilities, discoInfo, verificationString } from '../src/discovery';
import { parse } from './fakes';

describe('discovery', () => {
  it('hashes what it shows (XEP-0115 section 5.1)', async () => {
    const { ver } = await capabilities('https://meet.example');
    expect(ver).toBe(createHash('sha1').update(verificationString()).digest('base64'));
    expect([...FEATURES].sort()).toEqual(FEATURES);
  });

  it('answers with and without its node, and not for others', async () => {
    const caps = await capabilities('https://meet.example');
    const query = (attributes: string) => discoInfo(parse(`<query ${attributes}/>`), caps);
    expect(query('')?.querySelectorAll('feature')).toHaveLength(FEATURES.length);
    expect(query(`node='https://meet.example#${caps.ver}'`)?.getAttribute('node')).toBe(`https://meet.example#${caps.ver}`);
    expect(query("node='x'")).toBeUndefined();
  });

  it('shows what a focus and other clients look for', () => {
    for (const feature of ['urn:xmpp:jingle:1', 'urn:xmpp:jingle:apps:rtp:1', 'urn:xmpp:jingle:apps:rtp:audio', 'urn:xmpp:jingle:transports:ice-udp:1', 'urn:xmpp:jingle:apps:dtls:0', 'urn:xmpp:jingle-message:0', 'urn:xmpp:coin:1'])
      expect(FEATURES).toContain(feature);
    expect(FEATURES).not.toContain('urn:xmpp:jingle:apps:rtp:video');
  });
});
