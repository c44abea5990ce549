import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Failure } from '../src/failure';
import { INITIAL_VIEW, type MeetingModel, type Participant, type View } from '../src/meeting';
import { strings } from '../src/strings';
import { FocusMeeting } from '../src/ui/focus-meeting';
import { initials } from '../src/ui/focus-participants';
import '../src/ui/focus-rooms';
import { PATIENCE, installMedia } from './fakes';

class Model extends EventTarget implements MeetingModel {
  view: View = INITIAL_VIEW;
  readonly join = vi.fn(() => Promise.resolve());
  readonly leave = vi.fn();
  readonly setMuted = vi.fn();
  readonly raiseHand = vi.fn();
  readonly useMicrophone = vi.fn(() => Promise.resolve());
  readonly reset = vi.fn();
  show(view: Partial<View>): void {
    this.view = { ...this.view, ...view };
    this.dispatchEvent(new Event('change'));
  }
}

const ANN: Participant = { key: 'self', name: 'Ann', self: true, conference: false, muted: false, mutedByFocus: false, speaking: false, hand: 0, status: 'connected' };
const BOB: Participant = { ...ANN, key: 'bob', name: 'Bob', self: false, muted: true, speaking: true };

async function shown(view: Partial<View> = {}): Promise<{ element: FocusMeeting; model: Model; root: ShadowRoot }> {
  const element = new FocusMeeting();
  const model = new Model();
  element.room = 'tea';
  element.globalKeys = true;
  element.meeting = model;
  document.body.append(element);
  model.show(view);
  await settled(element);
  return { element, model, root: element.shadowRoot as ShadowRoot };
}

/** All that hangs together has been rendered. */
async function settled(element: HTMLElement & { updateComplete?: Promise<boolean> }): Promise<void> {
  await element.updateComplete;
  for (const each of element.shadowRoot?.querySelectorAll<HTMLElement>('*') ?? []) if (each.shadowRoot) await settled(each);
}

function button(root: ParentNode, name: string): HTMLButtonElement {
  const found = [...root.querySelectorAll('button')].find((each) => each.textContent.trim().startsWith(name));
  if (!found) throw new Error(`no button ${name}`);
  return found;
}

beforeEach(() => {
  installMedia();
  localStorage.clear();
  HTMLMediaElement.prototype.play = () => Promise.resolve();
});

afterEach(() => {
  Reflect.deleteProperty(document, 'featurePolicy');
  vi.useRealTimers();
  document.body.replaceChildren();
});

describe('before the meeting', () => {
  async function lobby(name = '') {
    const all = await shown();
    all.element.name = name;
    await settled(all.element);
    const form = all.root.querySelector('focus-lobby')?.shadowRoot as ShadowRoot;
    return { ...all, form, input: form.querySelector('input') as HTMLInputElement };
  }

  it('a name is asked for, remembered, and passed on', async () => {
    const { model, form, input } = await lobby();
    expect(form.querySelector(`label[for=${input.id}]`)?.textContent).toBe('Your name');
    input.value = '  Ann  ';
    form.querySelector('form')?.requestSubmit();
    expect(model.join).toHaveBeenCalledWith('Ann', '', '');
    document.body.replaceChildren();
    expect((await lobby()).input.value).toBe('Ann');
    document.body.replaceChildren();
    expect((await lobby('Zoe')).input.value).toBe('Zoe');
  });

  it('an empty name is explained', async () => {
    const { element, model, form, input } = await lobby();
    input.value = '   ';
    form.querySelector('form')?.requestSubmit();
    await settled(element);
    expect(model.join).not.toHaveBeenCalled();
    expect(input.getAttribute('aria-invalid')).toBe('true');
    expect(form.querySelector(`#${input.getAttribute('aria-describedby') ?? ''}`)?.textContent).toBe(strings.nameMissing);
  });

  it('an insecure page is explained at once', async () => {
    Object.defineProperty(window, 'isSecureContext', { value: false, configurable: true });
    const { form } = await lobby();
    expect(form.textContent).toContain(strings.failures.insecure.title);
  });

  it('a frame that withholds the microphone is explained at once, with a way out of it', async () => {
    Object.defineProperty(document, 'featurePolicy', { value: { allowsFeature: (name: string) => name !== 'microphone' }, configurable: true });
    const { form } = await lobby();
    expect(form.textContent).toContain(strings.failures['microphone-withheld'].title);
    expect(form.querySelector<HTMLAnchorElement>('.obstacle a')?.href).toBe(location.href);
  });

  it('another room is only chosen where the meeting is the whole page', async () => {
    const { element, form } = await lobby();
    expect(form.querySelector('[part=rooms-link]')?.getAttribute('href')).toBe('/');
    element.globalKeys = false;
    await settled(element);
    expect(form.querySelector('a')).toBeNull();
  });
});

describe('in the meeting', () => {
  it('the list says who is there, muted and speaking', async () => {
    const { element, root } = await shown({ phase: 'joined', participants: [ANN, BOB] });
    expect(element.dataset['state']).toBe('joined');
    const list = root.querySelector('focus-participants')?.shadowRoot?.querySelector('[role=list]');
    expect(list?.getAttribute('aria-label')).toBe('Participants');
    const items = [...(list?.querySelectorAll<HTMLElement>('[role=listitem]') ?? [])];
    expect(items.map(({ dataset }) => [dataset['name'], dataset['muted'], dataset['speaking'], dataset['self']])).toEqual([
      ['Ann', 'false', 'false', 'true'],
      ['Bob', 'true', 'true', 'false'],
    ]);
    expect(items[0]?.textContent).toContain(strings.you);
    expect(items[1]?.textContent).toContain(strings.muted);
  });

  it('a crowd is shown in less room', async () => {
    const { element, model, root } = await shown({ phase: 'joined', participants: Array<Participant>(12).fill(ANN) });
    const list = root.querySelector('focus-participants');
    expect(list?.hasAttribute('crowded')).toBe(false);
    model.show({ participants: Array<Participant>(13).fill(ANN) });
    await settled(element);
    expect(list?.hasAttribute('crowded')).toBe(true);
  });

  it('a participant that is a meeting of its own is shown as one', async () => {
    const { root } = await shown({ phase: 'joined', participants: [ANN, { ...BOB, conference: true, muted: false, speaking: false }] });
    const list = root.querySelector('focus-participants')?.shadowRoot?.querySelectorAll<HTMLElement>('[role=listitem]');
    expect([...(list ?? [])].map(({ dataset }) => dataset['conference'])).toEqual(['false', 'true']);
    expect(list?.[1]?.textContent).toContain(strings.conference);
  });

  it('mute is a button that is named for what it does next', async () => {
    const { element, model, root } = await shown({ phase: 'joined', participants: [ANN] });
    expect(button(root, 'Mute').hasAttribute('aria-pressed')).toBe(false);
    button(root, 'Mute').click();
    expect(model.setMuted).toHaveBeenCalledWith(true);
    model.show({ muted: true });
    await settled(element);
    expect(button(root, 'Unmute').hasAttribute('aria-pressed')).toBe(false);
    model.show({ muted: false, participants: [{ ...ANN, muted: true }] });
    await settled(element);
    button(root, 'Unmute').click();
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'm', bubbles: true }));
    expect(model.setMuted.mock.calls).toEqual([[true], [false], [false]]);
  });

  it('M mutes, but not while somebody writes or chooses', async () => {
    const { model, root } = await shown({ phase: 'joined', participants: [ANN] });
    const press = (target: EventTarget, more: KeyboardEventInit = {}) =>
      target.dispatchEvent(new KeyboardEvent('keydown', { key: 'm', bubbles: true, composed: true, ...more }));
    press(root.querySelector('focus-microphones')?.shadowRoot?.querySelector('select') as HTMLSelectElement);
    press(document.body, { ctrlKey: true });
    press(document.body, { repeat: true });
    expect(model.setMuted).not.toHaveBeenCalled();
    press(document.body);
    expect(model.setMuted).toHaveBeenCalledWith(true);
  });

  it('M outside an embedded meeting is not ours', async () => {
    const { element, model } = await shown({ phase: 'joined', participants: [ANN] });
    element.globalKeys = false;
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'm', bubbles: true }));
    expect(model.setMuted).not.toHaveBeenCalled();
  });

  it('news is said once, politely', async () => {
    const { element, model, root } = await shown({ phase: 'joined', participants: [ANN] });
    model.show({ notice: { serial: 1, text: 'Bob has joined' } });
    await settled(element);
    expect([...root.querySelectorAll('[role=status]')].map((each) => each.textContent)).toEqual(['Bob has joined']);
  });

  it('sound that the browser withholds can be enabled', async () => {
    HTMLMediaElement.prototype.play = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
    const { element, root } = await shown({ phase: 'joined', participants: [ANN] });
    const audio = root.querySelector('audio') as HTMLAudioElement;
    Object.defineProperty(audio, 'srcObject', { value: null, writable: true });
    const model = element.meeting as Model;
    model.show({ audio: new MediaStream() });
    await vi.waitFor(() => button(root, strings.enableSound), PATIENCE);
    HTMLMediaElement.prototype.play = () => Promise.resolve();
    button(root, strings.enableSound).click();
    await vi.waitFor(() => expect(() => button(root, strings.enableSound)).toThrow(), PATIENCE);
  });

  it('a lost server is told, and that the sound goes on', async () => {
    const { root } = await shown({ phase: 'joined', participants: [ANN, BOB], signalling: 'waiting', media: 'connected' });
    expect(root.textContent).toContain(strings.reconnecting);
    expect(root.textContent).toContain(strings.serverGone);
  });

  it('who is without a microphone is told for as long as they are', async () => {
    const { root } = await shown({ phase: 'joined', participants: [ANN, BOB], unheard: true });
    expect(root.querySelector('.banner')?.textContent).toContain(strings.unheard);
  });

  it('where the sound is gone as well nobody is told of hearing it', async () => {
    const { root } = await shown({ phase: 'joined', participants: [ANN, BOB], signalling: 'connecting', media: 'interrupted' });
    expect(root.textContent).toContain(strings.allGone);
    expect(root.textContent).not.toContain(strings.serverGone);
  });

  it('whom a moderator has muted has no button to be heard', async () => {
    const { element, model, root } = await shown({ phase: 'joined', participants: [{ ...ANN, muted: true, mutedByFocus: true }, BOB] });
    const barred = button(root, strings.barredByFocus);
    expect([barred.getAttribute('aria-disabled'), barred.disabled]).toEqual(['true', false]);
    barred.click();
    window.dispatchEvent(new KeyboardEvent('keydown', { key: 'm' }));
    expect(model.setMuted).not.toHaveBeenCalled();
    model.show({ participants: [ANN, { ...BOB, mutedByFocus: true }] });
    await settled(element);
    expect(button(root, strings.mute).hasAttribute('aria-disabled')).toBe(false);
    window.dispatchEvent(new KeyboardEvent('keydown', { key: 'm' }));
    expect(model.setMuted).toHaveBeenCalledWith(true);
  });

  it('a raised hand is shown, and one raises and lowers it', async () => {
    const { element, model, root } = await shown({ phase: 'joined', hand: true, participants: [{ ...ANN, hand: 2 }, { ...BOB, hand: 1 }] });
    const list = () => root.querySelector('focus-participants')?.shadowRoot as ShadowRoot;
    const states = () => [...list().querySelectorAll('.state')].map((each) => each.textContent);
    const places = () => [...list().querySelectorAll('[aria-hidden] .raised')].map((each) => each.textContent);
    expect(states()).toEqual(['hand raised, number 2', `hand raised, number 1, ${strings.muted}`]);
    expect(places()).toEqual(['2', '1']);
    button(root, strings.lowerHand).click();
    expect(model.raiseHand).toHaveBeenLastCalledWith(false);
    model.show({ participants: [ANN, { ...BOB, hand: 1 }] });
    await settled(element);
    expect([states(), places()]).toEqual([['', `hand raised, ${strings.muted}`], ['']]);
    model.show({ hand: false, participants: [ANN, BOB] });
    await settled(element);
    expect(states()).toEqual(['', strings.muted]);
    button(root, strings.raiseHand).click();
    expect(model.raiseHand).toHaveBeenLastCalledWith(true);
  });

  it('a link that the browser does not copy is shown for as long as it takes to write it down', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { element, root } = await shown({ phase: 'joined', participants: [ANN] });
    const copying = vi.fn(() => Promise.reject(new DOMException('no', 'NotAllowedError')));
    Object.defineProperty(navigator, 'clipboard', { value: { writeText: copying }, configurable: true });
    const saidAfter = async (time: number) => {
      await vi.advanceTimersByTimeAsync(time);
      await settled(element);
      return root.querySelector('[role=status]')?.textContent;
    };
    button(root, strings.copyLink).click();
    expect(await saidAfter(30_000)).toContain('/tea');
    expect(await saidAfter(60_000)).toBe('');
    copying.mockImplementation(() => Promise.resolve() as Promise<never>);
    button(root, strings.copyLink).click();
    expect(await saidAfter(1_000)).toBe(strings.linkCopied);
    expect(await saidAfter(10_000)).toBe('');
  });

  it('a page that goes away leaves', async () => {
    const { model } = await shown({ phase: 'joined', participants: [ANN] });
    window.dispatchEvent(new Event('pagehide'));
    expect(model.leave).toHaveBeenCalled();
  });
});

describe('after the meeting', () => {
  it('a failure says what happened and what to do', async () => {
    const { element, model, root } = await shown({ phase: 'failed', failure: new Failure('kicked', 'noise') });
    expect(element.dataset['state']).toBe('failed');
    expect(root.querySelector('h1')?.textContent).toBe(strings.failures.kicked.title);
    expect(root.textContent).toContain('noise');
    expect(root.activeElement).toBe(root.querySelector('h1'));
    button(root, strings.back).click();
    expect(model.reset).toHaveBeenCalled();
  });

  it('a meeting that has ended is no fault, and one can join again', async () => {
    const { element, model, root } = await shown({ phase: 'failed', failure: new Failure('ended') });
    expect(root.querySelector('.bad')).toBeNull();
    element.name = 'Ann';
    button(root, strings.joinAgain).click();
    expect(model.join).toHaveBeenCalledWith('Ann', '', '');
  });

  it('one can join again', async () => {
    const { element, model, root } = await shown({ phase: 'left' });
    element.name = 'Ann';
    button(root, strings.joinAgain).click();
    expect(model.join).toHaveBeenCalledWith('Ann', '', '');
  });

  it('a room with a password is asked for again with one', async () => {
    const { element, model, root } = await shown({ phase: 'failed', failure: new Failure('password') });
    element.name = 'Ann';
    const form = root.querySelector('form') as HTMLFormElement;
    const input = root.querySelector('input') as HTMLInputElement;
    expect(root.querySelector(`label[for=${input.id}]`)?.textContent).toBe(strings.passwordLabel);
    expect(root.textContent).not.toContain(strings.tryAgain);
    form.requestSubmit();
    expect(model.join).not.toHaveBeenCalled();
    input.value = 'sesame';
    form.requestSubmit();
    expect(model.join).toHaveBeenCalledWith('Ann', '', 'sesame');
    model.show({ phase: 'connecting' });
    model.show({ phase: 'failed', failure: new Failure('password') });
    await settled(element);
    expect(root.textContent).toContain(strings.passwordWrong);
    button(root, strings.back).click();
    expect(model.reset).toHaveBeenCalled();
  });
});

describe('the start page', () => {
  it('takes the name of a room, and explains a bad one', async () => {
    const element = document.createElement('focus-rooms');
    document.body.append(element);
    await settled(element);
    const root = element.shadowRoot as ShadowRoot;
    const rooms: string[] = [];
    element.addEventListener('room', (event) => rooms.push((event as CustomEvent<string>).detail));
    const input = root.querySelector('input') as HTMLInputElement;
    input.value = 'a@b';
    root.querySelector('form')?.requestSubmit();
    await settled(element);
    expect(root.querySelector('[role=status]')?.textContent).toBe(strings.roomProblems.characters);
    input.value = ' Weekly planning';
    root.querySelector('form')?.requestSubmit();
    expect(rooms).toEqual(['weekly planning']);
  });
});

it.each([
  ['Ann', 'A'],
  ['Ann-Marie de la Cruz (2)', 'AC'],
  ['+49 30 1234', '#'],
  ['木村 さくら', '木さ'],
  ['🎉 🎈', '🎉'],
  ['', '#'],
])('the face of %j shows %s', (name, letters) => {
  expect(initials(name)).toBe(letters);
});
