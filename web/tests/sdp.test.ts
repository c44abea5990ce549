import { describe, expect, it } from 'vitest';
import { SdpError, parseCandidate, parseSdp, writeCandidate, writeSdp } from '../src/sdp';
import { data } from './fakes';

describe('an offer of Chrome', () => {
  const sdp = data('chrome-156-offer-gathered.sdp');
  const offer = parseSdp(sdp, 'initiator');
  const [audio] = offer.contents;

  it('is read in full', () => {
    expect(offer.groups).toEqual([{ semantics: 'BUNDLE', contents: ['0'] }]);
    expect(offer.contents).toHaveLength(1);
    expect(audio).toMatchObject({ name: '0', media: 'audio', senders: 'both', creator: 'initiator', rtcpMux: true, extmapAllowMixed: true });
    expect(audio?.payloads.map(({ id, name, clockrate, channels }) => `${id} ${name}/${clockrate}/${channels}`)).toEqual([
      '111 opus/48000/2',
      '63 red/48000/2',
      '9 G722/8000/1',
      '0 PCMU/8000/1',
      '8 PCMA/8000/1',
      '13 CN/8000/1',
      '110 telephone-event/48000/1',
      '126 telephone-event/8000/1',
    ]);
    expect(audio?.payloads[0]).toMatchObject({
      parameters: [
        { name: 'minptime', value: '10' },
        { name: 'useinbandfec', value: '1' },
      ],
      feedback: [{ type: 'transport-cc' }],
    });
    expect(audio?.payloads[1]?.parameters).toEqual([{ name: '', value: '111/111' }]);
    expect(audio?.extensions[0]).toEqual({ id: 1, uri: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', senders: 'both' });
    expect(audio?.sources).toHaveLength(1);
    expect(audio?.sources[0]?.parameters.map(({ name }) => name)).toEqual(['cname', 'msid']);
    expect(audio?.transport.fingerprints).toMatchObject([{ hash: 'sha-256', setup: 'actpass' }]);
    expect(audio?.transport.ufrag).toHaveLength(4);
    expect(audio?.transport.candidates.map(({ protocol }) => protocol)).toEqual(['udp', 'udp', 'tcp', 'tcp']);
  });

  it('says the same after it was written and read again', () => {
    expect(parseSdp(writeSdp(offer, 'initiator'), 'initiator')).toEqual(offer);
  });

  it('loses no line that Jingle has words for', () => {
    const lines = (text: string) => text.split('\r\n').filter((line) => /^a=(rtpmap|fmtp|extmap|ssrc|ice-|fingerprint|setup|mid|rtcp-mux|rtcp-fb|group|sendrecv)/.test(line));
    expect(lines(writeSdp(offer, 'initiator')).sort()).toEqual(lines(sdp).sort());
  });
});

describe('an answer of Chrome', () => {
  const answer = parseSdp(data('chrome-156-answer.sdp'), 'responder');

  it('says the same after it was written and read again', () => {
    expect(answer.contents[0]?.transport.fingerprints[0]?.setup).toBe('active');
    expect(parseSdp(writeSdp(answer, 'responder'), 'responder')).toEqual(answer);
  });
});

describe('direction', () => {
  const offer = data('chrome-156-offer.sdp');
  it.each([
    ['sendrecv', 'both', 'both'],
    ['sendonly', 'initiator', 'responder'],
    ['recvonly', 'responder', 'initiator'],
    ['inactive', 'none', 'none'],
  ])('%s means senders %s from the initiator, %s from the responder', (direction, initiator, responder) => {
    const sdp = offer.replace('a=sendrecv', `a=${direction}`);
    expect(parseSdp(sdp, 'initiator').contents[0]?.senders).toBe(initiator);
    expect(parseSdp(sdp, 'responder').contents[0]?.senders).toBe(responder);
    expect(writeSdp(parseSdp(sdp, 'responder'), 'responder')).toContain(`a=${direction}\r\n`);
  });

  it('of a header extension depends on who wrote it, too', () => {
    const sdp = offer.replace('a=extmap:1 ', 'a=extmap:1/recvonly ');
    const parsed = parseSdp(sdp, 'initiator');
    expect(parsed.contents[0]?.extensions[0]?.senders).toBe('responder');
    expect(writeSdp(parsed, 'initiator')).toContain('a=extmap:1/recvonly urn:');
  });
});

describe('a candidate', () => {
  it.each([
    'candidate:1583128121 1 udp 2122194687 192.0.2.2 40774 typ host generation 0 network-id 1',
    'candidate:1 1 udp 1686052607 203.0.113.9 61665 typ srflx raddr 10.0.0.7 rport 40774 generation 0 network-id 3',
    'candidate:9 1 udp 2122265343 fd00::2 36981 typ host generation 2',
  ])('%s is written as it was read', (line) => {
    const candidate = parseCandidate(line);
    expect(candidate && writeCandidate(candidate)).toBe(line);
  });

  it('that is none is not read', () => {
    expect(parseCandidate('')).toBeUndefined();
    expect(parseCandidate('candidate:1 1 udp 12 192.0.2.2 4')).toBeUndefined();
  });
});

it('an SDP without credentials is refused', () => {
  expect(() => parseSdp('v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n', 'initiator')).toThrow(SdpError);
});
