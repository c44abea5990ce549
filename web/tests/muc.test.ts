import { describe, expect, it, vi } from 'vitest';
import { Room, parseMuc } from '../src/muc';
import { StanzaError } from '../src/stanza';
import { FakeStream, enterRoom, parse } from './fakes';

const ROOM = 'tea@rooms.example';
const X = "<x xmlns='http://jabber.org/protocol/muc#user'>";

describe('a stanza of the room', () => {
  const gone = (content: string) => parseMuc(parse(`<presence type='unavailable' from='${ROOM}/Ann'>${X}${content}</x></presence>`), ROOM, 'Ann');

  it.each([
    ["<item role='none'/>", 'left', ''],
    ["<item><reason>noise</reason></item><status code='307'/>", 'kicked', 'noise'],
    ["<item/><status code='301'/>", 'banned', ''],
    ["<item/><status code='322'/>", 'removed', ''],
    ["<item/><destroy><reason>moved</reason></destroy>", 'destroyed', 'moved'],
    ["<item/><status code='332'/>", 'shutdown', ''],
    ["<item/><status code='333'/><status code='307'/>", 'kicked', ''],
  ])('tells why somebody is gone: %s', (content, why, reason) => {
    expect(gone(content)).toMatchObject({ kind: 'gone', self: true, why, reason });
  });

  it('tells of a new nickname', () => {
    expect(gone("<item nick='Anna'/><status code='303'/>")).toEqual({ kind: 'renamed', self: true, nick: 'Ann', newNick: 'Anna' });
  });

  it('is a subject only without a body', () => {
    const message = (content: string, from = ROOM) => parseMuc(parse(`<message type='groupchat' from='${from}/Bob'>${content}</message>`), ROOM, 'Ann');
    expect(message('<subject>Tea time</subject>')).toEqual({ kind: 'subject', subject: 'Tea time' });
    expect(message('<subject/>')).toEqual({ kind: 'subject', subject: '' });
    expect(message('<subject>x</subject><body>y</body>')).toBeUndefined();
    expect(message('<subject>x</subject>', 'other@rooms.example')).toBeUndefined();
  });
});

describe('joining', () => {
  const observer = () => ({ roomSubject: vi.fn(), roomLeft: vi.fn() });
  const refuse = (stream: FakeStream, nick: string, condition: string) =>
    stream.receive(`<presence type='error' from='${ROOM}/${nick}'><error type='cancel'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`);
  const joined = () => {
    const stream = new FakeStream();
    return { stream, watch: observer() };
  };

  it('takes another nickname when the first is taken', async () => {
    const { stream, watch } = joined();
    const room = new Room(stream, ROOM, { node: 'n', ver: 'v' }, watch);
    const done = room.join('Ann');
    await stream.next(`presence[to="${ROOM}/Ann"]`);
    refuse(stream, 'Ann', 'conflict');
    await stream.next(`presence[to="${ROOM}/Ann (2)"]`);
    enterRoom(stream, `${ROOM}/Ann (2)`);
    await done;
    expect(room.occupantJid).toBe(`${ROOM}/Ann (2)`);
  });

  it('leaves out symbols that the server does not know', async () => {
    const { stream, watch } = joined();
    const done = new Room(stream, ROOM, { node: 'n', ver: 'v' }, watch).join('Ann 😀');
    await stream.next(`presence[to^="${ROOM}/Ann "]`);
    refuse(stream, 'Ann 😀', 'jid-malformed');
    await stream.next(`presence[to="${ROOM}/Ann"]`);
    enterRoom(stream, `${ROOM}/Ann`);
    await done;
  });

  it('is refused with the condition of the room', async () => {
    const { stream, watch } = joined();
    const done = new Room(stream, ROOM, { node: 'n', ver: 'v' }, watch).join('Ann');
    refuse(stream, 'Ann', 'forbidden');
    await expect(done).rejects.toEqual(new StanzaError('forbidden'));
  });

  it('is followed by news of the room, until we leave', async () => {
    const { stream, watch } = joined();
    const room = new Room(stream, ROOM, { node: 'n', ver: 'v' }, watch);
    const done = room.join('Ann');
    enterRoom(stream, `${ROOM}/Ann`);
    await done;
    stream.receive(`<presence from='${ROOM}/Bob'>${X}<item role='participant' jid='bob@example/1'/></x></presence>`);
    expect([...room.occupants.keys()]).toEqual(['Ann', 'Bob']);
    stream.receive(`<message type='groupchat' from='${ROOM}'><subject>Tea</subject></message>`);
    expect(watch.roomSubject).toHaveBeenCalledWith('Tea');
    room.leave();
    expect(stream.sent.at(-1)?.getAttribute('type')).toBe('unavailable');
    expect(stream.receive(`<message type='groupchat' from='${ROOM}'><subject>Milk</subject></message>`)).toBe(false);
  });

  it('ends when we are kicked', async () => {
    const { stream, watch } = joined();
    const room = new Room(stream, ROOM, { node: 'n', ver: 'v' }, watch);
    const done = room.join('Ann');
    enterRoom(stream, `${ROOM}/Ann`);
    await done;
    stream.receive(`<presence type='unavailable' from='${ROOM}/Ann'>${X}<item><reason>noise</reason></item><status code='307'/><status code='110'/></x></presence>`);
    expect(watch.roomLeft).toHaveBeenCalledWith('kicked', 'noise');
    const sent = stream.sent.length;
    room.leave();
    expect(stream.sent).toHaveLength(sent);
  });
});
