/**
 * A client made of stanza.js, whose Jingle shares no code with ours. The interop tests load it into a real browser and
 * drive it through `window.client`; see tests/interop/stanza_client.py. It calls devices by their full JIDs and is
 * called so; with `invitations` it proposes and answers proposals first (XEP-0353), which stanza.js leaves to its users.
 */
import { type Agent, JXT, Jingle, createClient } from 'stanza';

const JINGLE_MESSAGE = 'urn:xmpp:jingle-message:0';
const RTP = 'urn:xmpp:jingle:apps:rtp:1';

interface Invitation {
  type: string;
  id: string;
  media?: string;
}

declare module 'stanza/protocol' {
  interface Message {
    invitation?: Invitation;
  }
}

const INVITATIONS = ['propose', 'ringing', 'proceed', 'reject', 'retract', 'finish'].map((type) => ({
  element: type,
  namespace: JINGLE_MESSAGE,
  path: 'message.invitation',
  type,
  typeField: 'type',
  fields: { id: JXT.attribute('id'), ...(type === 'propose' && { media: JXT.childAttribute(RTP, 'description', 'media') }) },
}));

class Client {
  /** What has happened, in order. */
  readonly events: string[] = [];
  private readonly agent: Agent;
  private readonly invitations: boolean;
  private session: Jingle.MediaSession | undefined;
  private answered: (device: string) => void = () => undefined;

  constructor(jid: string, password: string, websocket: string, invitations: boolean) {
    this.invitations = invitations;
    this.agent = createClient({
      jid,
      resource: 'stanza',
      credentials: { password },
      transports: { websocket },
      jingle: { iceServers: [], trickleIce: true, advertiseVideo: false },
    });
    this.agent.stanzas.define(INVITATIONS);
    if (invitations) this.agent.disco.addFeature(JINGLE_MESSAGE);
    this.agent.on('message', (message) => this.take(message.from, message.invitation));
    this.agent.on('jingle:incoming', (session) => {
      if (session instanceof Jingle.MediaSession) void this.accept(session);
    });
    this.agent.on('jingle:accepted', () => this.events.push('accepted'));
    this.agent.on('jingle:terminated', (_, reason) => this.events.push(`terminated ${reason?.condition ?? ''}`));
    for (const event of ['jingle:mute', 'jingle:unmute'] as const) this.agent.on(event, () => this.events.push(event.slice('jingle:'.length)));
  }

  /** Logs in and is available. Gives the full JID. */
  connect(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.agent.on('session:started', () => {
        this.agent.sendPresence();
        resolve(this.agent.jid);
      });
      this.agent.on('auth:failed', () => reject(new Error('not logged in')));
      this.agent.connect();
    });
  }

  /** Calls; `address` is a bare JID if we invite, else that of a device. */
  async call(address: string): Promise<void> {
    const sid = crypto.randomUUID();
    let device = address;
    if (this.invitations) {
      const answer = new Promise<string>((resolve) => (this.answered = resolve));
      this.invite(address, { type: 'propose', id: sid, media: 'audio' });
      device = await answer;
    }
    this.session = this.agent.jingle.createMediaSession(device, sid, await microphone());
    await this.session.start();
  }

  mute(muted: boolean): void {
    void (muted ? this.session?.mute('initiator', '0') : this.session?.unmute('initiator', '0'));
  }

  end(): void {
    this.session?.end();
  }

  private async accept(session: Jingle.MediaSession): Promise<void> {
    this.events.push(`incoming ${session.peerID}`);
    this.session = session;
    const stream = await microphone();
    for (const track of stream.getTracks()) await session.addTrack(track, stream);
    await session.accept();
  }

  private take(from: string, invitation: Invitation | undefined): void {
    if (!invitation) return;
    this.events.push(invitation.type);
    if (invitation.type === 'propose') {
      this.invite(from, { type: 'ringing', id: invitation.id });
      this.invite(from, { type: 'proceed', id: invitation.id });
    } else if (invitation.type === 'proceed') {
      this.answered(from);
    }
  }

  private invite(to: string, invitation: Invitation): void {
    this.agent.sendMessage({ to, type: 'chat', invitation });
  }
}

function microphone(): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({ audio: true });
}

Object.assign(window, {
  logIn(jid: string, password: string, websocket: string, invitations: boolean): Promise<string> {
    const client = new Client(jid, password, websocket, invitations);
    Object.assign(window, { client });
    return client.connect();
  },
});
