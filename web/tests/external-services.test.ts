import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ExternalServices } from '../src/external-services';
import { FakeStream, refuseServices } from './fakes';

const SERVER = 'guest.example';
const NOW = Date.parse('2026-11-21T12:00:00Z');
const STUN = "<service host='stun.example' port='3478' transport='udp' type='stun'/>";

function turn(attributes = ''): string {
  return `<service host='turn.example' port='3479' transport='udp' type='turn' username='nb7' password='jj9' ${attributes}/>`;
}

function asking() {
  const stream = new FakeStream();
  const renewed = vi.fn<(servers: RTCIceServer[]) => void>();
  const services = new ExternalServices(stream, SERVER, renewed);
  stream.onStanza((stanza) => services.take(stanza));
  const answer = async (selector: string, xml: string): Promise<Element> => {
    const question = await stream.next(selector);
    stream.receive(`<iq type='result' id='${question.getAttribute('id') ?? ''}'><${selector} xmlns='urn:xmpp:extdisco:2'>${xml}</${selector}></iq>`);
    return question;
  };
  const push = (xml: string, from = SERVER): Element | undefined => {
    stream.receive(`<iq type='set' id='p1' from='${from}'><services xmlns='urn:xmpp:extdisco:2'>${xml}</services></iq>`);
    return stream.sent.find((each) => each.getAttribute('id') === 'p1');
  };
  return { stream, renewed, services, answer, push };
}

async function known(xml: string) {
  const all = asking();
  const servers = all.services.ask();
  await all.answer('services', xml);
  return { ...all, servers: await servers };
}

beforeEach(() => vi.useFakeTimers({ now: NOW }));
afterEach(() => vi.useRealTimers());

describe('external services', () => {
  it('are asked of our own server and given to the browser', async () => {
    const { stream, servers } = await known(STUN + turn());
    expect(stream.sent[0]?.getAttribute('to')).toBe(SERVER);
    expect(stream.sent[0]?.getAttribute('type')).toBe('get');
    expect(servers).toEqual([{ urls: 'stun:stun.example:3478' }, { urls: 'turn:turn.example:3479?transport=udp', username: 'nb7', credential: 'jj9' }]);
  });

  it.each([
    ["<service host='2001:db8::7' type='stun'/>", ['stun:[2001:db8::7]']],
    ["<service host='192.0.2.1' port='5349' transport='tcp' type='turns' username='u' password='p'/>", ['turns:192.0.2.1:5349?transport=tcp']],
    ["<service host='192.0.2.1' transport='TCP' type='turn' username='u' password='p'/>", ['turn:192.0.2.1?transport=tcp']],
    ["<service host='a' type='turn' username='u' password='p'><x xmlns='jabber:x:data' type='result'/></service>", ['turn:a']],
    ["<service host='a' transport='tcp' type='stun'/>", []],
    ["<service host='ftp.example' port='20' transport='tcp' type='ftp' username='guest' password='guest'/>", []],
    ["<service host='a/b?c' type='stun'/><service type='stun'/><service host='' type='stun'/>", []],
    ["<service host='a' port='70000' type='stun'/><service host='a' port='0' type='stun'/><service host='a' port='x' type='stun'/>", []],
    ["<service host='a' transport='sctp' type='turn' username='u' password='p'/>", []],
    ["<service xmlns='urn:example' host='a' type='stun'/>", []],
  ])('are given as far as a browser can use them: %s', async (xml, urls) => {
    expect((await known(xml)).servers.map((each) => each.urls)).toEqual(urls);
  });

  it('are not too many', async () => {
    expect((await known(STUN.repeat(40))).servers).toHaveLength(8);
  });

  it('are none where the server does not know of such, or says nothing', async () => {
    const { stream, services } = asking();
    const servers = services.ask();
    refuseServices(await stream.next('services'), stream);
    expect(await servers).toEqual([]);
    const silent = vi.spyOn(stream, 'request');
    void services.ask();
    expect(silent.mock.lastCall).toEqual([expect.anything(), 3]);
  });

  it('come with credentials, which are asked for where they are missing', async () => {
    const { services, answer } = asking();
    const servers = services.ask();
    await answer('services', "<service host='turn.example' port='3479' type='turn' restricted='1'/><service host='other.example' type='turns'/>");
    const question = await answer('credentials', "<service host='turn.example' type='turn' username='nb7' password='jj9'/>");
    expect(question.getAttribute('to')).toBe(SERVER);
    expect([...question.querySelectorAll('service')].map((each) => [each.getAttribute('type'), each.getAttribute('host'), each.getAttribute('port')])).toEqual([
      ['turn', 'turn.example', '3479'],
      ['turns', 'other.example', null],
    ]);
    expect(await servers).toEqual([{ urls: 'turn:turn.example:3479', username: 'nb7', credential: 'jj9' }]);
  });

  it('are of no use when there are no credentials to be had', async () => {
    const { stream, services, answer } = asking();
    const servers = services.ask();
    await answer('services', `${STUN}<service host='turn.example' type='turn' restricted='1'/>`);
    refuseServices(await stream.next('credentials'), stream);
    expect((await servers).map((each) => each.urls)).toEqual(['stun:stun.example:3478']);
  });

  it('are asked for again before their credentials end', async () => {
    const { answer, renewed } = await known(turn("expires='2026-11-21T12:10:00Z'"));
    await vi.advanceTimersByTimeAsync(539_000);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    await answer('services', turn("expires='2026-11-21T12:20:00Z'").replace('jj9', 'kk0'));
    await vi.advanceTimersByTimeAsync(0);
    expect(renewed).toHaveBeenCalledExactlyOnceWith([{ urls: 'turn:turn.example:3479?transport=udp', username: 'nb7', credential: 'kk0' }]);
    expect(vi.getTimerCount()).toBe(1);
  });

  it('are not asked for all the time by a clock that is wrong', async () => {
    const { stream } = await known(turn("expires='2020-01-01T00:00:00Z'"));
    await vi.advanceTimersByTimeAsync(59_000);
    expect(stream.sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(stream.sent).toHaveLength(2);
  });

  it('stay as they were when they cannot be renewed, and are asked for later', async () => {
    const { stream, renewed } = await known(turn("expires='2026-11-21T12:10:00Z'"));
    await vi.advanceTimersByTimeAsync(541_000);
    refuseServices(await stream.next('services'), stream);
    await vi.advanceTimersByTimeAsync(0);
    expect(renewed).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(1);
  });

  it('are no longer asked for when the stream is gone', async () => {
    const { stream } = await known(turn("expires='2026-11-21T12:10:00Z'"));
    stream.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('may be changed by the server', async () => {
    const { push, renewed } = await known(STUN + turn());
    expect(push(`${turn("action='modify'").replace('jj9', 'kk0')}<service action='delete' host='stun.example' port='3478' type='stun'/>`)?.getAttribute('type')).toBe('result');
    await vi.advanceTimersByTimeAsync(0);
    expect(renewed).toHaveBeenLastCalledWith([{ urls: 'turn:turn.example:3479?transport=udp', username: 'nb7', credential: 'kk0' }]);
    push(STUN.replace('<service', "<service action='add'") + turn("action='remove'"));
    await vi.advanceTimersByTimeAsync(0);
    expect(renewed).toHaveBeenLastCalledWith([{ urls: 'stun:stun.example:3478' }]);
  });

  it('may be changed by nobody else', async () => {
    const { push, renewed } = await known(STUN);
    expect(push(turn(), 'evil@example/x')?.getAttribute('type')).toBe('error');
    await vi.advanceTimersByTimeAsync(0);
    expect(renewed).not.toHaveBeenCalled();
  });
});
