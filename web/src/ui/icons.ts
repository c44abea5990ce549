/** Line icons on a 24 unit square; all are decoration beside words, and hidden from screen readers. */
import { type SVGTemplateResult, type TemplateResult, html, svg } from 'lit';

function icon(shape: SVGTemplateResult): TemplateResult {
  return html`<svg viewBox="0 0 24 24" aria-hidden="true">${shape}</svg>`;
}

export const microphone = icon(
  svg`<rect x="9" y="3" width="6" height="11" rx="3" /><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3M9 21h6" />`,
);
export const microphoneOff = icon(
  svg`<path d="M15 9.5V6a3 3 0 0 0-5.6-1.5M9 9v2a3 3 0 0 0 4.6 2.5M5.5 11.5A6.5 6.5 0 0 0 16 16.6M18 14a6.5 6.5 0 0 0 .5-2.5M12 18v3M9 21h6M4 3.5l16 17" />`,
);
export const hand = icon(
  svg`<path d="M8 12.5V6a1.5 1.5 0 0 1 3 0v5M11 10.5V4.5a1.5 1.5 0 0 1 3 0V11M14 11V6a1.5 1.5 0 0 1 3 0v8.5a6.5 6.5 0 0 1-11.6 4L3.3 15a1.5 1.5 0 0 1 2.4-1.800L8 15.5" />`,
);
export const leave = icon(
  svg`<path d="M3.2 14.9c-.8-.8-.9-2-.2-2.9C5 9.5 8.3 8 12 8s7 1.5 9 4c.7.9.6 2.1-.2 2.9l-.9.9c-.6.6-1.5.7-2.2.3l-2-1.2c-.6-.4-1-1-.9-1.8l.1-.8a9 9 0 0 0-5.8 0l.1.8c.1.8-.3 1.4-.9 1.8l-2 1.2c-.7.4-1.6.3-2.2-.3z" />`,
);
export const link = icon(
  svg`<path d="M10 14a4.5 4.5 0 0 0 6.4 0l3-3A4.5 4.5 0 0 0 13 4.6l-1 1M14 10a4.5 4.5 0 0 0-6.4 0l-3 3A4.5 4.5 0 0 0 11 19.4l1-1" />`,
);
export const alert = icon(svg`<path d="M12 8v5M12 16.5v.01M10.3 4 2.8 17a2 2 0 0 0 1.7 3h15a2 2 0 0 0 1.7-3L13.7 4a2 2 0 0 0-3.4 0z" />`);
export const people = icon(
  svg`<circle cx="9" cy="8.5" r="3.5" /><path d="M2.5 19.5a6.5 6.5 0 0 1 13 0M16 5.3a3.5 3.5 0 0 1 0 6.4M18.5 14.5a6.5 6.5 0 0 1 3 5" />`,
);
export const sound = icon(svg`<path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11" />`);
export const wave = icon(svg`<path d="M4 10.5v3M8 7.5v9M12 4.5v15M16 7.5v9M20 10.5v3" />`);
