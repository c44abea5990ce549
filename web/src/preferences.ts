/** What the page remembers of a person between meetings. A browser that forbids storage just forgets. */
type Preference = 'name' | 'microphone';

export function remembered(preference: Preference): string {
  try {
    return localStorage.getItem(`focus.${preference}`) ?? '';
  } catch {
    return '';
  }
}

export function remember(preference: Preference, value: string): void {
  try {
    localStorage.setItem(`focus.${preference}`, value);
  } catch {
    // Private windows of some browsers refuse.
  }
}
