import { describe, expect, it } from 'vitest';
import { Speakers, Voice } from '../src/speaking';

describe('speakers', () => {
  it('are those whose time stamp moves, and for a moment after', () => {
    const speakers = new Speakers();
    expect([...speakers.poll(0, [{ source: 1, timestamp: 100 }])]).toEqual([1]);
    expect([...speakers.poll(100, [{ source: 1, timestamp: 100 }, { source: 2, timestamp: 90 }])]).toEqual([1, 2]);
    expect([...speakers.poll(500, [{ source: 1, timestamp: 100 }, { source: 2, timestamp: 480 }])]).toEqual([2]);
    expect([...speakers.poll(1000, [])]).toEqual([]);
    expect([...speakers.poll(1100, [{ source: 1, timestamp: 1090 }])]).toEqual([1]);
  });
});

describe('our own voice', () => {
  it('is a level above the noise, smoothed', () => {
    const voice = new Voice();
    expect([voice.poll(0, 0.001), voice.poll(100, 0.2), voice.poll(300, 0.001), voice.poll(900, 0.001)]).toEqual([false, true, true, false]);
  });
});
