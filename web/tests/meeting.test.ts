import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Meeting, type View } from '../src/meeting';
import { strings } from '../src/strings';
import { FakeMediaStream, FakePeerConnection, FakeStream, PATIENCE, enterRoom, information, installMedia, letIn, refuseServices } from './fakes';

const FOCUS = 'tea@focus.example';
const CONFIG = { domain: 'example', guests: 'guest.example', rooms: 'rooms.example', focus: 'focus.example', websocket: '/xmpp-websocket', title: '' };
const ANN = { nick: 'Ann', source: 1 };
const BOB = { nick: 'Bob', source: 2 };
const PEOPLE = [ANN, BOB];

let streams: FakeStream[] = [];
let reachable = true;

function meeting(): Meeting {
  return new Meeting({
    service: 'https://meet.example',
    room: 'tea',
    node: 'tea',
    openStream: () => {
      if (!reachable) return Promise.reject(new Error('refused'));
      const stream = new FakeStream();
      stream.jid = `guest${streams.length}@guest.example/page`;
      streams.push(stream);
      return Promise.resolve(stream);
    },
  });
}

function stream(index = streams.length - 1): FakeStream {
  const found = streams[index];
  if (!found) throw new Error('no stream was opened');
  return found;
}

function until(subject: Meeting, holds: (view: View) => boolean): Promise<View> {
  return new Promise((resolve) => {
    const look = () => {
      if (!holds(subject.view)) return;
      subject.removeEventListener('change', look);
      resolve(subject.view);
    };
    subject.addEventListener('change', look);
    look();
  });
}

async function opened(count: number): Promise<FakeStream> {
  await vi.waitFor(() => expect(streams).toHaveLength(count), PATIENCE);
  return stream();
}

/** Ann, talking with Bob. */
async function talking(): Promise<{ subject: Meeting; sid: string }> {
  const subject = meeting();
  const done = subject.join('Ann', '');
  const sid = await letIn(await opened(1));
  await done;
  stream().receive(information(sid, 1, PEOPLE));
  return { subject, sid };
}

beforeEach(() => {
  streams = [];
  reachable = true;
  installMedia();
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(CONFIG))));
});

afterEach(() => vi.unstubAllGlobals());

describe('joining', () => {
  it('does all steps in their order', async () => {
    const { subject } = await talking();
    const order = stream()
      .sent.map((stanza) => {
        const [content] = stanza.children;
        return `${stanza.localName} ${stanza.getAttribute('to') ?? ''} ${content?.getAttribute('action') ?? content?.localName ?? ''}`;
      })
      .slice(0, 5);
    expect(order).toEqual([
      'iq guest.example services',
      `presence ${FOCUS} c`,
      `message ${FOCUS} propose`,
      'presence tea@rooms.example/Ann c',
      `iq ${FOCUS}/focus session-initiate`,
    ]);
    expect(subject.view).toMatchObject({ phase: 'joined', signalling: 'online', media: 'connected', title: 'tea' });
    expect(subject.view.audio).not.toBeNull();
    expect(FakePeerConnection.last.remote).toContain('a=setup:active');
  });

  it('shows everybody, ourselves first', async () => {
    const { subject } = await talking();
    expect(subject.view.participants.map(({ name, self }) => [name, self])).toEqual([
      ['Ann', true],
      ['Bob', false],
    ]);
  });

  it('tells of a name that was taken', async () => {
    const subject = meeting();
    const done = subject.join('Ann', '');
    const line = await opened(1);
    refuseServices(await line.next('services'), line);
    const proposal = await line.next('propose');
    const sid = proposal.querySelector('propose')?.getAttribute('id') ?? '';
    line.receive(`<message from='${FOCUS}/focus' type='chat'><proceed xmlns='urn:xmpp:jingle-message:0' id='${sid}'/></message>`);
    await line.next('presence[to="tea@rooms.example/Ann"]');
    line.receive(`<presence type='error' from='tea@rooms.example/Ann'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`);
    await line.next('presence[to="tea@rooms.example/Ann (2)"]');
    enterRoom(line, 'tea@rooms.example/Ann (2)');
    await line.next('jingle[action=session-initiate]');
    subject.leave();
    await done;
    expect(subject.view.phase).toBe('idle');
  });

  it('gives the password of the room, also when it comes back', async () => {
    const subject = meeting();
    const done = subject.join('Ann', '', 'sesame');
    const passwords = (line: FakeStream): (string | undefined)[] => line.sent.flatMap((stanza) => [...stanza.querySelectorAll('password')].map((each) => each.textContent));
    await letIn(await opened(1));
    await done;
    expect(passwords(stream())).toEqual(['sesame']);
    stream().close();
    await letIn(await opened(2));
    expect(passwords(stream())).toEqual(['sesame']);
    subject.leave();
  });

  it('goes by the STUN and TURN servers that the server names, and by what replaces them', async () => {
    const subject = meeting();
    const done = subject.join('Ann', '');
    const line = await opened(1);
    const services = (password: string): string =>
      `<services xmlns='urn:xmpp:extdisco:2'><service host='turn.example' type='turn' username='u' password='${password}'/></services>`;
    line.receive(`<iq type='result' id='${(await line.next('services')).getAttribute('id') ?? ''}'>${services('p')}</iq>`);
    await letIn(line, 'tea', { services: false });
    await done;
    const { last } = FakePeerConnection;
    expect(last.offered).toEqual({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require', iceServers: [{ urls: 'turn:turn.example', username: 'u', credential: 'p' }] });
    line.receive(`<iq type='set' id='x1' from='guest.example'>${services('q')}</iq>`);
    await vi.waitFor(() => expect(last.configuration.iceServers?.[0]?.credential).toBe('q'), PATIENCE);
    last.broken = true;
    line.receive(`<iq type='set' id='x2' from='guest.example'>${services('r')}</iq>`);
    expect((await line.next('iq[id=x2]')).getAttribute('type')).toBe('result');
    expect(subject.view.phase).toBe('joined');
  });

  it('fails without a microphone', async () => {
    installMedia(() => Promise.reject(new DOMException('no', 'NotAllowedError')));
    const subject = meeting();
    await subject.join('Ann', '');
    expect(subject.view).toMatchObject({ phase: 'failed', failure: { code: 'microphone-refused' } });
    expect(subject.view.notice.text).toBe(strings.failures['microphone-refused'].title);
    expect(streams).toHaveLength(0);
  });

  it('fails without a server, and can be tried again', async () => {
    reachable = false;
    const subject = meeting();
    await subject.join('Ann', '');
    expect(subject.view).toMatchObject({ phase: 'failed', failure: { code: 'server' } });
    reachable = true;
    const done = subject.join('Ann', '');
    await letIn(await opened(1));
    await done;
    expect(subject.view.phase).toBe('joined');
  });

  it.each([
    ["<reason xmlns='urn:xmpp:jingle:1'><busy/></reason>", 'full'],
    ["<reason xmlns='urn:xmpp:jingle:1'><decline/><text>Not today</text></reason>", 'declined'],
  ])('is refused with %s', async (reason, code) => {
    const subject = meeting();
    const done = subject.join('Ann', '');
    const line = await opened(1);
    const sid = (await line.next('propose')).querySelector('propose')?.getAttribute('id') ?? '';
    line.receive(`<message from='${FOCUS}/focus' type='chat'><reject xmlns='urn:xmpp:jingle-message:0' id='${sid}'>${reason}</reject></message>`);
    await done;
    expect(subject.view.failure?.code).toBe(code);
    expect(line.closed).toBe(true);
    expect(line.sent.some((each) => each.querySelector('retract'))).toBe(false);
  });

  it('fails when nobody is at the address', async () => {
    const subject = meeting();
    const done = subject.join('Ann', '');
    const line = await opened(1);
    const id = (await line.next('propose')).getAttribute('id') ?? '';
    line.receive(`<message type='error' from='${FOCUS}' id='${id}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`);
    await done;
    expect(subject.view.failure?.code).toBe('focus');
  });

  it('takes no word of strangers', async () => {
    const subject = meeting();
    const done = subject.join('Ann', '');
    const line = await opened(1);
    const sid = (await line.next('propose')).querySelector('propose')?.getAttribute('id') ?? '';
    for (const [from, id] of [
      ['evil@example/x', sid],
      [`${FOCUS}/focus`, 'other'],
    ])
      expect(line.receive(`<message from='${from}' type='chat'><proceed xmlns='urn:xmpp:jingle-message:0' id='${id}'/></message>`)).toBe(false);
    expect(subject.view.progress).toBe('calling');
    subject.leave();
    await done;
    expect(line.sent.at(-1)?.querySelector('retract')?.getAttribute('id')).toBe(sid);
  });
});

describe('in the meeting', () => {
  it('mute is a silent track, and said to the focus', async () => {
    const { subject, sid } = await talking();
    subject.setMuted(true);
    const info = await stream().next('mute');
    expect(info.querySelector('jingle')?.getAttribute('sid')).toBe(sid);
    expect(info.querySelector('mute')?.getAttribute('name')).toBe('0');
    expect(subject.view.participants[0]).toMatchObject({ self: true, muted: true });
    subject.setMuted(false);
    await stream().next('unmute');
    expect(subject.view.muted).toBe(false);
  });

  it('others are muted, gone and back as the documents say', async () => {
    const { subject, sid } = await talking();
    stream().receive(information(sid, 2, [ANN, { nick: 'Bob', source: 2, media: 'recvonly' }]));
    expect(subject.view.participants[1]).toMatchObject({ name: 'Bob', muted: true });
    stream().receive(information(sid, 3, [ANN]));
    expect(subject.view.notice.text).toBe(strings.hasLeft(['Bob']));
    stream().receive(information(sid, 4, [...PEOPLE, { nick: 'Cid', source: 3, status: 'alerting' }]));
    expect(subject.view.notice.text).toBe(strings.hasJoined(['Bob']));
    expect(subject.view.participants.map(({ name, status }) => `${name} ${status}`)).toEqual(['Ann connected', 'Bob connected', 'Cid ringing']);
  });

  it('of many who come together two are named', () => {
    const bare = (text: string) => text.replace(/[\u2068\u2069]/g, '');
    expect(bare(strings.hasJoined(['Ann', 'Bob']))).toBe('Ann and Bob have joined');
    expect(bare(strings.hasLeft(['Ann', 'Bob', 'Cid']))).toBe('Ann, Bob and Cid have left');
    expect(bare(strings.hasRaised(['Ann', 'Bob', 'Cid', 'Dan']))).toBe('Ann, Bob and 2 others raised a hand');
  });

  it('a moderator may mute us', async () => {
    const { subject, sid } = await talking();
    stream().receive(information(sid, 2, [{ nick: 'Ann', source: 1, status: 'muted-via-focus', media: 'recvonly' }, BOB]));
    expect(subject.view.participants[0]).toMatchObject({ self: true, muted: true, mutedByFocus: true });
    expect(subject.view.notice.text).toBe(strings.youMutedByFocus);
    expect(subject.view.muted).toBe(false);
  });

  it('who has muted themselves by the keys of a telephone, and goes on here, is seen to be muted', async () => {
    const { subject, sid } = await talking();
    stream().receive(information(sid, 2, [{ ...ANN, media: 'recvonly' }, BOB]));
    expect(subject.view.participants[0]).toMatchObject({ self: true, muted: true, mutedByFocus: false });
    expect(subject.view.notice.text).toBe(strings.youMuted);
    stream().receive(information(sid, 3, [ANN, BOB]));
    expect(subject.view.participants[0]).toMatchObject({ muted: false });
    expect(subject.view.notice.text).toBe(strings.youUnmuted);
  });

  it('what the focus tells before it has heard that we are unmuted is not taken for keys', async () => {
    const { subject, sid } = await talking();
    const line = stream();
    const answer = (info: Element) => line.receive(`<iq type='result' id='${info.getAttribute('id') ?? ''}' from='${FOCUS}/focus'/>`);
    subject.setMuted(true);
    answer(await line.next('mute'));
    subject.setMuted(false);
    line.receive(information(sid, 2, [{ ...ANN, media: 'recvonly' }, BOB]));
    expect(subject.view.participants[0]).toMatchObject({ muted: false });
    expect(subject.view.notice.text).toBe(strings.youUnmuted);
    answer(await line.next('unmute'));
    let version = 3;
    await vi.waitFor(() => {
      line.receive(information(sid, version++, [{ ...ANN, media: 'recvonly' }, BOB]));
      expect(subject.view.notice.text).toBe(strings.youMuted);
    }, PATIENCE);
  });

  it('who is muted by the keys of a telephone is heard again at one click, and is not shown to speak before', async () => {
    const { subject, sid } = await talking();
    const told = () => stream().sent.flatMap((stanza) => [...stanza.querySelectorAll('mute, unmute')].map(({ localName }) => localName));
    FakePeerConnection.last.level = 1;
    await until(subject, ({ participants: [self] }) => self?.speaking === true);
    stream().receive(information(sid, 2, [{ ...ANN, media: 'recvonly' }, BOB]));
    expect(subject.view.participants[0]).toMatchObject({ muted: true, speaking: false });
    subject.setMuted(false);
    expect(subject.view.participants[0]).toMatchObject({ muted: false });
    expect(told()).toEqual(['unmute']);
    subject.setMuted(false);
    stream().receive(information(sid, 3, [ANN, BOB]));
    subject.setMuted(true);
    stream().receive(information(sid, 4, [{ ...ANN, media: 'recvonly' }, BOB]));
    subject.setMuted(false);
    expect(subject.view.participants[0]).toMatchObject({ muted: false });
    expect(told()).toEqual(['unmute', 'mute', 'unmute']);
  });

  it('a participant may be a meeting of its own', async () => {
    const { subject, sid } = await talking();
    stream().receive(information(sid, 2, [ANN, { ...BOB, cascaded: 'xmpp:coffee@focus.example' }]));
    expect(subject.view.participants.map(({ conference }) => conference)).toEqual([false, true]);
  });

  it('those who have raised a hand are in the order in which they have', async () => {
    const { subject, sid } = await talking();
    const hands = () => subject.view.participants.map(({ name, hand }) => `${name} ${hand}`);
    const cid = { nick: 'Cid', source: 3 };
    stream().receive(information(sid, 2, [ANN, BOB, { ...cid, hand: 2 }]));
    expect(hands()).toEqual(['Ann 0', 'Cid 1', 'Bob 0']);
    expect(subject.view.notice.text).toBe(strings.hasRaised(['Cid']));
    stream().receive(information(sid, 3, [{ ...ANN, hand: 3 }, { ...BOB, hand: 4 }, { ...cid, hand: 2 }]));
    expect(hands()).toEqual(['Ann 2', 'Cid 1', 'Bob 3']);
    stream().receive(information(sid, 4, [{ ...ANN, hand: 3 }, { ...BOB, hand: 4 }, cid]));
    expect(hands()).toEqual(['Ann 1', 'Bob 2', 'Cid 0']);
  });

  it('one raises a hand, and lowers it, and is told where that is not taken', async () => {
    const { subject, sid } = await talking();
    const line = stream();
    subject.raiseHand(true);
    const raising = await line.next("iq[type=set] command[node='urn:focus-conference:raise-hand:0']");
    expect(raising.getAttribute('to')).toBe(FOCUS);
    line.receive(`<iq type='result' id='${raising.getAttribute('id') ?? ''}' from='${FOCUS}'/>`);
    line.receive(information(sid, 2, [{ ...ANN, hand: 1 }, BOB]));
    expect(subject.view.notice.text).toBe(strings.youRaised);
    subject.raiseHand(false);
    const lowering = await line.next("command[node='urn:focus-conference:lower-hand:0']");
    line.receive(`<iq type='result' id='${lowering.getAttribute('id') ?? ''}' from='${FOCUS}'/>`);
    line.receive(information(sid, 3, PEOPLE));
    expect(subject.view.notice.text).toBe(strings.youLowered);
    await vi.waitFor(() => expect(line.sent.filter((each) => each.querySelector('command'))).toHaveLength(2), PATIENCE);
    subject.raiseHand(true);
    expect(subject.view.hand).toBe(true);
    const refused = await line.next("command[node='urn:focus-conference:raise-hand:0']");
    line.receive(`<iq type='error' id='${refused.getAttribute('id') ?? ''}' from='${FOCUS}'><error type='cancel'/></iq>`);
    await until(subject, ({ notice }) => notice.text === strings.handRefused);
    expect(subject.view.hand).toBe(false);
  });

  it('of many clicks on the hand the last one counts', async () => {
    const { subject, sid } = await talking();
    const line = stream();
    const answered = async (node: string) => {
      const command = await line.next(`command[node='urn:focus-conference:${node}:0']`);
      line.receive(`<iq type='result' id='${command.getAttribute('id') ?? ''}' from='${FOCUS}'/>`);
    };
    for (let click = 0; click < 4; click++) subject.raiseHand(!subject.view.hand);
    expect(subject.view.hand).toBe(false);
    line.receive(information(sid, 2, [{ ...ANN, hand: 1 }, BOB]));
    expect(subject.view.hand).toBe(false);
    await answered('raise-hand');
    await answered('lower-hand');
    line.receive(information(sid, 3, PEOPLE));
    expect(subject.view).toMatchObject({ hand: false, notice: { text: strings.youLowered } });
    expect(line.sent.filter((each) => each.querySelector('command'))).toHaveLength(2);
  });

  it('whose hand a moderator has lowered is told by whom', async () => {
    const { subject, sid } = await talking();
    stream().receive(information(sid, 2, [{ ...ANN, hand: 1 }, BOB]));
    expect(subject.view.hand).toBe(true);
    stream().receive(information(sid, 3, PEOPLE));
    expect(subject.view).toMatchObject({ hand: false, notice: { text: strings.handLoweredByModerator } });
  });

  it('who is in the mix speaks', async () => {
    const { subject } = await talking();
    FakePeerConnection.last.sources = [{ source: 2, timestamp: 1 }];
    FakePeerConnection.last.level = 0.5;
    await until(subject, ({ participants }) => participants.length === 2 && participants.every(({ speaking }) => speaking));
    FakePeerConnection.last.level = 0;
    await until(subject, ({ participants }) => participants.every(({ speaking }) => !speaking));
  });

  it('every document is answered, and a gap is asked about', async () => {
    const { subject, sid } = await talking();
    const line = stream();
    await line.next('iq[id=coin1][type=result]');
    const partial = information(sid, 5, [ANN]).replace("state='full' version", "state='partial' version");
    line.receive(partial);
    const refusal = await line.next('iq[id=coin5]');
    expect(refusal.getAttribute('type')).toBe('error');
    expect(refusal.querySelector('unexpected-request')).not.toBeNull();
    const question = await line.next('iq[type=get] conference-info');
    expect(question.querySelector('conference-info')?.getAttribute('sid')).toBe(sid);
    line.receive(
      information(sid, 6, [ANN, { nick: 'Cid', source: 3 }])
        .replace("type='set'", "type='result'")
        .replace("id='coin6'", `id='${question.getAttribute('id') ?? ''}'`),
    );
    await until(subject, ({ participants }) => participants.some(({ name }) => name === 'Cid'));
    line.receive(information('other', 7, []));
    expect((await line.next('iq[id=coin7]')).querySelector('item-not-found')).not.toBeNull();
    expect(subject.view.participants).toHaveLength(2);
  });

  it('the subject of the room is its title', async () => {
    const { subject } = await talking();
    stream().receive("<message type='groupchat' from='tea@rooms.example/Bob'><subject>Tea time</subject></message>");
    expect(subject.view.title).toBe('Tea time');
    stream().receive("<message type='groupchat' from='tea@rooms.example/Bob'><subject/></message>");
    expect(subject.view.title).toBe('tea');
  });

  it('questions of others are answered', async () => {
    await talking();
    const line = stream();
    line.receive("<iq type='get' id='d1' from='focus.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    expect((await line.next('iq[id=d1]')).querySelector('feature[var="urn:xmpp:coin:1"]')).not.toBeNull();
    line.receive("<iq type='get' id='d2' from='focus.example'><query xmlns='http://jabber.org/protocol/disco#info' node='x'/></iq>");
    expect((await line.next('iq[id=d2]')).querySelector('item-not-found')).not.toBeNull();
    line.receive("<iq type='get' id='p1' from='guest.example'><ping xmlns='urn:xmpp:ping'/></iq>");
    expect((await line.next('iq[id=p1]')).getAttribute('type')).toBe('result');
    line.receive(`<iq type='set' id='j1' from='evil@example/x'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='x'/></iq>`);
    expect((await line.next('iq[id=j1]')).querySelector('unknown-session')).not.toBeNull();
    line.receive("<message from='bob@example/x' type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='i1'/></message>");
    expect((await line.next('reject')).getAttribute('to')).toBe('bob@example/x');
  });

  it('another microphone takes over', async () => {
    const { subject } = await talking();
    const connection = FakePeerConnection.last;
    subject.setMuted(true);
    const other = new FakeMediaStream();
    navigator.mediaDevices.getUserMedia = () => Promise.resolve(other as unknown as MediaStream);
    await subject.useMicrophone('usb');
    expect(connection.replaced).toBe(other.tracks[0]);
    expect(other.tracks[0]?.enabled).toBe(false);
    subject.setMuted(false);
    expect(other.tracks[0]?.enabled).toBe(true);
    subject.leave();
    expect(other.tracks[0]?.stopped).toBe(true);
  });

  it.each(['another is connected', 'it is allowed again'])('who has lost the only microphone is told so until %s', async (turn) => {
    const { subject } = await talking();
    const permission = new EventTarget();
    Object.defineProperty(navigator, 'permissions', { value: { query: () => Promise.resolve(permission) }, configurable: true });
    const [track] = (subject as unknown as { microphone: FakeMediaStream }).microphone.tracks;
    const { mediaDevices } = navigator;
    let tried = 0;
    mediaDevices.getUserMedia = () => {
      tried++;
      return Promise.reject(new DOMException('none', 'NotFoundError'));
    };
    track?.dispatchEvent(new Event('ended'));
    await vi.waitFor(() => expect(subject.view.unheard).toBe(true), PATIENCE);
    expect(subject.view.notice.text).toBe(strings.failures['microphone-missing'].title);
    mediaDevices.dispatchEvent(new Event('devicechange')); // a loudspeaker, say: nothing is said again
    await vi.waitFor(() => expect(tried).toBe(2), PATIENCE);
    const told = subject.view.notice.serial;
    const other = new FakeMediaStream();
    mediaDevices.getUserMedia = () => Promise.resolve(other as unknown as MediaStream);
    await vi.waitFor(() => {
      if (turn === 'it is allowed again') permission.dispatchEvent(new Event('change'));
      else mediaDevices.dispatchEvent(new Event('devicechange'));
      expect(subject.view.notice.text).toBe(strings.microphoneGone);
    }, PATIENCE);
    expect(subject.view.unheard).toBe(false);
    expect(subject.view.notice.serial).toBe(told + 1);
    expect(FakePeerConnection.last.replaced).toBe(other.tracks[0]);
    Reflect.deleteProperty(navigator, 'permissions');
  });
});

describe('leaving', () => {
  it('says goodbye in every way at once', async () => {
    const { subject, sid } = await talking();
    const before = stream().sent.length;
    subject.leave();
    const words = stream().sent.slice(before);
    expect(words.map((each) => each.localName)).toEqual(['iq', 'message', 'presence']);
    expect(words[0]?.querySelector('jingle[action=session-terminate] > reason > success')).not.toBeNull();
    expect(words[1]?.querySelector('finish')?.getAttribute('id')).toBe(sid);
    expect([words[2]?.getAttribute('to'), words[2]?.getAttribute('type')]).toEqual(['tea@rooms.example/Ann', 'unavailable']);
    expect(stream().closed).toBe(true);
    expect(subject.view).toMatchObject({ phase: 'left', participants: [], audio: null });
    expect(FakePeerConnection.last.connectionState).toBe('closed');
  });

  it.each([
    ['the page', (subject: Meeting) => subject.setMuted(true)],
    ['keys', (_: Meeting, sid: string) => stream().receive(information(sid, 2, [{ ...ANN, media: 'recvonly' }, BOB]))],
  ])('and joining again leaves those muted whom %s had muted', async (_, mute) => {
    const { subject, sid } = await talking();
    mute(subject, sid);
    subject.leave();
    const done = subject.join('Ann', '');
    const again = await opened(2);
    await letIn(again);
    await done;
    await again.next('mute');
    expect(subject.view.muted).toBe(true);
    expect(subject.view.notice.text).toContain(strings.stillMuted);
    subject.leave();
  });

  it.each([
    ["<x xmlns='http://jabber.org/protocol/muc#user'><item/><status code='307'/><status code='110'/></x>", 'kicked'],
    ["<x xmlns='http://jabber.org/protocol/muc#user'><item/><destroy/><status code='110'/></x>", 'destroyed'],
  ])('is not always our choice: %s', async (content, code) => {
    const { subject } = await talking();
    stream().receive(`<presence type='unavailable' from='tea@rooms.example/Ann'>${content}</presence>`);
    expect(subject.view).toMatchObject({ phase: 'failed', failure: { code } });
    expect(stream().closed).toBe(true);
  });

  it.each([
    ['success', PEOPLE, 'hung-up'],
    ['success', [ANN], 'ended'],
    ['gone', PEOPLE, 'ended'],
  ])('happens when the focus ends the call: %s', async (reason, people, code) => {
    const { subject, sid } = await talking();
    stream().receive(information(sid, 2, people));
    stream().receive(`<iq type='set' id='t1' from='${FOCUS}/focus'><jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='${sid}'><reason><${reason}/></reason></jingle></iq>`);
    expect((await stream().next('iq[id=t1]')).getAttribute('type')).toBe('result');
    expect(subject.view).toMatchObject({ phase: 'failed', failure: { code } });
  });
});

describe('a lost server', () => {
  it('takes nothing from what is heard, and is come back to', async () => {
    const { subject, sid: before } = await talking();
    const first = FakePeerConnection.last;
    subject.setMuted(true);
    stream().receive(information(before, 2, [{ ...ANN, hand: 1 }, BOB]));
    stream().close();
    await until(subject, ({ signalling }) => signalling === 'waiting');
    expect(subject.view).toMatchObject({ phase: 'joined', media: 'connected' });
    expect(subject.view.participants).toHaveLength(2);
    expect(first.connectionState).toBe('connected');

    const second = await opened(2);
    const sid = await letIn(second);
    const view = await until(subject, ({ signalling }) => signalling === 'online');
    expect(view.phase).toBe('joined');
    expect(first.connectionState).toBe('closed');
    expect(FakePeerConnection.last.connectionState).toBe('connected');
    await second.next('mute');
    second.receive(information(sid, 1, PEOPLE));
    expect(subject.view.participants.map(({ name, self }) => `${name} ${self}`)).toEqual(['Ann true', 'Bob false']);
    const raising = await second.next("iq[type=set] command[node='urn:focus-conference:raise-hand:0']");
    second.receive(`<iq type='error' id='${raising.getAttribute('id') ?? ''}' from='${FOCUS}'><error type='cancel'/></iq>`);
    await until(subject, ({ notice }) => notice.text === strings.handRefused);
    expect(subject.view.hand).toBe(false);
  });

  it('leaves those muted who had muted themselves by keys', async () => {
    const { subject, sid } = await talking();
    stream().receive(information(sid, 2, [{ ...ANN, media: 'recvonly' }, BOB]));
    stream().close();
    const second = await opened(2);
    await letIn(second);
    await until(subject, ({ signalling }) => signalling === 'online');
    expect(subject.view.muted).toBe(true);
    await second.next('mute');
    subject.leave();
  });

  it('is given up when we leave meanwhile', async () => {
    const { subject } = await talking();
    reachable = false;
    stream().close();
    await until(subject, ({ signalling }) => signalling === 'waiting');
    subject.leave();
    expect(subject.view.phase).toBe('left');
    expect(FakePeerConnection.last.connectionState).toBe('closed');
  });
});

it('a call whose media fails is made again', async () => {
  const { subject } = await talking();
  FakePeerConnection.last.become('disconnected');
  expect(subject.view.media).toBe('interrupted');
  FakePeerConnection.last.become('failed');
  expect(stream(0).closed).toBe(true);
  await letIn(await opened(2));
  await until(subject, ({ signalling, media }) => signalling === 'online' && media === 'connected');
  expect(subject.view.phase).toBe('joined');
});
