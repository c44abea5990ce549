/** What both ends of a call say of their media: the common ground of SDP (RFC 8866) and Jingle (XEP-0167, 0176, 0320...). */

export type Role = 'initiator' | 'responder';
export type Senders = 'both' | 'initiator' | 'responder' | 'none';

export interface Parameter {
  readonly name: string;
  readonly value: string;
}

export interface Feedback {
  readonly type: string;
  readonly subtype?: string;
}

export interface Payload {
  readonly id: number;
  readonly name: string;
  readonly clockrate: number;
  readonly channels: number;
  readonly parameters: readonly Parameter[];
  readonly feedback: readonly Feedback[];
}

export interface HeaderExtension {
  readonly id: number;
  readonly uri: string;
  readonly senders: Senders;
}

export interface Source {
  readonly ssrc: number;
  readonly parameters: readonly Parameter[];
}

export interface Candidate {
  readonly component: number;
  readonly foundation: string;
  readonly generation: number;
  readonly ip: string;
  readonly port: number;
  readonly priority: number;
  readonly protocol: string;
  readonly type: string;
  readonly network?: number;
  readonly relatedAddress?: string;
  readonly relatedPort?: number;
}

export interface Fingerprint {
  readonly hash: string;
  readonly setup: string;
  readonly value: string;
}

export interface Transport {
  readonly ufrag: string;
  readonly pwd: string;
  readonly fingerprints: readonly Fingerprint[];
  readonly candidates: readonly Candidate[];
}

export interface Content {
  /** The `mid` of SDP and the `name` of Jingle. */
  readonly name: string;
  readonly creator: Role;
  readonly senders: Senders;
  readonly media: string;
  readonly rtcpMux: boolean;
  readonly payloads: readonly Payload[];
  readonly feedback: readonly Feedback[];
  readonly extensions: readonly HeaderExtension[];
  readonly extmapAllowMixed: boolean;
  readonly sources: readonly Source[];
  readonly transport: Transport;
}

export interface Group {
  readonly semantics: string;
  readonly contents: readonly string[];
}

export interface Description {
  readonly groups: readonly Group[];
  readonly contents: readonly Content[];
}
