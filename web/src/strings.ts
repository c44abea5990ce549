/** Every word that a person reads, in one place. */
import type { FailureCode } from './failure';
import type { RoomName } from './jid';
import type { Progress } from './meeting';

export interface FailureWords {
  readonly title: string;
  readonly advice: string;
}

const failures: Readonly<Record<FailureCode, FailureWords>> = {
  insecure: {
    title: 'This page is not secure',
    advice: 'Browsers only give a microphone to pages with an https address. Ask for the secure address of this meeting.',
  },
  unsupported: {
    title: 'This browser cannot make calls',
    advice: 'Please use a current version of Firefox, Chrome, Edge or Safari.',
  },
  'microphone-refused': {
    title: 'The microphone is blocked',
    advice: 'Allow the microphone for this page, usually with the icon beside the address, and join again.',
  },
  'microphone-withheld': {
    title: 'The microphone is blocked',
    advice: 'The page around this one, or its server, keeps the microphone from it. In a window of its own it may have it.',
  },
  'microphone-missing': {
    title: 'No microphone found',
    advice: 'Connect a microphone or a headset and join again.',
  },
  'microphone-busy': {
    title: 'The microphone is in use',
    advice: 'Another program seems to hold it. Close that program, or choose another microphone.',
  },
  server: {
    title: 'The server cannot be reached',
    advice: 'Check your internet connection and try again.',
  },
  focus: {
    title: 'The conference service is not available',
    advice: 'The server is there, but nobody is running meetings on it right now. Try again in a moment.',
  },
  'no-answer': {
    title: 'The meeting does not answer',
    advice: 'It took too long. Try again in a moment.',
  },
  declined: {
    title: 'You were not let in',
    advice: 'The meeting declined your call. Ask whoever invited you.',
  },
  full: {
    title: 'The room is full',
    advice: 'No more people can join right now. Try again when somebody has left.',
  },
  banned: {
    title: 'You may not enter this room',
    advice: 'Ask whoever runs the room to let you in.',
  },
  'members-only': {
    title: 'This room is for members only',
    advice: 'Ask whoever runs the room to make you a member.',
  },
  password: {
    title: 'This room has a password',
    advice: 'Ask whoever invited you for it.',
  },
  nickname: {
    title: 'That name cannot be used here',
    advice: 'Somebody in the room has it, or the room does not accept it. Choose another one.',
  },
  room: {
    title: 'The room cannot be entered',
    advice: 'The chat service did not let you in. Try again in a moment.',
  },
  kicked: {
    title: 'You were removed from the meeting',
    advice: 'A moderator asked you to leave.',
  },
  removed: {
    title: 'You are no longer in the room',
    advice: 'The room has changed who may be in it.',
  },
  destroyed: {
    title: 'The room was closed',
    advice: 'Its owner has closed it for everybody.',
  },
  ended: {
    title: 'The meeting has ended',
    advice: 'You can join again, if it goes on.',
  },
  'hung-up': {
    title: 'Your call was ended',
    advice: 'Somebody who runs the meeting has ended it for you; the others go on.',
  },
  media: {
    title: 'No sound gets through',
    advice: 'The server was reached, but no audio connection to it. A firewall may block UDP; another network often helps.',
  },
  incompatible: {
    title: 'The call could not be set up',
    advice: 'This browser and the server did not agree on how to talk. A newer browser may help.',
  },
};

const progress: Readonly<Record<Progress, string>> = {
  microphone: 'Waiting for the microphone…',
  server: 'Connecting to the server…',
  calling: 'Calling the meeting…',
  ringing: 'Waiting to be let in…',
  room: 'Entering the room…',
  media: 'Connecting the sound…',
};

const roomProblems: Readonly<Record<Extract<RoomName, { ok: false }>['problem'], string>> = {
  empty: 'Please enter the name of a room.',
  characters: 'A room name cannot contain @, /, \\, ? or #.',
  long: 'This room name is too long.',
  reserved: 'This name is taken by the server itself. Please choose another one.',
};

/** Of many the first two; each of its own direction of writing, whatever the words around it have. */
function listed(names: readonly string[]): string {
  const few = names.length > 3 ? names.slice(0, 2) : names;
  const parts = few.map((name) => `\u2068${name}\u2069`);
  if (few !== names) parts.push(`${names.length - few.length} others`);
  return new Intl.ListFormat('en-GB').format(parts);
}

export const strings = {
  product: 'focus',
  tagline: 'Talk together. No account, nothing to install.',
  roomLabel: 'Room name',
  roomHint: 'Anyone who opens the same room can talk with you.',
  openRoom: 'Continue',
  changeRoom: 'Choose another room',
  ownWindow: 'Open it in a new window',
  nameLabel: 'Your name',
  namePlaceholder: 'How others will see you',
  nameMissing: 'Please enter your name.',
  microphoneLabel: 'Microphone',
  microphoneDefault: 'Default microphone',
  microphoneFind: 'Show my microphones',
  join: 'Join',
  joining: (room: string) => `Joining ${room}`,
  cancel: 'Cancel',
  leave: 'Leave',
  mute: 'Mute',
  unmute: 'Unmute',
  muteTitle: 'M',
  barredByFocus: 'Muted by a moderator',
  passwordLabel: 'Password of the room',
  passwordWrong: 'The room did not accept this password.',
  participants: 'Participants',
  participantCount: (count: number) => (count === 1 ? '1 person' : `${count} people`),
  you: 'You',
  muted: 'muted',
  mutedByFocus: 'muted by a moderator',
  hand: (place: number, count: number) => (count > 1 ? `hand raised, number ${place}` : 'hand raised'),
  raiseHand: 'Raise hand',
  lowerHand: 'Lower hand',
  conference: 'another meeting',
  speaking: 'speaking',
  ringing: 'ringing…',
  onHold: 'on hold',
  alone: 'Nobody else is here. Copy the link and send it to whom you want to talk with.',
  copyLink: 'Copy link',
  linkCopied: 'Link copied',
  linkRefused: (link: string) => `The link could not be copied; it is ${link}`,
  connected: 'Connected',
  reconnecting: 'Reconnecting…',
  interrupted: 'Weak connection…',
  serverGone: 'The server is out of reach. You may still hear the others; trying to reconnect…',
  allGone: 'The meeting is out of reach, and nobody is heard. Trying to reconnect…',
  enableSound: 'Enable sound',
  soundBlocked: 'Your browser keeps this page silent until you allow sound.',
  tryAgain: 'Try again',
  joinAgain: 'Join again',
  back: 'Back',
  leftTitle: 'You have left the meeting',
  leftAdvice: 'You can close this page, or join again.',
  microphoneGone: 'The microphone was disconnected. Switched to another one.',
  unheard: 'Your microphone is gone, and nobody hears you. Connect one, or allow it again.',
  hasJoined: (names: readonly string[]) => `${listed(names)} ${names.length > 1 ? 'have' : 'has'} joined`,
  hasLeft: (names: readonly string[]) => `${listed(names)} ${names.length > 1 ? 'have' : 'has'} left`,
  hasRaised: (names: readonly string[]) => `${listed(names)} raised a hand`,
  youJoined: (room: string) => `You are in ${room}`,
  stillMuted: 'You are still muted',
  backOnline: 'Connected again',
  youMuted: 'You are muted',
  youUnmuted: 'You can be heard again',
  youMutedByFocus: 'A moderator has muted you',
  youUnmutedByFocus: 'The moderator lets you speak again',
  youRaised: 'Your hand is raised',
  youLowered: 'Your hand is lowered',
  handLoweredByModerator: 'A moderator has lowered your hand',
  handRefused: 'Your hand could not be raised or lowered',
  nicknameChanged: (name: string) => `Your name was taken here; you appear as ${name}`,
  nobody: 'Guest',
  said: (words: string) => `“${words}”`,
  failures,
  progress,
  roomProblems,
};
