/** <focus-lobby>: the form before a meeting. Fires `join` with the name and the microphone. */
import { LitElement, type TemplateResult, css, html, nothing } from 'lit';
import { nickname } from '../jid';
import { obstacle } from '../microphone';
import { remember, remembered } from '../preferences';
import { strings } from '../strings';
import { FocusMicrophones } from './focus-microphones';
import { microphone } from './icons';
import { theme } from './theme';

export interface JoinRequest {
  readonly name: string;
  readonly microphone: string;
}

export class FocusLobby extends LitElement {
  static override properties = { room: {}, name: {}, elsewhere: {}, problem: { state: true } };
  declare room: string;
  /** The name to begin with; '' for the one used last. */
  declare name: string;
  /** Where another room is chosen; '' where the page around us has chosen it. */
  declare elsewhere: string;
  private declare problem: string;

  static override styles = [
    theme,
    css`
      :host {
        display: block;
      }
      .intro {
        margin: 0.35rem 0 1.6rem;
      }
      .field {
        margin-bottom: 1.15rem;
      }
      .named {
        margin-bottom: 0.5rem;
      }
      .problem {
        min-height: 1.3125rem;
      }
      .primary {
        width: 100%;
        min-height: 52px;
        margin-top: 0.5rem;
        font-size: 1.0625rem;
      }
      .obstacle {
        margin-bottom: 1.25rem;
        padding: 0.8rem 1rem;
        border-radius: 14px;
        background: var(--warning-soft);
        color: var(--warning-text);
        font-size: 0.9rem;
      }
      .obstacle a {
        color: inherit;
      }
      .other {
        margin-top: 0.6rem;
        text-align: center;
      }
      .other a {
        display: inline-block;
        padding: 0.4rem;
        border-radius: 6px;
        color: var(--text-soft);
      }
    `,
  ];

  constructor() {
    super();
    this.room = '';
    this.name = '';
    this.elsewhere = '';
    this.problem = '';
  }

  private submit(event: Event): void {
    event.preventDefault();
    const input = this.renderRoot.querySelector<HTMLInputElement>('#name');
    const name = nickname(input?.value ?? '');
    if (!name) {
      this.problem = strings.nameMissing;
      input?.focus();
      return;
    }
    this.problem = '';
    remember('name', name);
    const devices = this.renderRoot.querySelector('focus-microphones');
    const detail: JoinRequest = { name, microphone: devices instanceof FocusMicrophones ? devices.value : '' };
    this.dispatchEvent(new CustomEvent('join', { detail }));
  }

  override render(): TemplateResult {
    const hindrance = obstacle();
    const { problem } = this;
    return html`
      <form class="card" part="card" novalidate @submit=${(event: Event) => this.submit(event)}>
        <span class="badge">${microphone}</span>
        <h1 dir="auto">${this.room}</h1>
        <p class="intro soft">${strings.tagline}</p>
        ${hindrance
          ? html`<p class="obstacle">
              <strong>${strings.failures[hindrance.code].title}.</strong> ${strings.failures[hindrance.code].advice}
              ${hindrance.code === 'microphone-withheld' ? html`<a href=${location.href} target="_blank">${strings.ownWindow}</a>` : nothing}
            </p>`
          : nothing}
        <div class="field named">
          <label for="name">${strings.nameLabel}</label>
          <input
            id="name"
            part="name-input"
            autocomplete="name"
            dir="auto"
            autocapitalize="words"
            spellcheck="false"
            maxlength="60"
            placeholder=${strings.namePlaceholder}
            aria-invalid=${problem ? 'true' : 'false'}
            aria-describedby="problem"
            .value=${this.name || remembered('name')}
          />
          <p class="problem" id="problem">${problem}</p>
        </div>
        <div class="field"><focus-microphones exportparts="microphone"></focus-microphones></div>
        <button class="primary" part="join-button">${strings.join}</button>
        ${this.elsewhere ? html`<p class="other small"><a href=${this.elsewhere} part="rooms-link">${strings.changeRoom}</a></p>` : nothing}
      </form>
    `;
  }
}

customElements.define('focus-lobby', FocusLobby);
