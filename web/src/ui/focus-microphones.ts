/** <focus-microphones>: which microphone to use. Browsers name them only after permission was given. */
import { LitElement, type TemplateResult, css, html, nothing } from 'lit';
import { Failure } from '../failure';
import { type Device, listMicrophones, openMicrophone } from '../microphone';
import { remember, remembered } from '../preferences';
import { strings } from '../strings';
import { theme } from './theme';

export class FocusMicrophones extends LitElement {
  static override properties = { compact: { type: Boolean }, devices: { state: true }, problem: { state: true }, value: { state: true } };
  /** Within a meeting: the choice alone, without label and help. */
  declare compact: boolean;
  declare value: string;
  private declare devices: readonly Device[];
  private declare problem: string;

  static override styles = [
    theme,
    css`
      :host {
        display: block;
        min-width: 0;
      }
      .below {
        margin-top: 0.4rem;
      }
      :host([compact]) select {
        min-height: 44px;
        border-color: var(--line);
        border-radius: 999px;
        background-color: var(--surface-raised);
        font-size: 0.9375rem;
      }
      :host([compact]) select:hover {
        border-color: var(--line-strong);
      }
    `,
  ];

  constructor() {
    super();
    this.compact = false;
    this.devices = [];
    this.problem = '';
    this.value = remembered('microphone');
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.list();
    if ('mediaDevices' in navigator) navigator.mediaDevices.addEventListener('devicechange', this.changed);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if ('mediaDevices' in navigator) navigator.mediaDevices.removeEventListener('devicechange', this.changed);
  }

  private readonly changed = (): void => void this.list();

  private async list(): Promise<void> {
    try {
      this.devices = await listMicrophones();
    } catch {
      this.devices = [];
    }
  }

  /** Opens the microphone for a moment, so that the browser asks for permission and then names them all. */
  private async find(): Promise<void> {
    this.problem = '';
    try {
      const opened = await openMicrophone('');
      await this.list();
      for (const track of opened.getTracks()) track.stop();
    } catch (error) {
      if (error instanceof Failure) this.problem = strings.failures[error.code].title;
    }
  }

  private choose(event: Event): void {
    this.value = (event.target as HTMLSelectElement).value;
    remember('microphone', this.value);
    this.dispatchEvent(new CustomEvent('microphone', { detail: this.value }));
  }

  override render(): TemplateResult {
    const known = this.devices.some(({ id }) => id === this.value);
    return html`
      <label for="microphone" class=${this.compact ? 'unseen' : ''}>${strings.microphoneLabel}</label>
      <select id="microphone" part="microphone" @change=${(event: Event) => this.choose(event)}>
        <option value="" ?selected=${!known}>${strings.microphoneDefault}</option>
        ${this.devices.map(({ id, label }) => html`<option value=${id} ?selected=${id === this.value}>${label}</option>`)}
      </select>
      ${this.devices.length > 0 || this.compact
        ? nothing
        : html`<p class="below small soft"><button type="button" class="link" @click=${() => void this.find()}>${strings.microphoneFind}</button></p>`}
      ${this.problem ? html`<p class="problem">${this.problem}</p>` : nothing}
    `;
  }
}

customElements.define('focus-microphones', FocusMicrophones);
