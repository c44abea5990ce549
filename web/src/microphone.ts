/** The microphone: opening it, naming the ones there are. */
import { Failure } from './failure';

export interface Device {
  readonly id: string;
  readonly label: string;
}

/** Whether a meeting is possible in this browser at all; the failure if not. */
export function obstacle(): Failure | undefined {
  // Outside https and localhost browsers have no mediaDevices at all.
  if (!window.isSecureContext) return new Failure('insecure');
  if (!('mediaDevices' in navigator) || !('RTCPeerConnection' in window)) return new Failure('unsupported');
  // Only Chromium tells beforehand that a frame, or the server, withholds it.
  const { featurePolicy } = document as { featurePolicy?: { allowsFeature(name: string): boolean } };
  if (featurePolicy && !featurePolicy.allowsFeature('microphone')) return new Failure('microphone-withheld');
  return undefined;
}

/** Opens the microphone `id`, or the default one for ''. Asks for permission if needed. Rejects with Failure. */
export async function openMicrophone(id: string): Promise<MediaStream> {
  const hindrance = obstacle();
  if (hindrance) throw hindrance;
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: id ? { deviceId: { exact: id } } : true });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    // The one that was chosen last time may be unplugged today.
    if (id && (name === 'OverconstrainedError' || name === 'NotFoundError')) return openMicrophone('');
    switch (name) {
      case 'NotAllowedError':
      case 'SecurityError':
        throw new Failure('microphone-refused');
      case 'NotFoundError':
      case 'OverconstrainedError':
        throw new Failure('microphone-missing');
      case 'NotReadableError':
      case 'AbortError':
        throw new Failure('microphone-busy');
      default:
        throw new Failure('microphone-missing', error instanceof Error ? error.message : '');
    }
  }
}

/** Calls `retry` once: when a device has come or gone, or the permission is another. */
export async function onceMicrophonesChange(retry: () => void): Promise<void> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const end = () => {
    waiting.abort();
    retry();
  };
  navigator.mediaDevices.addEventListener('devicechange', end, { signal });
  try {
    const permission = await navigator.permissions.query({ name: 'microphone' });
    permission.addEventListener('change', end, { signal });
  } catch {
    // Not every browser has a permission of this name.
  }
}

/** The microphones by name; empty as long as there is no permission to know them. */
export async function listMicrophones(): Promise<Device[]> {
  if (obstacle()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter(({ kind, deviceId, label }) => kind === 'audioinput' && deviceId && label && deviceId !== 'default' && deviceId !== 'communications')
    .map(({ deviceId, label }) => ({ id: deviceId, label }));
}
