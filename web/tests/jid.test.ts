import { describe, expect, it } from 'vitest';
import { bare, fromUri, names, nickname, nicknameVariant, node, pathOfRoom, plainNickname, resource, roomName, roomOfPath } from '../src/jid';

describe('JIDs', () => {
  it('are taken apart at the first slash', () => {
    const jid = 'tea@rooms.example/Ann / Bob@home';
    expect([node(jid), bare(jid), resource(jid)]).toEqual(['tea', 'tea@rooms.example', 'Ann / Bob@home']);
    expect([node('focus.example'), resource('focus.example')]).toEqual(['', '']);
  });

  it.each([
    ['xmpp:tea@rooms.example/%C3%84nna%20%231', 'tea@rooms.example/Änna #1'],
    ['xmpp:tea@rooms.example/Ann#2f', 'tea@rooms.example/Ann'],
    ['xmpp:tea@rooms.example?join', 'tea@rooms.example'],
    ['xmpp://me@example/tea@rooms.example', 'tea@rooms.example'],
    ['tea@rooms.example/100%', 'tea@rooms.example/100%'],
  ])('are read from the URI %s', (uri, jid) => {
    expect(fromUri(uri)).toBe(jid);
    expect(names(uri, jid)).toBe(true);
  });

  it('name nobody when they are empty', () => {
    expect(names('', '')).toBe(false);
  });
});

describe('a room name', () => {
  it.each([
    ['Tea', 'tea', 'tea'],
    ['  Weekly   Planning ', 'weekly planning', 'weekly\\20planning'],
    [`O'Neill & co: <x>`, `o'neill & co: <x>`, 'o\\27neill\\20\\26\\20co\\3a\\20\\3cx\\3e'],
    ['Käse', 'käse', 'käse'],
  ])('%s becomes a node', (input, name, escaped) => {
    expect(roomName(input)).toEqual({ ok: true, name, node: escaped });
  });

  it.each([
    ['', 'empty'],
    ['   ', 'empty'],
    ['a@b', 'characters'],
    ['a/b', 'characters'],
    ['a\\20b', 'characters'],
    ['a\u0007b', 'characters'],
    ['assets', 'reserved'],
    ['focus-meeting.js', 'reserved'],
    ['..', 'reserved'],
    ['x'.repeat(201), 'long'],
    ['ä'.repeat(101), 'long'],
  ])('%j is refused', (input, problem) => {
    expect(roomName(input)).toEqual({ ok: false, problem });
  });

  it('survives the way through the page address', () => {
    for (const name of ['tea', 'weekly planning', '100%', 'käse & co']) expect(roomOfPath(pathOfRoom(name))).toBe(name);
    expect(roomOfPath('/100%/')).toBe('100%');
    expect(roomOfPath('/')).toBe('');
  });
});

describe('a nickname', () => {
  it('is one clean line of at most sixty letters', () => {
    expect(nickname('  Ann\n\tB\u0000 ')).toBe('Ann B');
    expect(Array.from(nickname('😀'.repeat(90)))).toHaveLength(60);
  });

  it('gets a number when it is taken', () => {
    expect([1, 2, 3].map((attempt) => nicknameVariant('Ann', attempt))).toEqual(['Ann', 'Ann (2)', 'Ann (3)']);
  });

  it('has a form without symbols', () => {
    expect(plainNickname('☕ Änna <3 😀')).toBe('Änna 3');
  });
});
