import { describe, expect, it } from 'vitest';
import { ConferenceInformation, type Tree, readTree, users } from '../src/coin';
import { parse } from './fakes';

const NS = 'urn:ietf:params:xml:ns:conference-info';

function document(version: number | string | null, state: string | null, content = ''): Tree {
  const attributes = [version === null ? '' : `version='${version}'`, state === null ? '' : `state='${state}'`].join(' ');
  const iq = parse(`<iq><conference-info xmlns='${NS}' entity='xmpp:tea@focus.example' ${attributes}>${content}</conference-info></iq>`);
  return readTree(iq.children[0] as Element);
}

function user(name: string, status = 'connected', state = ''): string {
  return `<user entity='xmpp:${name}' ${state}><display-text>${name}</display-text>
    <endpoint entity='xmpp:${name}/1'><status>${status}</status><media id='1'><type>audio</type><src-id>7</src-id><status>sendrecv</status></media></endpoint></user>`;
}

function started(...content: string[]): ConferenceInformation {
  const information = new ConferenceInformation();
  expect(information.apply(document(1, 'full', `<users>${content.join('')}</users>`))).toBe('applied');
  return information;
}

function summary(information: ConferenceInformation): string[] {
  return users(information.document).map(({ displayText, endpoints }) => `${displayText}:${endpoints.map(({ status }) => status).join('+')}`);
}

describe('versions', () => {
  it('begin with a full document', () => {
    const information = new ConferenceInformation();
    expect(information.apply(document(1, 'partial'))).toBe('gap');
    expect(information.apply(document(5, null, `<users>${user('ann')}</users>`))).toBe('applied');
    expect(summary(information)).toEqual(['ann:connected']);
  });

  it('that are not newer are discarded, full ones too', () => {
    const information = started(user('ann'));
    expect(information.apply(document(1, 'full', '<users/>'))).toBe('stale');
    expect(information.apply(document(0, 'partial', "<users state='full'/>"))).toBe('stale');
    expect(summary(information)).toEqual(['ann:connected']);
  });

  it('may skip for a full document, and not for a partial one', () => {
    const information = started(user('ann'));
    const update = `<users state='partial'>${user('bob')}</users>`;
    expect(information.apply(document(3, 'partial', update))).toBe('gap');
    expect(summary(information)).toEqual(['ann:connected']);
    expect(information.apply(document(3, 'full', `<users>${user('cid')}</users>`))).toBe('applied');
    expect(information.apply(document(4, 'partial', update))).toBe('applied');
    expect(summary(information)).toEqual(['cid:connected', 'bob:connected']);
  });

  it('that are no numbers make a document invalid', () => {
    const information = started(user('ann'));
    expect(information.apply(document('two', 'full'))).toBe('invalid');
    expect(information.apply(document(4294967296, 'full'))).toBe('invalid');
    expect(information.apply(document(null, 'partial'))).toBe('invalid');
    expect(information.apply(document(2, 'half'))).toBe('invalid');
    expect(summary(information)).toEqual(['ann:connected']);
  });

  it('may be left out of a full document, which nothing partial can follow', () => {
    const information = started(user('ann'));
    expect(information.apply(document(null, 'full', `<users>${user('bob')}</users>`))).toBe('applied');
    expect(information.apply(document(2, 'partial'))).toBe('gap');
  });

  it('go on after the conference was deleted', () => {
    const information = started(user('ann'));
    expect(information.apply(document(2, 'deleted'))).toBe('ended');
    expect(information.document).toBeUndefined();
    expect(information.apply(document(2, 'full', `<users>${user('ann')}</users>`))).toBe('stale');
    expect(information.apply(document(3, 'partial'))).toBe('gap');
    expect(information.apply(document(3, 'full', `<users>${user('ann')}</users>`))).toBe('applied');
  });
});

describe('states', () => {
  const cases: [string, string, string[]][] = [
    ['users full replaces all', `<users>${user('bob')}</users>`, ['bob:connected']],
    ['users partial adds', `<users state='partial'>${user('bob')}</users>`, ['ann:connected', 'cid:connected', 'bob:connected']],
    ['user full replaces', `<users state='partial'>${user('ann', 'on-hold')}</users>`, ['ann:on-hold', 'cid:connected']],
    ['user deleted removes', `<users state='partial'><user entity='xmpp:ann' state='deleted'/></users>`, ['cid:connected']],
    ['an unknown user deleted changes nothing', `<users state='partial'><user entity='xmpp:zoe' state='deleted'/></users>`, ['ann:connected', 'cid:connected']],
    ['user partial keeps the rest', `<users state='partial'><user entity='xmpp:ann' state='partial'><display-text>Ann B.</display-text></user></users>`, ['Ann B.:connected', 'cid:connected']],
    [
      'endpoint partial merges, endpoint full adds',
      `<users state='partial'><user entity='xmpp:ann' state='partial'><endpoint entity='xmpp:ann/1' state='partial'><status>on-hold</status></endpoint>
       <endpoint entity='xmpp:ann/2'><status>alerting</status></endpoint></user></users>`,
      ['ann:on-hold+alerting', 'cid:connected'],
    ],
    ['endpoint deleted removes', `<users state='partial'><user entity='xmpp:ann' state='partial'><endpoint entity='xmpp:ann/1' state='deleted'/></user></users>`, ['ann:', 'cid:connected']],
    ['a partial user that nobody knew is added', `<users state='partial'><user entity='xmpp:zoe' state='partial'><display-text>zoe</display-text></user></users>`, ['ann:connected', 'cid:connected', 'zoe:']],
    ['within full all is full', `<users state='full'>${user('bob', 'connected', "state='partial'")}<user entity='xmpp:x' state='deleted'/></users>`, ['bob:connected']],
    ['users deleted empties', `<users state='deleted'/>`, []],
    ['no users keeps them', `<conference-state><user-count>9</user-count></conference-state>`, ['ann:connected', 'cid:connected']],
    ['a user without key is ignored', `<users state='partial'><user><display-text>?</display-text></user></users>`, ['ann:connected', 'cid:connected']],
  ];

  it.each(cases)('%s', (_name, update, expected) => {
    const information = started(user('ann'), user('cid'));
    expect(information.apply(document(2, 'partial', update))).toBe('applied');
    expect(summary(information)).toEqual(expected);
  });

  it('media are replaced by id', () => {
    const information = started(user('ann'));
    information.apply(
      document(2, 'partial', `<users state='partial'><user entity='xmpp:ann' state='partial'><endpoint entity='xmpp:ann/1' state='partial'><media id='1'><type>audio</type><src-id>8</src-id><status>recvonly</status></media></endpoint></user></users>`),
    );
    const [ann] = users(information.document);
    expect(ann?.endpoints[0]).toMatchObject({ status: 'connected', media: [{ id: '1', type: 'audio', source: 8, status: 'recvonly' }] });
  });

  it('addresses of the host are told apart by themselves', () => {
    const uri = (address: string) => `<entry><uri>${address}</uri></entry>`;
    const information = new ConferenceInformation();
    information.apply(document(1, 'full', `<host-info><uris state='full'>${uri('xmpp:a')}${uri('xmpp:b')}</uris></host-info>`));
    const addresses = () => information.document?.children[0]?.children[0]?.children.map((entry) => entry.children[0]?.text);
    expect(addresses()).toEqual(['xmpp:a', 'xmpp:b']);
    information.apply(document(2, 'partial', `<host-info><uris state='partial'>${uri('xmpp:c')}</uris></host-info>`));
    expect(addresses()).toEqual(['xmpp:a', 'xmpp:b', 'xmpp:c']);
  });

  it('elements without state are replaced, their lists of addresses by their own state', () => {
    const uri = (address: string) => `<entry><uri>${address}</uri></entry>`;
    const description = (state: string, ...addresses: string[]) => `<conference-description><subject>s</subject><conf-uris state='${state}'>${addresses.map(uri).join('')}</conf-uris></conference-description>`;
    const information = new ConferenceInformation();
    information.apply(document(1, 'full', description('full', 'xmpp:a', 'xmpp:b')));
    const addresses = () =>
      information.document?.children[0]?.children.find(({ name }) => name === 'conf-uris')?.children.map((entry) => entry.children[0]?.text);
    information.apply(document(2, 'partial', description('partial', 'xmpp:c')));
    expect(addresses()).toEqual(['xmpp:a', 'xmpp:b', 'xmpp:c']);
    information.apply(document(3, 'partial', description('full', 'xmpp:d')));
    expect(addresses()).toEqual(['xmpp:d']);
    information.apply(document(4, 'partial', '<conference-description><subject>t</subject></conference-description>'));
    expect(addresses()).toBeUndefined();
  });
});

it('partial documents add up to the full one', () => {
  // A small conference that changes at random, told to one receiver in parts and to another in full.
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const people = new Map<string, string>();
  const parts = new ConferenceInformation();
  const whole = new ConferenceInformation();
  parts.apply(document(1, 'full', '<users/>'));
  for (let version = 2; version < 80; version++) {
    const name = `p${random(6)}`;
    let change: string;
    if (people.has(name) && random(3) === 0) {
      people.delete(name);
      change = `<user entity='xmpp:${name}' state='deleted'/>`;
    } else {
      const status = ['connected', 'on-hold', 'alerting'][random(3)] ?? '';
      const known = people.has(name);
      people.set(name, status);
      change = known
        ? `<user entity='xmpp:${name}' state='partial'><endpoint entity='xmpp:${name}/1' state='partial'><status>${status}</status></endpoint></user>`
        : user(name, status);
    }
    expect(parts.apply(document(version, 'partial', `<users state='partial'>${change}</users>`))).toBe('applied');
    whole.apply(document(version, 'full', `<users>${Array.from(people, ([each, status]) => user(each, status)).join('')}</users>`));
    expect(summary(parts).sort()).toEqual(summary(whole).sort());
  }
});
