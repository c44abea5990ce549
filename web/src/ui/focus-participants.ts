/** <focus-participants>: who is in the meeting, and who speaks. */
import { LitElement, type PropertyValues, type TemplateResult, css, html, nothing } from 'lit';
import type { Participant } from '../meeting';
import { strings } from '../strings';
import { hand as raisedHand, microphoneOff } from './icons';
import { theme } from './theme';

const TONES = 8;
/** Of more than so many each has a line in place of a card. */
const CROWD = 12;

/** Up to two letters for a face: of the first and the last word. */
export function initials(name: string): string {
  // A telephone number has no initials, nor has a picture.
  if (!/\p{L}/u.test(name)) return name.match(/\p{Extended_Pictographic}/u)?.[0] ?? '#';
  const words = name.replace(/\(.*?\)/g, ' ').match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu) ?? [];
  const first = words[0] ?? '';
  const last = words.length > 1 ? (words[words.length - 1] ?? '') : '';
  const letters = Array.from(first).slice(0, 1).concat(Array.from(last).slice(0, 1));
  return letters.join('').toUpperCase();
}

/** One of a few colours, always the same for a name. */
export function tone(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return sum % TONES;
}

export class FocusParticipants extends LitElement {
  static override properties = { participants: { attribute: false } };
  declare participants: readonly Participant[];

  static override styles = [
    theme,
    css`
      :host {
        display: block;
        width: 100%;
      }
      ul {
        --columns: 4;
        display: flex;
        flex-wrap: wrap;
        justify-content: center;
        gap: 1rem;
        max-width: calc(var(--columns) * 13.5rem);
        margin: 0 auto;
        padding: 0;
        list-style: none;
      }
      :host([data-count='5']) ul,
      :host([data-count='6']) ul {
        --columns: 3;
      }
      li {
        position: relative;
        display: flex;
        flex: 0 0 12.5rem;
        flex-direction: column;
        align-items: center;
        min-width: 0;
        padding: 1.6rem 0.9rem 1.15rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--surface);
        text-align: center;
        transition:
          border-color 0.2s,
          box-shadow 0.2s;
        animation: enter 0.25s ease-out;
      }
      li[data-speaking='true'] {
        border-color: var(--speaking);
        box-shadow: 0 0 0 1px var(--speaking);
      }
      .face {
        position: relative;
        isolation: isolate;
        display: grid;
        place-items: center;
        width: 4.75rem;
        height: 4.75rem;
        margin-bottom: 0.95rem;
        border-radius: 50%;
        background: var(--tone-back);
        color: var(--tone-text);
        font-size: 1.5rem;
        font-weight: 600;
        letter-spacing: 0.01em;
      }
      .face::after {
        content: '';
        position: absolute;
        inset: -6px;
        border: 3px solid var(--speaking);
        border-radius: 50%;
        opacity: 0;
        transform: scale(0.92);
        transition:
          opacity 0.2s,
          transform 0.2s;
      }
      li[data-speaking='true'] .face::after {
        opacity: 1;
        transform: none;
        animation: pulse 1.4s ease-in-out infinite;
      }
      li[data-status='ringing'] .face,
      li[data-status='on-hold'] .face {
        opacity: 0.55;
      }
      .raised,
      .silent {
        position: absolute;
        right: -4px;
        bottom: -4px;
        z-index: 1;
        display: flex;
        align-items: center;
        justify-content: center;
        gap: 0.15em;
        min-width: 1.9rem;
        height: 1.9rem;
        border: 3px solid var(--surface);
        border-radius: 999px;
        background: var(--danger);
        color: #fff;
        font-size: 0.8rem;
      }
      .raised {
        right: calc(50% + 12px);
        padding-inline: 0.3em;
        background: var(--accent);
        color: var(--on-accent);
      }
      .words {
        display: contents;
      }
      .name {
        display: -webkit-box;
        max-width: 100%;
        overflow: hidden;
        font-weight: 600;
        line-height: 1.35;
        overflow-wrap: anywhere;
        text-wrap: balance;
        -webkit-box-orient: vertical;
        -webkit-line-clamp: 2;
      }
      .state {
        min-height: 1.3em;
        color: var(--text-soft);
        font-size: 0.8125rem;
        line-height: 1.3;
      }
      li[data-speaking='true'] .state {
        color: var(--accent);
      }
      .you {
        position: absolute;
        top: 0.7rem;
        left: 0.7rem;
        padding: 0.05rem 0.5rem;
        border-radius: 999px;
        background: var(--accent-soft);
        color: var(--accent);
        font-size: 0.75rem;
        font-weight: 600;
      }
      [data-tone='0'] { --tone-back: light-dark(#d7ece8, #1d4640); --tone-text: light-dark(#0d544d, #a5e6db); }
      [data-tone='1'] { --tone-back: light-dark(#dfe6fa, #27365f); --tone-text: light-dark(#2c438c, #bccbfa); }
      [data-tone='2'] { --tone-back: light-dark(#f9e2d6, #5a3222); --tone-text: light-dark(#87401c, #f8c6ab); }
      [data-tone='3'] { --tone-back: light-dark(#ece0f6, #442d59); --tone-text: light-dark(#5e3684, #ddc3f5); }
      [data-tone='4'] { --tone-back: light-dark(#f7e9c4, #4d3c10); --tone-text: light-dark(#6b4c05, #f3d888); }
      [data-tone='5'] { --tone-back: light-dark(#f8dde6, #592639); --tone-text: light-dark(#8c2649, #f8bccf); }
      [data-tone='6'] { --tone-back: light-dark(#dceaf4, #1f4157); --tone-text: light-dark(#1c5072, #b0d9f2); }
      [data-tone='7'] { --tone-back: light-dark(#e3ecd3, #354420); --tone-text: light-dark(#48601c, #cfe3a8); }
      @keyframes enter {
        from {
          opacity: 0;
          transform: translateY(6px);
        }
      }
      @keyframes pulse {
        50% {
          opacity: 0.45;
        }
      }
      @container (max-width: 480px) {
        ul {
          gap: 0.75rem;
        }
        li {
          flex-basis: calc(50% - 0.375rem);
          padding: 1.15rem 0.6rem 0.7rem;
        }
        .face {
          width: 3.5rem;
          height: 3.5rem;
          margin-bottom: 0.75rem;
          font-size: 1.15rem;
        }
        .raised,
        .silent {
          right: -10px;
          bottom: -7px;
          min-width: 1.5rem;
          height: 1.5rem;
          border-width: 2px;
          font-size: 0.7rem;
        }
        .raised {
          right: calc(50% + 14px);
        }
        .you {
          top: 0.5rem;
          left: 0.5rem;
        }
      }
      :host([crowded]) {
        ul {
          --columns: 5;
          gap: 0.6rem;
        }
        li {
          flex: 0 0 min(12rem, 50% - 0.3rem);
          flex-direction: row;
          gap: 0.75rem;
          padding: 0.55rem 0.7rem;
          border-radius: 14px;
          text-align: start;
        }
        .face {
          flex: none;
          width: 2.5rem;
          height: 2.5rem;
          margin: 0;
          font-size: 0.95rem;
        }
        .face::after {
          inset: -4px;
          border-width: 2px;
        }
        .raised,
        .silent {
          right: -8px;
          bottom: -6px;
          min-width: 1.35rem;
          height: 1.35rem;
          border-width: 2px;
          font-size: 0.65rem;
        }
        .raised {
          right: calc(50% + 6px);
        }
        .words {
          display: block;
          min-width: 0;
        }
        .name {
          font-size: 0.875rem;
          text-align: match-parent;
          text-wrap: wrap;
        }
        .state {
          display: block;
          min-height: 0;
          font-size: 0.75rem;
        }
        /* The ring says it, and no row changes its height with each word. */
        li[data-speaking='true'] .state {
          position: absolute;
          clip-path: inset(50%);
        }
        .you {
          top: -0.55rem;
          left: auto;
          right: 0.7rem;
        }
      }
      @container (max-width: 340px) {
        :host([crowded]) li {
          flex-basis: 100%;
        }
      }
      @media (forced-colors: active) {
        .face {
          outline: 1px solid;
        }
        li[data-speaking='true'],
        .face::after {
          border-color: Highlight;
        }
        .raised,
        .silent {
          border-width: 1px;
          background: Canvas;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.participants = [];
  }

  /** Small rooms are told apart by attribute, so that hosts can lay them out in their own way. */
  override updated(changed: PropertyValues): void {
    if (!changed.has('participants')) return;
    this.dataset['count'] = String(this.participants.length);
    this.toggleAttribute('crowded', this.participants.length > CROWD);
  }

  override render(): TemplateResult {
    const hands = this.participants.filter(({ hand }) => hand > 0).length;
    return html`
      <ul role="list" aria-label=${strings.participants} part="participants">
        ${this.participants.map((participant) => this.participant(participant, hands))}
      </ul>
    `;
  }

  private participant(participant: Participant, hands: number): TemplateResult {
    const { name, conference, hand, muted, speaking, self, status } = participant;
    const voice = voiceOf(participant);
    return html`
      <li
        role="listitem"
        part="participant"
        data-testid="participant"
        data-name=${name}
        data-speaking=${String(speaking)}
        data-muted=${String(muted)}
        data-self=${String(self)}
        data-conference=${String(conference)}
        data-hand=${String(hand > 0)}
        data-status=${status}
        data-tone=${tone(name)}
      >
        ${self ? html`<span class="you">${strings.you}</span>` : nothing}
        <span class="face" part="face" aria-hidden="true"
          >${initials(name)}${hand ? html`<span class="raised" title=${strings.hand(hand, hands)}>${raisedHand}${hands > 1 ? hand : nothing}</span>` : nothing}${
            muted ? html`<span class="silent">${microphoneOff}</span>` : nothing
          }</span
        >
        <span class="words">
          <span class="name" part="name" dir="auto" title=${name}>${name}</span>
          <span class="state">${hand ? html`<span class="unseen">${strings.hand(hand, hands)}${voice ? ', ' : nothing}</span>` : nothing}${voice}</span>
        </span>
      </li>
    `;
  }
}

function voiceOf({ conference, muted, mutedByFocus, speaking, status }: Participant): string {
  if (status === 'ringing') return strings.ringing;
  if (status === 'on-hold') return strings.onHold;
  if (mutedByFocus) return strings.mutedByFocus;
  if (muted) return strings.muted;
  if (speaking) return strings.speaking;
  return conference ? strings.conference : '';
}

customElements.define('focus-participants', FocusParticipants);
