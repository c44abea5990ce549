import { Strophe } from 'strophe.js';
import { describe, expect, it } from 'vitest';
import { JingleError, descriptionElements, jingle, muteElement, parseDescription, parseReason, parseSessionInfo, parseTrickle, reasonElement, trickleElement } from '../src/jingle';
import { parseInvitation, propose, proposalId } from '../src/jingle-message';
import { parseSdp, writeSdp } from '../src/sdp';
import { acceptance, data, parse } from './fakes';

/** Over the wire: written by Strophe, read by a parser. */
function wired(node: Element): Element {
  return new DOMParser().parseFromString(Strophe.serialize(node), 'text/xml').documentElement;
}

describe('a description', () => {
  const offer = parseSdp(data('chrome-156-offer-gathered.sdp'), 'initiator');
  const initiate = wired(jingle('session-initiate', 's1', 'a@b/c', ...descriptionElements(offer)));

  it('survives the wire', () => {
    expect(parseDescription(initiate)).toEqual({
      ...offer,
      contents: offer.contents.map((content) => ({
        ...content,
        transport: { ...content.transport, candidates: content.transport.candidates.map((each) => ({ network: 0, ...each })) },
      })),
    });
  });

  it('has what strict peers ask for', () => {
    expect(initiate.getAttribute('initiator')).toBe('a@b/c');
    for (const payload of initiate.querySelectorAll('payload-type')) expect(payload.hasAttribute('channels')).toBe(true);
    const candidates = [...initiate.querySelectorAll('candidate')];
    for (const candidate of candidates) {
      for (const name of ['component', 'foundation', 'generation', 'id', 'ip', 'port', 'priority', 'protocol', 'type']) expect(candidate.hasAttribute(name)).toBe(true);
      expect(candidate.getAttribute('id')).toMatch(/^[A-Za-z_][\w.-]*$/);
    }
    expect(new Set(candidates.map((each) => each.getAttribute('id'))).size).toBe(candidates.length);
    expect(initiate.querySelector('fingerprint')?.getAttribute('setup')).toBe('actpass');
    expect(initiate.querySelectorAll('group > content')).toHaveLength(1);
    expect(initiate.querySelector('rtcp-mux')?.namespaceURI).toBe('urn:xmpp:jingle:apps:rtp:1');
  });

  it('of a session-accept becomes an answer', () => {
    const sdp = writeSdp(parseDescription(parse(acceptance('s1'))), 'responder').split('\r\n');
    for (const line of [
      'a=group:BUNDLE 0',
      'm=audio 9 UDP/TLS/RTP/SAVPF 111',
      'a=rtpmap:111 opus/48000/2',
      'a=fmtp:111 useinbandfec=1;usedtx=1',
      'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
      'a=setup:active',
      'a=mid:0',
      'a=sendrecv',
      'a=rtcp-mux',
      'a=ssrc:77 cname:mix',
      'a=candidate:1 1 udp 2130706431 192.0.2.7 51226 typ host generation 0',
    ])
      expect(sdp).toContain(line);
  });

  it.each([
    ["name='0'", "name='0&#10;a=inactive'"],
    ["value='1'", "value='1&#13;&#10;a=x'"],
    ["name='opus'", "name='opus x'"],
    ["ip='192.0.2.7'", "ip=''"],
    ["ufrag='U1qd'", "ufrag='U&#10;'"],
    ["semantics='BUNDLE'", "semantics='BUNDLE 7'"],
    ["id='111'", "id='eleven'"],
    ['<transport', '<transportation'],
  ])('with %s turned into %s is refused', (good, bad) => {
    const xml = acceptance('s1').replaceAll(good, bad).replace('</transport>', bad === '<transportation' ? '</transportation>' : '</transport>');
    expect(() => parseDescription(parse(xml))).toThrow(JingleError);
  });
});

describe('a trickled candidate', () => {
  it('comes alone, with both credentials and without fingerprint', () => {
    const [content] = parseSdp(data('chrome-156-offer-gathered.sdp'), 'initiator').contents;
    const [candidate] = content?.transport.candidates ?? [];
    if (!content || !candidate) throw new Error('no content');
    const info = wired(jingle('transport-info', 's1', 'a@b/c', trickleElement(content, candidate)));
    const { ufrag, pwd } = content.transport;
    expect(parseTrickle(info)).toEqual([{ name: '0', transport: { ufrag, pwd, fingerprints: [], candidates: [candidate] } }]);
  });
});

describe('reasons and news', () => {
  it('are read as they were written', () => {
    const reason = { condition: 'busy', text: 'too <many>' };
    expect(parseReason(wired(jingle('session-terminate', 's', 'a@b/c', reasonElement(reason))))).toEqual(reason);
    expect(parseReason(parse('<x/>'))).toEqual({ condition: 'general-error', text: '' });
  });

  it.each([
    ['', 'ping'],
    ["<ringing xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>", 'ringing'],
    ["<mute xmlns='urn:xmpp:jingle:apps:rtp:info:1' name='0'/>", 'mute'],
    ["<conference-info xmlns='urn:xmpp:coin:1' isfocus='true'/>", 'focus'],
    ["<mute xmlns='urn:example'/>", 'unknown'],
    ["<dance xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>", 'unknown'],
  ])('session-info %s is %s', (content, meaning) => {
    const iq = parse(`<iq><jingle xmlns='urn:xmpp:jingle:1' action='session-info' sid='s'>${content}</jingle></iq>`);
    expect(parseSessionInfo(iq.children[0] as Element)).toBe(meaning);
  });

  it('mute names the content and its creator', () => {
    expect(Strophe.serialize(muteElement(true, { creator: 'initiator', name: '0' }))).toBe('<mute creator="initiator" name="0" xmlns="urn:xmpp:jingle:apps:rtp:info:1"/>');
  });
});

describe('an invitation', () => {
  it('is a chat message with a hint to store it', () => {
    const message = wired(propose('tea@focus.example', 's1'));
    expect(message.getAttribute('type')).toBe('chat');
    expect(message.getAttribute('id')).toBe(proposalId('s1'));
    expect(message.querySelector('store')?.namespaceURI).toBe('urn:xmpp:hints');
    expect(message.querySelector('propose > description')?.getAttribute('media')).toBe('audio');
    expect(parseInvitation(message)).toMatchObject({ name: 'propose', id: 's1' });
  });

  it.each(['<message/>', "<message><propose xmlns='urn:xmpp:jingle-message:0'/></message>", "<message><dance xmlns='urn:xmpp:jingle-message:0' id='1'/></message>"])(
    'is not in %s',
    (xml) => {
      expect(parseInvitation(parse(xml))).toBeUndefined();
    },
  );
});
