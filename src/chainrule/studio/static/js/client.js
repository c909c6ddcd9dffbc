// Questions, and sockets that come back after a lost connection; over the network here, over a kernel's messages in a
// notebook.

const OPEN = 1, CONNECTING = 0; // states of a socket

async function ask(fetched, method, path, body, query) {
  const address = query ? `${path}?${new URLSearchParams(query)}` : path;
  let answer;
  try {
    answer = await fetched(address, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin',
    });
  } catch (problem) {
    throw { type: 'ConnectionError', message: 'the studio does not answer', fix: 'is chainrule studio still running in its terminal?', problem };
  }
  const found = await answer.json().catch(() => null);
  if (answer.ok) return found;
  throw found?.error ?? { type: 'HTTPError', message: `${path}: status ${answer.status}`, fix: null };
}

// Calls `onFrame` with each message and `onState` with 'open', 'lost' or 'closed'; tries again until it is closed.
function live(connected, path, { onFrame, onState = () => {} }) {
  let socket, closed, timer, wait = 250;
  const unsent = [];
  const connect = () => {
    socket = connected(path);
    socket.addEventListener('open', () => {
      wait = 250;
      onState('open');
      for (const message of unsent.splice(0)) socket.send(message);
    });
    socket.addEventListener('message', event => onFrame(JSON.parse(event.data)));
    socket.addEventListener('close', event => {
      if (closed) return;
      if (event.code === 4404) {
        closed = true;
        onState('closed');
        return;
      }
      onState('lost');
      timer = setTimeout(connect, wait);
      wait = Math.min(5000, wait * 2);
    });
  };
  connect();
  return {
    send(message) {
      const text = JSON.stringify(message);
      if (socket.readyState === OPEN) socket.send(text);
      else unsent.push(text);
    },
    close() {
      closed = true;
      clearTimeout(timer);
      // A socket that is closed before it is open is an error in the browser's console.
      if (socket.readyState === CONNECTING) socket.addEventListener('open', () => socket.close());
      else socket.close();
    },
  };
}

// A client over whatever answers as `fetch` does, and makes what behaves as a WebSocket.
export const clientOver = (fetched, connected) => ({
  get: (path, query) => ask(fetched, 'GET', path, undefined, query),
  post: (path, body) => ask(fetched, 'POST', path, body),
  live: (path, handlers) => live(connected, path, handlers),
});

function webSocket(path) {
  const address = new URL(path, location.href);
  address.protocol = address.protocol.replace('http', 'ws');
  return new WebSocket(address);
}

// Of the live page: `served` says that what it asks is at an address, which can be opened too.
export const serverClient = { served: true, ...clientOver((address, options) => fetch(address, options), webSocket) };
