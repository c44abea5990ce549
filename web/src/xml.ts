/**
 * XML elements as the DOM has them, with one habit of our own: an element carries its namespace as an `xmlns`
 * attribute wherever it differs from its parent's. Strophe writes attributes to the wire and never looks at
 * `namespaceURI`, while everything we read comes from a parser and has the right `namespaceURI`; this way both do.
 */
export type Attributes = Record<string, string | number | null | undefined>;
export type Content = Element | string | null | undefined;

const owner = document.implementation.createDocument(null, null);

/** An element of namespace `xmlns`. Attributes and content that are null or undefined are left out. */
export function element(xmlns: string, name: string, attributes: Attributes = {}, ...content: Content[]): Element {
  const node = owner.createElementNS(xmlns, name);
  node.setAttribute('xmlns', xmlns);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, String(value));
  }
  for (const item of content) {
    if (item === null || item === undefined) continue;
    if (typeof item === 'string') {
      node.append(owner.createTextNode(item));
    } else {
      if (item.namespaceURI === xmlns) item.removeAttribute('xmlns');
      node.append(item);
    }
  }
  return node;
}

/** Children with this local name and namespace, in document order. */
export function children(parent: Element, xmlns: string, name: string): Element[] {
  return Array.from(parent.children).filter((each) => each.localName === name && each.namespaceURI === xmlns);
}

/** The first child with this local name and namespace. */
export function child(parent: Element, xmlns: string, name: string): Element | undefined {
  return children(parent, xmlns, name)[0];
}

/** The first child of this namespace, whatever its name. */
export function payload(parent: Element, xmlns: string): Element | undefined {
  return Array.from(parent.children).find((each) => each.namespaceURI === xmlns);
}

export function text(node: Element | undefined): string {
  return node?.textContent.trim() ?? '';
}

/** A whole number within 0..maximum, or undefined for anything else. */
export function integer(value: string | null | undefined, maximum = 0xffffffff): number | undefined {
  if (!value || !/^\d{1,10}$/.test(value)) return undefined;
  const number = Number(value);
  return number <= maximum ? number : undefined;
}
