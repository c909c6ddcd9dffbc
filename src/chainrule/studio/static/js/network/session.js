// A network on the server: made once for its options, found again by them, and watched over a socket.

const keptNetworks = new Map();
const MOST_KEPT_NETWORKS = 12;

const keyOfNetwork = (options, table) => JSON.stringify([options, table]);

// The network of some options; the one that is shown already where it is that, one that was made before, or a new one.
// Its training, with everything that is kept of it, is then there again.
export async function openNetwork(client, current, options, table, handlers) {
  const key = keyOfNetwork(options, table);
  if (current && !current.closed && current.keys.has(key)) {
    current.handlers = handlers;
    return current;
  }
  let made = keptNetworks.get(key);
  if (made) {
    try {
      made = { ...made, frame: await client.get(`/api/network/${made.session}/frame`) };
    } catch {
      made = null;
      keptNetworks.delete(key);
    }
  }
  if (!made) {
    const answer = await client.post('/api/network', table ? { options: withoutData(options), table: withoutNothing(table) } : { options });
    made = { ...answer, table };
    keptNetworks.set(key, made);
    if (keptNetworks.size > MOST_KEPT_NETWORKS) keptNetworks.delete(keptNetworks.keys().next().value);
  }
  return watchNetwork(client, made, new Set([key, keyOfNetwork(made.options, table)]), handlers);
}

const withoutData = options => Object.fromEntries(Object.entries(options).filter(([name]) => name !== 'data'));
const withoutNothing = table => Object.fromEntries(Object.entries(table).filter(([, value]) => value !== undefined && value !== null && !(Array.isArray(value) && !value.length)));

function watchNetwork(client, made, keys, handlers) {
  const self = { id: made.session, options: made.options, data: made.data, table: made.table, frame: made.frame, keys, handlers, closed: false };
  const socket = client.live(`/api/network/${made.session}/live`, {
    onFrame(frame) {
      if (self.closed) return;
      if (!frame.error) self.frame = frame;
      self.handlers.onFrame(frame);
    },
    onState(state) {
      if (self.closed) return;
      self.handlers.onLost(state === 'lost');
      if (state !== 'closed') return;
      self.closed = true; // the studio was started anew, or dropped it: it is made again, with the same bits
      for (const key of keys) keptNetworks.delete(key);
      self.handlers.onClosed();
    },
  });
  self.send = message => socket.send(message);
  self.close = () => {
    self.closed = true;
    socket.close();
  };
  return self;
}
