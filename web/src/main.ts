/** The page: a room by its address, or the question which room. Pages of others load this too, for <focus-meeting>. */
import './ui/focus-meeting';
import './ui/focus-rooms';
import { fetchConfig } from './config';
import { pathOfRoom, roomName, roomOfPath } from './jid';
import type { View } from './meeting';
import { strings } from './strings';

function title(...parts: string[]): void {
  document.title = parts.filter(Boolean).join(' · ');
}

function showMeeting(room: string): void {
  // One room, one address: /My%20Room and /my%20room are the same.
  if (location.pathname !== pathOfRoom(room)) history.replaceState(null, '', `${pathOfRoom(room)}${location.search}`);
  const meeting = document.createElement('focus-meeting');
  meeting.setAttribute('global-keys', '');
  meeting.setAttribute('room', room);
  meeting.setAttribute('name', new URLSearchParams(location.search).get('name') ?? '');
  meeting.addEventListener('change', (event) => {
    const view = (event as CustomEvent<View>).detail;
    title(view.phase === 'joined' ? view.title : room, strings.product);
  });
  title(room, strings.product);
  document.body.append(meeting);
}

function askForRoom(asked: string, problem: string): void {
  const rooms = document.createElement('focus-rooms');
  if (asked) {
    rooms.setAttribute('name', asked);
    rooms.setAttribute('problem', problem);
  }
  rooms.addEventListener('room', (event) => location.assign(pathOfRoom((event as CustomEvent<string>).detail)));
  document.body.append(rooms);
  fetchConfig(location.origin).then(
    (config) => {
      if (!config.title) return;
      rooms.setAttribute('heading', config.title);
      title(config.title);
    },
    // Without it the start page works as well; joining will tell what is wrong.
    () => undefined,
  );
}

// Set by our own index.html alone.
if (document.querySelector('body[data-focus]')) {
  const asked = roomOfPath(location.pathname);
  const room = roomName(asked);
  if (room.ok) showMeeting(room.name);
  else askForRoom(asked, room.problem);
}
