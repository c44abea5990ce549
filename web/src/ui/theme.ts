/** Colours, shapes and the elements that all parts of the page share. Hosts override the --focus-* properties. */
import { css } from 'lit';

export const theme = css`
  :host {
    --accent: var(--focus-accent, #0f766e);
    --accent-strong: var(--focus-accent-strong, #0b5c56);
    --accent-soft: var(--focus-accent-soft, #d5efeb);
    --on-accent: var(--focus-on-accent, #fff);
    --background: var(--focus-background, #f3f5f4);
    --surface: var(--focus-surface, #fff);
    --surface-raised: var(--focus-surface-raised, #fff);
    --field: var(--focus-field, #f7f9f8);
    --text: var(--focus-text, #16211f);
    --text-soft: var(--focus-text-soft, #566462);
    --line: var(--focus-line, #dfe5e3);
    --line-strong: var(--focus-line-strong, #84918e);
    --danger: var(--focus-danger, #c02b35);
    --danger-strong: var(--focus-danger-strong, #9f1f29);
    --danger-soft: var(--focus-danger-soft, #fbe7e8);
    --warning-soft: var(--focus-warning-soft, #fdf1d8);
    --warning-text: var(--focus-warning-text, #70480b);
    --speaking: var(--focus-speaking, #12a594);
    --shadow: 0 1px 2px rgb(16 32 29 / 5%), 0 12px 32px -12px rgb(16 32 29 / 14%);
    --glow: radial-gradient(70rem 30rem at 50% -12rem, color-mix(in srgb, var(--accent-soft) 85%, transparent), transparent);
    --radius: var(--focus-radius, 20px);
    --font: var(--focus-font, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif);
    box-sizing: border-box;
    color: var(--text);
    font: 400 16px/1.5 var(--font);
    color-scheme: light dark;
  }
  @media (prefers-color-scheme: dark) {
    :host {
      --accent: var(--focus-accent, #2dbfae);
      --accent-strong: var(--focus-accent-strong, #52d3c4);
      --accent-soft: var(--focus-accent-soft, #143b37);
      --on-accent: var(--focus-on-accent, #04211d);
      --background: var(--focus-background, #101514);
      --surface: var(--focus-surface, #19201f);
      --surface-raised: var(--focus-surface-raised, #222b29);
      --field: var(--focus-field, #121817);
      --text: var(--focus-text, #ebf1ef);
      --text-soft: var(--focus-text-soft, #9dadaa);
      --line: var(--focus-line, #2b3634);
      --line-strong: var(--focus-line-strong, #6d7d7a);
      --danger: var(--focus-danger, #cc3940);
      --danger-strong: var(--focus-danger-strong, #f2666a);
      --danger-soft: var(--focus-danger-soft, #3b1719);
      --warning-soft: var(--focus-warning-soft, #382a10);
      --warning-text: var(--focus-warning-text, #f3cf8a);
      --speaking: var(--focus-speaking, #2dd4bf);
      --shadow: 0 1px 2px rgb(0 0 0 / 30%), 0 16px 40px -16px rgb(0 0 0 / 60%);
    }
  }
  *,
  *::before,
  *::after {
    box-sizing: inherit;
  }
  h1,
  p {
    margin: 0;
    text-wrap: pretty;
  }
  h1 {
    font-size: 1.5rem;
    font-weight: 650;
    letter-spacing: -0.02em;
    line-height: 1.25;
    overflow-wrap: anywhere;
  }
  svg {
    display: block;
    flex: none;
    width: 1.25em;
    height: 1.25em;
    fill: none;
    stroke: currentcolor;
    stroke-width: 1.8;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  button,
  input,
  select {
    font: inherit;
    color: inherit;
  }
  button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.55rem;
    min-height: 44px;
    padding: 0.55rem 1.15rem;
    border: 1px solid transparent;
    border-radius: 999px;
    background: none;
    font-weight: 560;
    cursor: pointer;
    transition:
      background-color 0.15s,
      border-color 0.15s,
      color 0.15s,
      transform 0.1s;
  }
  button:active {
    transform: scale(0.98);
  }
  .primary {
    background: var(--accent);
    color: var(--on-accent);
  }
  .primary:hover {
    background: var(--accent-strong);
  }
  .quiet {
    border-color: var(--line);
    background: var(--surface-raised);
  }
  .quiet:hover {
    border-color: var(--line-strong);
  }
  .danger {
    background: var(--danger);
    color: #fff;
  }
  .danger:hover {
    background: color-mix(in srgb, var(--danger) 86%, #000);
  }
  .link {
    min-height: 0;
    padding: 0.15rem 0.25rem;
    border-radius: 6px;
    color: var(--accent);
    font-weight: 500;
  }
  .link:hover {
    text-decoration: underline;
    text-underline-offset: 3px;
  }
  :focus-visible {
    outline: 3px solid var(--accent);
    outline-offset: 2px;
  }
  label {
    display: block;
    margin-bottom: 0.4rem;
    font-size: 0.9rem;
    font-weight: 560;
  }
  input,
  select {
    width: 100%;
    min-height: 48px;
    padding: 0.6rem 0.9rem;
    border: 1px solid var(--line-strong);
    border-radius: 12px;
    background: var(--field);
    transition: border-color 0.15s;
  }
  input::placeholder {
    color: var(--text-soft);
    opacity: 0.85;
  }
  input:focus-visible,
  select:focus-visible {
    border-color: var(--accent);
    outline-offset: 0;
  }
  input[aria-invalid='true'] {
    border-color: var(--danger);
  }
  select {
    appearance: none;
    padding-right: 2.4rem;
    background-image:
      linear-gradient(45deg, transparent 50%, var(--text-soft) 50%), linear-gradient(135deg, var(--text-soft) 50%, transparent 50%);
    background-position:
      right 1.15rem center,
      right 0.8rem center;
    background-size: 0.36rem 0.36rem;
    background-repeat: no-repeat;
    text-overflow: ellipsis;
  }
  option {
    background: var(--surface-raised);
    color: var(--text);
  }
  .card {
    width: min(100%, 26rem);
    padding: clamp(1.5rem, 5vw, 2.25rem);
    border: 1px solid var(--line);
    border-radius: calc(var(--radius) + 4px);
    background: var(--surface);
    box-shadow: var(--shadow);
  }
  .soft {
    color: var(--text-soft);
  }
  .small {
    font-size: 0.875rem;
  }
  .problem {
    margin-top: 0.4rem;
    color: var(--danger);
    font-size: 0.875rem;
  }
  .badge {
    display: grid;
    place-items: center;
    width: 3rem;
    height: 3rem;
    margin-bottom: 1.1rem;
    border-radius: 15px;
    background: var(--accent-soft);
    color: var(--accent);
    font-size: 1.15rem;
  }
  .unseen {
    position: absolute;
    width: 1px;
    height: 1px;
    margin: -1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (prefers-color-scheme: dark) {
    .problem {
      color: var(--danger-strong);
    }
  }
  /* The arrow of a choice is a background, of which there are none. */
  @media (forced-colors: active) {
    select {
      appearance: auto;
      padding-right: 0.6rem;
      background: none;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation: none !important;
      transition: none !important;
    }
  }
`;
