/** IQ stanzas and stanza errors (RFC 6120 section 8). */
import { NS } from './namespaces';
import { child, element, text } from './xml';

/** An error that came back for something we sent. */
export class StanzaError extends Error {
  readonly condition: string;
  readonly text: string;

  constructor(condition: string, words = '') {
    super(words ? `${condition}: ${words}` : condition);
    this.condition = condition;
    this.text = words;
  }
}

/** The error of a stanza of type error. */
export function parseStanzaError(stanza: Element): StanzaError {
  const error = Array.from(stanza.children).find((each) => each.localName === 'error');
  const condition = error && Array.from(error.children).find((each) => each.namespaceURI === NS.STANZAS && each.localName !== 'text');
  return new StanzaError(condition?.localName ?? 'undefined-condition', text(error && child(error, NS.STANZAS, 'text')));
}

export function iq(type: 'get' | 'set', to: string | undefined, content: Element): Element {
  return element(NS.CLIENT, 'iq', { type, to }, content);
}

export function resultOf(request: Element, content?: Element): Element {
  return element(NS.CLIENT, 'iq', { type: 'result', id: request.getAttribute('id'), to: request.getAttribute('from') }, content);
}

const TYPES = {
  'bad-request': 'modify',
  'feature-not-implemented': 'cancel',
  'item-not-found': 'cancel',
  'not-acceptable': 'modify',
  'service-unavailable': 'cancel',
  'unexpected-request': 'wait',
} as const;

/** An error in answer to a request; `specific` is the application's own condition beside the general one. */
export function errorOf(request: Element, condition: keyof typeof TYPES, specific?: Element): Element {
  return element(
    NS.CLIENT,
    'iq',
    { type: 'error', id: request.getAttribute('id'), to: request.getAttribute('from') },
    element(NS.CLIENT, 'error', { type: TYPES[condition] }, element(NS.STANZAS, condition), specific),
  );
}
