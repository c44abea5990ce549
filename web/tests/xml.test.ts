import { Strophe } from 'strophe.js';
import { describe, expect, it } from 'vitest';
import { child, children, element, integer, text } from '../src/xml';

describe('an element', () => {
  it('keeps its namespaces on the wire, once each', () => {
    const message = element('jabber:client', 'message', { to: 'a@b', id: undefined }, element('urn:a', 'x', {}, element('urn:a', 'y', {}, '1 < 2')), element('jabber:client', 'body', {}, 'hi'));
    expect(Strophe.serialize(message)).toBe(
      '<message to="a@b" xmlns="jabber:client"><x xmlns="urn:a"><y>1 &lt; 2</y></x><body>hi</body></message>',
    );
  });

  it('is found by name and namespace', () => {
    const parent = element('urn:a', 'p', {}, element('urn:b', 'x'), element('urn:a', 'x', {}, ' 1 '), element('urn:a', 'x', {}, '2'));
    expect(children(parent, 'urn:a', 'x').map(text)).toEqual(['1', '2']);
    expect(text(child(parent, 'urn:a', 'x'))).toBe('1');
    expect(child(parent, 'urn:c', 'x')).toBeUndefined();
  });
});

describe('an integer', () => {
  it('is digits within its range', () => {
    expect(['0', '4294967295', '4294967296', '-1', '1.5', '', null, '99999999999'].map((each) => integer(each))).toEqual([0, 4294967295, undefined, undefined, undefined, undefined, undefined, undefined]);
  });
});
