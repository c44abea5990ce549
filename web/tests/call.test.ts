import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Call, type SessionState, TRANSITIONS } from '../src/call';
import { FakeMediaStream, FakePeerConnection, FakeStream, PATIENCE, acceptance, installMedia } from './fakes';

const PEER = 'tea@focus.example/focus';
const ACTIONS = ['session-initiate', 'session-accept', 'session-info', 'transport-info', 'description-info', 'session-terminate', 'content-add', 'nonsense'];

function observer() {
  return { callAccepted: vi.fn(), callEnded: vi.fn(), callMedia: vi.fn() };
}

function act(action: string, content = ''): string {
  if (action === 'session-accept') return acceptance('s1');
  return `<jingle xmlns='urn:xmpp:jingle:1' action='${action}' sid='s1'>${content}</jingle>`;
}

async function initiated() {
  const stream = new FakeStream();
  const watch = observer();
  const call = new Call('s1', new FakeMediaStream() as unknown as MediaStream, watch);
  await call.prepare();
  FakePeerConnection.last.find('candidate:1 1 udp 2122194687 192.0.2.2 40774 typ host generation 0');
  void call.initiate(stream, PEER).catch(() => undefined);
  const from = (xml: string, id = 'q', sender = PEER) => {
    stream.receive(`<iq type='set' id='${id}' from='${sender}'>${xml}</iq>`);
    return stream.sent.at(-1);
  };
  stream.onStanza((stanza) => call.take(stanza));
  return { stream, watch, call, from };
}

beforeEach(() => installMedia());

describe('a session', () => {
  const states: SessionState[] = ['pending', 'active', 'ended'];

  it.each(states.flatMap((state) => ACTIONS.map((action): [SessionState, string] => [state, action])))('%s: %s', async (state, action) => {
    const { call, from } = await initiated();
    if (state !== 'pending') from(act('session-accept'));
    if (state === 'ended') from(act('session-terminate', '<reason><success/></reason>'));
    expect(call.state).toBe(state);
    const answer = from(act(action), 'probe');
    const next = TRANSITIONS[state][action];
    expect(answer?.getAttribute('id')).toBe('probe');
    expect(answer?.getAttribute('type')).toBe(next ? 'result' : 'error');
    expect(call.state).toBe(next ?? state);
  });

  it('is known by peer and sid', async () => {
    const { stream, call } = await initiated();
    expect(stream.receive(`<iq type='set' id='1' from='evil@example/x'>${act('session-accept')}</iq>`)).toBe(false);
    expect(stream.receive(`<iq type='set' id='1' from='${PEER}'>${act('session-info').replace('s1', 's2')}</iq>`)).toBe(false);
    expect(call.state).toBe('pending');
  });

  it('answers what it does not know as the specifications want', async () => {
    const { from } = await initiated();
    from(act('session-accept'));
    expect(from(act('session-accept'))?.querySelector('out-of-order')).not.toBeNull();
    expect(from(act('session-info', "<dance xmlns='urn:example'/>"))?.querySelector('unsupported-info')).not.toBeNull();
    expect(from(act('session-info', "<ringing xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>"))?.getAttribute('type')).toBe('result');
    from(act('session-terminate'));
    expect(from(act('session-info'))?.querySelector('unknown-session')).not.toBeNull();
  });

  it('that is accepted with nonsense is ended on both sides', async () => {
    const { stream, watch, from } = await initiated();
    from(acceptance('s1').replace("id='111'", "id='x'"));
    expect(stream.sent.at(-1)?.querySelector('jingle[action=session-terminate] failed-application')).not.toBeNull();
    expect(watch.callEnded).toHaveBeenCalledOnce();
  });

  it('whose answer the browser refuses is ended on both sides', async () => {
    const { stream, watch, from } = await initiated();
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    FakePeerConnection.last.broken = true;
    from(act('session-accept'));
    await stream.next('jingle[action=session-terminate]');
    expect(watch.callEnded).toHaveBeenCalledWith(expect.objectContaining({ condition: 'failed-application' }));
  });
});

describe('candidates', () => {
  it('that were found in time go with the offer, later ones alone', async () => {
    const { stream } = await initiated();
    expect(stream.sent[0]?.querySelectorAll('candidate')).toHaveLength(1);
    FakePeerConnection.last.find('candidate:2 1 udp 2122194687 192.0.2.3 40775 typ host generation 0');
    const info = stream.sent.at(-1)?.querySelector('jingle[action=transport-info] transport');
    expect(info?.getAttribute('ufrag')).toBe(stream.sent[0]?.querySelector('transport')?.getAttribute('ufrag'));
    expect(info?.querySelectorAll('candidate')).toHaveLength(1);
  });

  it('of no use to the focus stay here', async () => {
    const { stream } = await initiated();
    const sent = stream.sent.length;
    FakePeerConnection.last.find('candidate:3 1 udp 2122194687 0c9f1f30-9c3f-4a5e-8a09-3d4b0e1e2f3a.local 40775 typ host generation 0');
    FakePeerConnection.last.find('candidate:4 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0');
    FakePeerConnection.last.find('');
    expect(stream.sent).toHaveLength(sent);
  });

  it('that a relay does not give are told to who looks at the console', async () => {
    await initiated();
    const told = vi.spyOn(console, 'info').mockImplementation(() => undefined);
    FakePeerConnection.last.onicecandidateerror?.({ url: 'turns:turn.example.org:443', errorCode: 701, errorText: 'Failed to establish connection' });
    expect(told).toHaveBeenCalledWith('focus: turns:turn.example.org:443 gives no way: 701 Failed to establish connection');
    told.mockRestore();
  });

  it('of the focus wait for its answer', async () => {
    const { from, watch } = await initiated();
    from(
      act(
        'transport-info',
        `<content creator='initiator' name='0'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='U1qd' pwd='p'>
         <candidate component='1' foundation='1' generation='0' id='a' ip='192.0.2.9' port='5000' priority='9' protocol='udp' type='host'/>
         <candidate component='2' foundation='1' generation='0' id='b' ip='192.0.2.9' port='5001' priority='9' protocol='udp' type='host'/></transport></content>`,
      ),
    );
    from(act('session-accept'));
    await vi.waitFor(() => expect(watch.callAccepted).toHaveBeenCalled(), PATIENCE);
    expect(FakePeerConnection.last.candidates).toEqual([{ candidate: 'candidate:1 1 udp 9 192.0.2.9 5000 typ host generation 0', sdpMid: '0', usernameFragment: 'U1qd' }]);
  });
});

describe('mute', () => {
  it('is told once the call is accepted, and only when it changes', async () => {
    const { stream, call, watch, from } = await initiated();
    const told = () => stream.sent.filter((each) => each.querySelector('[action=session-info]')).map((each) => each.querySelector('jingle')?.firstElementChild?.localName);
    call.mute(true);
    expect(told()).toEqual([]);
    from(act('session-accept'));
    await vi.waitFor(() => expect(watch.callAccepted).toHaveBeenCalled(), PATIENCE);
    expect(told()).toEqual(['mute']);
    call.mute(true);
    call.mute(false);
    expect(told()).toEqual(['mute', 'unmute']);
  });
});
