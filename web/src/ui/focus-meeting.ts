/**
 * <focus-meeting room="...">: a whole meeting, from the form before it to the word of goodbye after it.
 *
 * Attributes: `room`; `name` to begin with; `service`, the origin that serves /config.json (default: the page's own);
 * `global-keys`, when the element is the whole page and M may be pressed anywhere. `data-state` tells the phase.
 */
import { LitElement, type PropertyValues, type TemplateResult, css, html, nothing } from 'lit';
import { pathOfRoom, roomName } from '../jid';
import { INITIAL_VIEW, Meeting, type MeetingModel, type View } from '../meeting';
import { Failure } from '../failure';
import { remembered } from '../preferences';
import { type FailureWords, strings } from '../strings';
import './focus-lobby';
import './focus-microphones';
import './focus-participants';
import type { JoinRequest } from './focus-lobby';
import { alert, hand as raisedHand, leave, link, microphone, microphoneOff, people, sound, wave } from './icons';
import { theme } from './theme';

/** How long the last notice stays in sight, in milliseconds. Screen readers have spoken it by then. */
const NOTICE = 6000;
/** The same of a link that somebody has to write down. */
const LINK = 60_000;

export class FocusMeeting extends LitElement {
  static override properties = {
    room: {},
    name: {},
    service: {},
    globalKeys: { type: Boolean, attribute: 'global-keys' },
    meeting: { attribute: false },
    view: { state: true },
    notice: { state: true },
    soundBlocked: { state: true },
  };
  declare room: string;
  declare name: string;
  declare service: string;
  declare globalKeys: boolean;
  /** What is shown; made from `room` and `service` unless it is set. */
  declare meeting: MeetingModel | undefined;
  private declare view: View;
  private declare notice: string;
  private declare soundBlocked: boolean;
  /** The room's, as far as we were told. */
  private password = '';
  private noticed = 0;
  private noticeTimer: ReturnType<typeof setTimeout> | undefined;

  static override styles = [
    theme,
    css`
      :host {
        display: grid;
        container-type: inline-size;
        contain-intrinsic-inline-size: 24rem;
        grid-template: auto 1fr auto / minmax(0, 1fr);
        width: 100%;
        min-height: 100vh;
        min-height: 100dvh;
        background: var(--background);
        background-image: var(--glow);
      }
      .middle {
        display: grid;
        grid-row: 1 / -1;
        place-items: center;
        padding: 1.25rem;
      }
      .middle > * {
        width: min(100%, 26rem);
      }
      .centred {
        text-align: center;
      }
      .centred .badge {
        margin-inline: auto;
      }
      .centred p {
        margin-top: 0.5rem;
      }
      .badge.bad {
        background: var(--danger-soft);
        color: var(--danger-strong);
      }
      .actions {
        display: grid;
        gap: 0.65rem;
        margin-top: 1.6rem;
      }
      .dots {
        display: flex;
        justify-content: center;
        gap: 0.45rem;
        height: 3rem;
        align-items: center;
        margin-bottom: 1.1rem;
      }
      .dots i {
        width: 0.7rem;
        height: 0.7rem;
        border-radius: 50%;
        background: var(--accent);
        animation: breathe 1.2s ease-in-out infinite;
      }
      .dots i:nth-child(2) {
        animation-delay: 0.15s;
      }
      .dots i:nth-child(3) {
        animation-delay: 0.3s;
      }
      header {
        display: flex;
        align-items: center;
        gap: 0.6rem 1rem;
        flex-wrap: wrap;
        padding: 1.1rem clamp(1rem, 4vw, 2.25rem);
      }
      header h1 {
        display: -webkit-box;
        overflow: hidden;
        font-size: 1.25rem;
        -webkit-box-orient: vertical;
        -webkit-line-clamp: 2;
      }
      .heading {
        flex: 1 1 10rem;
        min-width: 0;
      }
      .meta {
        display: flex;
        align-items: center;
        gap: 0.35rem 1rem;
        flex-wrap: wrap;
        color: var(--text-soft);
        font-size: 0.875rem;
      }
      .meta > span {
        display: inline-flex;
        align-items: center;
        gap: 0.4rem;
      }
      .light {
        width: 0.55rem;
        height: 0.55rem;
        border-radius: 50%;
        background: var(--speaking);
      }
      .light.weak {
        background: #e0a021;
      }
      main {
        display: grid;
        align-content: safe center;
        justify-items: center;
        gap: 1.5rem;
        width: min(100%, 68rem);
        margin-inline: auto;
        padding: 0.75rem clamp(1rem, 4vw, 2.25rem) 1.5rem;
      }
      .banner {
        display: flex;
        align-items: center;
        gap: 0.75rem;
        width: 100%;
        max-width: 40rem;
        padding: 0.75rem 1.1rem;
        border-radius: 16px;
        background: var(--warning-soft);
        color: var(--warning-text);
        font-size: 0.9375rem;
      }
      .banner p {
        flex: 1;
      }
      .alone {
        max-width: 26rem;
        color: var(--text-soft);
        text-align: center;
      }
      footer {
        position: sticky;
        bottom: 0;
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        justify-items: center;
        gap: 0.75rem;
        padding: 0.5rem 1rem max(1.25rem, env(safe-area-inset-bottom));
        background: linear-gradient(to top, var(--background) 72%, transparent);
        pointer-events: none;
      }
      footer > * {
        pointer-events: auto;
      }
      .controls {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        max-width: 100%;
        padding: 0.5rem;
        border: 1px solid var(--line);
        border-radius: 999px;
        background: var(--surface);
        box-shadow: var(--shadow);
      }
      .controls button {
        flex: none;
        min-height: 48px;
      }
      .controls .mute {
        min-width: 8.4rem;
      }
      .controls .off {
        border-color: transparent;
        background: var(--danger-soft);
        color: var(--danger-strong);
      }
      .controls .mute[aria-disabled='true'] {
        cursor: not-allowed;
      }
      .controls .raised {
        border-color: transparent;
        background: var(--accent-soft);
        color: var(--accent);
      }
      .controls focus-microphones {
        width: 13.5rem;
        min-width: 0;
      }
      kbd {
        padding: 0 0.4rem;
        border: 1px solid color-mix(in srgb, currentcolor 35%, transparent);
        border-radius: 6px;
        font: 500 0.75rem/1.35rem var(--font);
        opacity: 0.8;
      }
      .notice {
        position: absolute;
        bottom: 100%;
        inset-inline: 1rem;
        width: fit-content;
        margin-inline: auto;
        max-width: min(100%, 32rem);
        padding: 0.45rem 1rem;
        border-radius: 999px;
        background: var(--text);
        color: var(--background);
        font-size: 0.875rem;
        overflow-wrap: anywhere;
        text-align: center;
      }
      .notice:empty,
      :host(:not([data-state='joined'])) .notice {
        width: 1px;
        height: 1px;
        padding: 0;
        overflow: hidden;
        clip-path: inset(50%);
      }
      :host(:not([data-state='joined'])) footer {
        padding: 0;
      }
      h1:focus {
        outline: none;
      }
      @keyframes breathe {
        50% {
          opacity: 0.25;
          transform: scale(0.75);
        }
      }
      @container (max-width: 760px) {
        .controls {
          display: grid;
          grid-template-columns: 1fr 1fr;
          width: 100%;
          border-radius: 26px;
        }
        .controls focus-microphones {
          width: 100%;
        }
        .controls button {
          gap: 0.4rem;
          min-width: 0;
          padding-inline: 0.4rem;
          white-space: nowrap;
        }
        .controls .mute[aria-disabled='true'] {
          padding-block: 0;
          font-size: 0.875rem;
          line-height: 1.2;
          white-space: normal;
        }
        kbd {
          display: none;
        }
        header {
          flex-wrap: nowrap;
        }
        header button {
          padding-inline: 0.8rem;
        }
        header button span {
          position: absolute;
          width: 1px;
          height: 1px;
          overflow: hidden;
          clip-path: inset(50%);
          white-space: nowrap;
        }
        footer {
          padding-inline: 0.75rem;
        }
        .banner {
          flex-wrap: wrap;
        }
      }
      @media (forced-colors: active) {
        .light,
        .dots i {
          forced-color-adjust: none;
        }
        .notice {
          border: 1px solid;
        }
      }
      @media (prefers-reduced-motion: reduce) {
        .dots i {
          opacity: 0.6;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.room = '';
    this.name = '';
    this.service = '';
    this.globalKeys = false;
    this.view = INITIAL_VIEW;
    this.notice = '';
    this.soundBlocked = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('pagehide', this.goodbye);
    window.addEventListener('keydown', this.key);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('pagehide', this.goodbye);
    window.removeEventListener('keydown', this.key);
    this.meeting?.leave();
  }

  override willUpdate(changed: PropertyValues): void {
    if (changed.has('meeting')) {
      (changed.get('meeting') as MeetingModel | undefined)?.removeEventListener('change', this.take);
      this.meeting?.addEventListener('change', this.take);
      this.take();
    } else if (changed.has('room') || changed.has('service')) {
      this.meeting?.leave();
      this.meeting?.removeEventListener('change', this.take);
      const room = roomName(this.room);
      this.meeting = room.ok ? new Meeting({ service: this.service || location.origin, room: room.name, node: room.node }) : undefined;
      this.meeting?.addEventListener('change', this.take);
      this.take();
    }
  }

  private readonly take = (): void => {
    const before = this.view;
    this.view = this.meeting?.view ?? INITIAL_VIEW;
    this.dataset['state'] = this.view.phase;
    if (this.view.notice.serial !== this.noticed) {
      this.noticed = this.view.notice.serial;
      this.tell(this.view.notice.text);
    }
    if (this.view.phase !== 'joined') this.soundBlocked = false;
    this.dispatchEvent(new CustomEvent('change', { detail: this.view }));
    if (before.phase !== this.view.phase) void this.updateComplete.then(() => this.greet());
  };

  private tell(words: string, time = NOTICE): void {
    this.notice = words;
    clearTimeout(this.noticeTimer);
    this.noticeTimer = setTimeout(() => (this.notice = ''), time);
  }

  /** A new phase has a new heading: keyboards and screen readers go on from there. */
  private greet(): void {
    if (this.view.phase !== 'idle') this.renderRoot.querySelector<HTMLElement>('h1')?.focus();
  }

  override updated(): void {
    const audio = this.renderRoot.querySelector('audio');
    if (!audio || audio.srcObject === this.view.audio) return;
    audio.srcObject = this.view.audio;
    if (this.view.audio) void this.play();
  }

  private async play(): Promise<void> {
    try {
      await this.renderRoot.querySelector('audio')?.play();
      this.soundBlocked = false;
    } catch (error) {
      // Anything else is a stream that was replaced by the next one.
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.soundBlocked = true;
    }
  }

  private readonly goodbye = (): void => this.meeting?.leave();

  private readonly key = (event: KeyboardEvent): void => {
    const path = event.composedPath();
    if (event.key.toLowerCase() !== 'm' || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (!this.globalKeys && !path.includes(this)) return;
    const [target] = path;
    if (target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'))) return;
    if (this.view.phase === 'joined') this.toggleMuted();
  };

  private toggleMuted(): void {
    if (!this.barred) this.meeting?.setMuted(!this.muted);
  }

  /** Whether nobody hears us, by whatever it is. */
  private get muted(): boolean {
    return this.view.muted || this.view.participants.some((each) => each.self && each.muted);
  }

  /** Whether a moderator has muted us, so that our own button makes no difference. */
  private get barred(): boolean {
    return this.view.participants.some((each) => each.self && each.mutedByFocus);
  }

  private async join({ name, microphone: id }: JoinRequest): Promise<void> {
    this.name = name;
    await this.meeting?.join(name, id, this.password);
  }

  private enterPassword(event: Event): void {
    event.preventDefault();
    const input = this.renderRoot.querySelector<HTMLInputElement>('#password');
    this.password = input?.value ?? '';
    if (this.password) this.again();
    else input?.focus();
  }

  private async copy(): Promise<void> {
    const { href } = new URL(pathOfRoom(this.room), this.service || location.origin);
    try {
      await navigator.clipboard.writeText(href);
      this.tell(strings.linkCopied);
    } catch {
      this.tell(strings.linkRefused(href), LINK);
    }
  }

  private async useMicrophone(id: string): Promise<void> {
    try {
      await this.meeting?.useMicrophone(id);
    } catch (error) {
      if (error instanceof Failure) this.tell(strings.failures[error.code].title);
    }
  }

  override render(): TemplateResult {
    const { phase } = this.view;
    const status = phase === 'connecting' ? strings.progress[this.view.progress] : this.notice;
    return html`
      ${phase === 'joined' ? this.joined() : html`<main class="middle">${this.outside()}</main>`}
      <footer part="footer">
        <div class="notice" role="status" aria-live="polite">${status}</div>
        ${phase === 'joined' ? this.controls() : nothing}
      </footer>
      <audio autoplay></audio>
    `;
  }

  private outside(): TemplateResult {
    const { phase, failure, progress } = this.view;
    switch (phase) {
      case 'connecting':
        return html`
          <section class="card centred" part="card">
            <div class="dots" aria-hidden="true"><i></i><i></i><i></i></div>
            <h1 tabindex="-1">${strings.joining(this.room)}</h1>
            <p class="soft" aria-hidden="true">${strings.progress[progress]}</p>
            <div class="actions"><button class="quiet" part="cancel-button" @click=${() => this.meeting?.leave()}>${strings.cancel}</button></div>
          </section>
        `;
      case 'failed': {
        const words = strings.failures[failure?.code ?? 'focus'];
        if (failure?.code === 'password') return this.locked(words);
        const detail = failure?.detail ?? '';
        if (failure?.code === 'ended') return this.farewell(wave, '', words.title, words.advice, strings.joinAgain, detail);
        return this.farewell(alert, 'bad', words.title, words.advice, strings.tryAgain, detail);
      }
      case 'left':
        return this.farewell(wave, '', strings.leftTitle, strings.leftAdvice, strings.joinAgain, '');
      default:
        return html`
          <focus-lobby
            .room=${this.room}
            .name=${this.name}
            .elsewhere=${this.globalKeys ? '/' : ''}
            exportparts="card, join-button, name-input, microphone, rooms-link"
            @join=${(event: CustomEvent<JoinRequest>) => void this.join(event.detail)}
          ></focus-lobby>
        `;
    }
  }

  private farewell(icon: TemplateResult, mood: string, title: string, advice: string, again: string, detail: string): TemplateResult {
    return html`
      <section class="card centred" part="card" data-failure=${this.view.failure?.code ?? nothing}>
        <span class="badge ${mood}">${icon}</span>
        <h1 tabindex="-1">${title}</h1>
        <p class="soft">${advice}</p>
        ${detail ? html`<p class="soft small">${strings.said(detail)}</p>` : nothing}
        <div class="actions">
          <button class="primary" part="again-button" @click=${() => this.again()}>${again}</button>
          <button class="quiet" part="back-button" @click=${() => this.meeting?.reset()}>${strings.back}</button>
        </div>
      </section>
    `;
  }

  private locked({ title, advice }: FailureWords): TemplateResult {
    const wrong = this.password !== '';
    return html`
      <form class="card centred" part="card" data-failure="password" novalidate @submit=${(event: Event) => this.enterPassword(event)}>
        <span class="badge bad">${alert}</span>
        <h1 tabindex="-1">${title}</h1>
        <p class="soft">${advice}</p>
        <div class="actions">
          <label class="unseen" for="password">${strings.passwordLabel}</label>
          <input
            id="password"
            part="password-input"
            type="password"
            autocomplete="off"
            placeholder=${strings.passwordLabel}
            aria-invalid=${wrong ? 'true' : 'false'}
            aria-describedby=${wrong ? 'wrong' : nothing}
          />
          ${wrong ? html`<p class="problem" id="wrong">${strings.passwordWrong}</p>` : nothing}
          <button class="primary" part="again-button">${strings.join}</button>
          <button type="button" class="quiet" part="back-button" @click=${() => this.meeting?.reset()}>${strings.back}</button>
        </div>
      </form>
    `;
  }

  private again(): void {
    if (this.name) void this.join({ name: this.name, microphone: remembered('microphone') });
    else this.meeting?.reset();
  }

  private joined(): TemplateResult {
    const { title, participants, signalling, media, unheard } = this.view;
    const gone = signalling === 'waiting' || signalling === 'connecting';
    const weak = gone || media !== 'connected';
    const connection = gone ? strings.reconnecting : media === 'connected' ? strings.connected : strings.interrupted;
    return html`
      <header part="header">
        <div class="heading">
          <h1 tabindex="-1" dir="auto" title=${title}>${title || this.room}</h1>
          <div class="meta">
            <span>${people} ${strings.participantCount(participants.length)}</span>
            <span data-testid="connection" data-signalling=${signalling} data-media=${media}
              ><i class="light ${weak ? 'weak' : ''}" aria-hidden="true"></i>${connection}</span
            >
          </div>
        </div>
        <button class="quiet" part="link-button" @click=${() => void this.copy()}>
          ${link}<span>${strings.copyLink}</span>
        </button>
      </header>
      <main>
        ${gone ? html`<div class="banner">${alert}<p>${media === 'connected' ? strings.serverGone : strings.allGone}</p></div>` : nothing}
        ${unheard ? html`<div class="banner">${alert}<p>${strings.unheard}</p></div>` : nothing}
        ${this.soundBlocked
          ? html`<div class="banner">
              ${sound}
              <p>${strings.soundBlocked}</p>
              <button class="primary" part="sound-button" @click=${() => void this.play()}>${strings.enableSound}</button>
            </div>`
          : nothing}
        <focus-participants .participants=${participants} exportparts="participants, participant, face, name"></focus-participants>
        ${participants.length <= 1 && !gone ? html`<p class="alone">${strings.alone}</p>` : nothing}
      </main>
    `;
  }

  private controls(): TemplateResult {
    const { barred, muted } = this;
    const words = barred ? strings.barredByFocus : muted ? strings.unmute : strings.mute;
    const { hand } = this.view;
    return html`
      <div class="controls" part="controls">
        <button
          class="quiet mute ${muted ? 'off' : ''}"
          part="mute-button"
          aria-keyshortcuts="m"
          aria-disabled=${barred ? 'true' : nothing}
          @click=${() => this.toggleMuted()}
        >
          ${muted ? microphoneOff : microphone}${words}${barred ? nothing : html`<kbd aria-hidden="true">${strings.muteTitle}</kbd>`}
        </button>
        <button class="quiet ${hand ? 'raised' : ''}" part="hand-button" @click=${() => this.meeting?.raiseHand(!hand)}>
          ${raisedHand}${hand ? strings.lowerHand : strings.raiseHand}
        </button>
        <focus-microphones compact exportparts="microphone" @microphone=${(event: CustomEvent<string>) => void this.useMicrophone(event.detail)}></focus-microphones>
        <button class="danger" part="leave-button" @click=${() => this.meeting?.leave()}>${leave}${strings.leave}</button>
      </div>
    `;
  }
}

customElements.define('focus-meeting', FocusMeeting);
