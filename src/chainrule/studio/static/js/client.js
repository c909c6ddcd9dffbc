// Questions to the server, and a socket that comes back after a lost connection.

async function ask(method, path, body, query) {
  const address = query ? `${path}?${new URLSearchParams(query)}` : path;
  let answer;
  try {
    answer = await fetch(address, {
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
function live(path, { onFrame, onState = () => {} }) {
  let socket, closed, timer, wait = 250;
  const unsent = [];
  const connect = () => {
    const address = new URL(path, location.href);
    address.protocol = address.protocol.replace('http', 'ws');
    socket = new WebSocket(address);
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
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
      else unsent.push(text);
    },
    close() {
      closed = true;
      clearTimeout(timer);
      // A socket that is closed before it is open is an error in the browser's console.
      if (socket.readyState === WebSocket.CONNECTING) socket.addEventListener('open', () => socket.close());
      else socket.close();
    },
  };
}

export const serverClient = {
  served: true, // what it asks is at an address, which can be opened too
  get: (path, query) => ask('GET', path, undefined, query),
  post: (path, body) => ask('POST', path, body),
  live,
};
