/** <focus-rooms>: the start page, where a room is named. Fires `room` with its name. */
import { LitElement, type TemplateResult, css, html } from 'lit';
import { type RoomName, roomName } from '../jid';
import { strings } from '../strings';
import { wave } from './icons';
import { theme } from './theme';

type Problem = Extract<RoomName, { ok: false }>['problem'];

export class FocusRooms extends LitElement {
  static override properties = { name: {}, problem: {}, heading: {} };
  /** What to begin with: a name that could not be used. */
  declare name: string;
  declare problem: Problem | '';
  declare heading: string;

  static override styles = [
    theme,
    css`
      :host {
        display: grid;
        place-items: center;
        min-height: 100vh;
        min-height: 100dvh;
        padding: 1.25rem;
        background: var(--background);
        background-image: var(--glow);
      }
      main {
        width: min(100%, 26rem);
      }
      .intro {
        margin: 0.35rem 0 1.6rem;
      }
      #hint {
        min-height: 3em;
      }
      .primary {
        width: 100%;
        min-height: 52px;
        margin-top: 1.1rem;
        font-size: 1.0625rem;
      }
      .hint {
        margin-top: 0.4rem;
      }
    `,
  ];

  constructor() {
    super();
    this.name = '';
    this.problem = '';
    this.heading = strings.product;
  }

  private submit(event: Event): void {
    event.preventDefault();
    const input = this.renderRoot.querySelector('input');
    const room = roomName(input?.value ?? '');
    if (room.ok) {
      this.dispatchEvent(new CustomEvent('room', { detail: room.name }));
    } else {
      this.problem = room.problem;
      input?.focus();
    }
  }

  override render(): TemplateResult {
    const words = this.problem ? strings.roomProblems[this.problem] : '';
    return html`
      <main>
        <form class="card" part="card" novalidate @submit=${(event: Event) => this.submit(event)}>
          <span class="badge">${wave}</span>
          <h1>${this.heading}</h1>
          <p class="intro soft">${strings.tagline}</p>
          <label for="room">${strings.roomLabel}</label>
          <input
            id="room"
            part="room-input"
            autocomplete="off"
            dir="auto"
            autocapitalize="none"
            spellcheck="false"
            aria-invalid=${words ? 'true' : 'false'}
            aria-describedby="hint"
            .value=${this.name}
          />
          <p id="hint" role="status" class=${words ? 'problem' : 'hint small soft'}>${words || strings.roomHint}</p>
          <button class="primary" part="room-button">${strings.openRoom}</button>
        </form>
      </main>
    `;
  }
}

customElements.define('focus-rooms', FocusRooms);
