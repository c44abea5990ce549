/** Who speaks: from the contributing sources of the mixed stream (RFC 3550 CSRC), smoothed. */

/** How long somebody is shown as speaking after the last sign of it, in milliseconds: pauses between words are shorter. */
const HOLD = 450;

export interface ContributingSource {
  readonly source: number;
  readonly timestamp: number;
}

export class Speakers {
  private readonly stamps = new Map<number, number>();
  private readonly heard = new Map<number, number>();

  /**
   * Takes a poll of `receiver.getContributingSources()` at time `now` (milliseconds) and gives who speaks. A browser
   * lists a source for ten seconds after its last packet, and browsers differ in the clock of their time stamps: so a
   * source is heard when its stamp has moved since the last poll.
   */
  poll(now: number, sources: readonly ContributingSource[]): Set<number> {
    for (const { source, timestamp } of sources) {
      if (this.stamps.get(source) === timestamp) continue;
      this.stamps.set(source, timestamp);
      this.heard.set(source, now);
    }
    const speaking = new Set<number>();
    for (const [source, when] of this.heard) {
      if (now - when <= HOLD) speaking.add(source);
    }
    return speaking;
  }
}

/** Our own microphone, from its level of 0..1. */
export class Voice {
  private last = Number.NEGATIVE_INFINITY;

  poll(now: number, level: number): boolean {
    if (level > 0.03) this.last = now;
    return now - this.last <= HOLD;
  }
}
