/**
 * Conference information (XEP-0298), received: RFC 4575 section 4.
 *
 * Documents are kept as plain trees, so that parts of them that the page does not show take part in merging like all
 * others. `apply` follows the rules for versions and states; `users` reads what the page shows.
 */
import { integer } from './xml';

export interface Tree {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
  readonly children: readonly Tree[];
}

type State = 'full' | 'partial' | 'deleted';

/**
 * `applied`: the document is now this. `stale`: older than what we have, ignored. `gap`: something before it is
 * missing, ignored; ask for the full document. `ended`: the conference is over. `invalid`: not understood, ignored.
 */
export type Outcome = 'applied' | 'stale' | 'gap' | 'ended' | 'invalid';

export function readTree(node: Element): Tree {
  const parts = Array.from(node.children);
  return {
    name: node.localName,
    attributes: Object.fromEntries(Array.from(node.attributes, (each) => [each.name, each.value])),
    text: parts.length > 0 ? '' : node.textContent.trim(),
    children: parts.map(readTree),
  };
}

/** Elements that have a state attribute of their own, besides the root (RFC 4575 section 4.4). */
const STATEFUL = new Set([
  'users',
  'user',
  'endpoint',
  'sidebars-by-ref',
  'sidebars-by-val',
  'conf-uris',
  'service-uris',
  'uris',
  'associated-aors',
]);

function stateOf(tree: Tree): State | undefined {
  const state = tree.attributes['state'] ?? 'full';
  return state === 'full' || state === 'partial' || state === 'deleted' ? state : undefined;
}

/**
 * What tells siblings of one name apart, after the key rules of RFC 4575 section 4.4; an element that occurs once has
 * the empty key. Undefined: the element has no key though it needs one, and is ignored.
 */
function keyOf(tree: Tree, parent: string): string | undefined {
  switch (tree.name) {
    case 'user':
    case 'endpoint':
      return tree.attributes['entity'];
    case 'media':
      return tree.attributes['id'];
    case 'entry':
      switch (parent) {
        case 'available-media':
          return tree.attributes['label'];
        case 'sidebars-by-val':
          return tree.attributes['entity'];
        case 'sidebars-by-ref':
        case 'conf-uris':
        case 'service-uris':
        case 'uris':
        case 'associated-aors':
          return tree.children.find((each) => each.name === 'uri')?.text;
        default:
          return tree.text;
      }
    default:
      return '';
  }
}

function identity(tree: Tree, parent: string): string | undefined {
  const key = keyOf(tree, parent);
  return key === undefined ? undefined : `${tree.name} ${key}`;
}

/** A tree as the document holds it: no states, nothing deleted, each key once (the last wins), nothing without its key. */
function settled(tree: Tree): Tree {
  const kept = new Map<string, Tree>();
  for (const each of tree.children) {
    const id = identity(each, tree.name);
    if (id === undefined || (STATEFUL.has(each.name) && stateOf(each) === 'deleted')) continue;
    kept.set(id, settled(each));
  }
  return { ...tree, attributes: stateless(tree.attributes), children: [...kept.values()] };
}

function stateless(attributes: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => name !== 'state'));
}

/** `base` after an element with state partial. */
function merged(base: Tree, update: Tree): Tree {
  const kept = new Map<string, Tree>();
  for (const each of base.children) kept.set(identity(each, base.name) ?? '', each);
  for (const each of update.children) {
    const id = identity(each, update.name);
    if (id === undefined) continue;
    const old = kept.get(id);
    if (!STATEFUL.has(each.name)) {
      kept.set(id, replaced(old, each));
      continue;
    }
    switch (stateOf(each)) {
      case 'deleted':
        kept.delete(id);
        break;
      case 'partial':
        kept.set(id, old ? merged(old, each) : settled(each));
        break;
      default:
        kept.set(id, settled(each));
    }
  }
  return {
    ...update,
    attributes: { ...base.attributes, ...stateless(update.attributes) },
    children: [...kept.values()],
  };
}

/**
 * An element without state replaces the one before it. Lists of addresses within it (those of conference-description)
 * have states of their own, and a partial one of them still adds to what was there.
 */
function replaced(old: Tree | undefined, update: Tree): Tree {
  const fresh = settled(update);
  if (!old) return fresh;
  return {
    ...fresh,
    children: fresh.children.map((each) => {
      const original = update.children.find((candidate) => candidate.name === each.name);
      const before = old.children.find((candidate) => candidate.name === each.name);
      return original && before && STATEFUL.has(each.name) && stateOf(original) === 'partial' ? merged(before, original) : each;
    }),
  };
}

/** The conference as one subscriber sees it. */
export class ConferenceInformation {
  /** The whole document, or undefined before the first full one. */
  document: Tree | undefined;
  private version: number | undefined;

  apply(update: Tree): Outcome {
    const state = stateOf(update);
    const version = integer(update.attributes['version']);
    if (update.name !== 'conference-info' || !state || (update.attributes['version'] !== undefined && version === undefined)) return 'invalid';
    if (this.version !== undefined && version !== undefined && version <= this.version) return 'stale';
    if (state === 'deleted') {
      this.document = undefined;
      this.version = version;
      return 'ended';
    }
    if (state === 'full') {
      this.document = settled(update);
      // The schema allows a document without version; a partial one cannot follow it.
      this.version = version;
      return 'applied';
    }
    if (version === undefined) return 'invalid';
    if (!this.document || this.version === undefined || version > this.version + 1) return 'gap';
    this.document = merged(this.document, update);
    this.version = version;
    return 'applied';
  }
}

export interface Media {
  readonly id: string;
  readonly type: string;
  /** The source by which RTP names this media, as SSRC or CSRC. */
  readonly source: number | undefined;
  readonly status: string;
}

export interface Endpoint {
  readonly entity: string;
  readonly displayText: string;
  readonly status: string;
  /** Since when whoever is there has a hand raised; '' where they have none. */
  readonly hand: string;
  readonly media: readonly Media[];
}

export interface User {
  readonly entity: string;
  readonly displayText: string;
  readonly roles: readonly string[];
  /** The conference that this participant mixes itself, if any. */
  readonly cascadedFocus: string;
  readonly endpoints: readonly Endpoint[];
}

function find(tree: Tree | undefined, name: string): Tree | undefined {
  return tree?.children.find((each) => each.name === name);
}

function all(tree: Tree | undefined, name: string): Tree[] {
  return tree?.children.filter((each) => each.name === name) ?? [];
}

function textOf(tree: Tree | undefined, name: string): string {
  return find(tree, name)?.text ?? '';
}

export function users(document: Tree | undefined): User[] {
  return all(find(document, 'users'), 'user').map((user) => ({
    entity: user.attributes['entity'] ?? '',
    displayText: textOf(user, 'display-text'),
    roles: all(find(user, 'roles'), 'entry').map((each) => each.text),
    cascadedFocus: textOf(user, 'cascaded-focus'),
    endpoints: all(user, 'endpoint').map((endpoint) => ({
      entity: endpoint.attributes['entity'] ?? '',
      displayText: textOf(endpoint, 'display-text'),
      status: textOf(endpoint, 'status'),
      hand: find(endpoint, 'hand')?.attributes['since'] ?? '',
      media: all(endpoint, 'media').map((media) => ({
        id: media.attributes['id'] ?? '',
        type: textOf(media, 'type'),
        source: integer(textOf(media, 'src-id')),
        status: textOf(media, 'status'),
      })),
    })),
  }));
}
