// The client of a page in a notebook: what goes over the network elsewhere goes to the kernel in messages here, and is
// answered there by the same application. Bodies and frames come as buffers.

import { clientOver } from '../client.js';

// As a WebSocket, as far as the client needs one; gone() once it is closed.
class KernelSocket extends EventTarget {
  constructor(tell, name, path, gone) {
    super();
    Object.assign(this, { readyState: 0, tell, name, gone });
    tell({ open: name, path });
  }
  send(text) {
    this.tell({ say: this.name, text });
  }
  close() {
    if (this.readyState > 1) return;
    this.readyState = 3;
    this.gone();
    this.tell({ shut: this.name });
  }
  // What the kernel says of it. What was seen is told at once: the kernel sends no more than is seen, and takes a page
  // that has seen nothing for gone.
  opened() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }
  told(text) {
    try {
      if (this.readyState === 1) this.dispatchEvent(new MessageEvent('message', { data: text }));
    } finally {
      this.tell({ seen: this.name });
    }
  }
  there() {
    this.tell({ seen: this.name });
  }
  shut(code) {
    if (this.readyState > 1) return;
    this.readyState = 3;
    this.gone();
    this.dispatchEvent(new CloseEvent('close', { code }));
  }
}

const QUIET_MS = 5000;
const EXPECTING = ['ask', 'open', 'say']; // what the kernel says something about, however late

// `model` is the widget's; leave() when its view goes. onSilence(why) is called with 'silent' when the kernel has said
// nothing for a while that was asked for, not even whether it is there; with 'ended' when it cannot be asked any more,
// as after a restart; and with '' when it speaks again.
export function kernelClient(model, onSilence) {
  const waiting = new Map(), sockets = new Map();
  const mine = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  let asked = 0;
  const fresh = () => `${mine}-${(asked += 1)}`;
  let timer = 0, silence = '';
  const setSilence = why => {
    if (why !== silence) onSilence((silence = why));
  };
  // Long work is no silence: the kernel says meanwhile that it is there, unless it runs a cell.
  const listen = then => {
    clearTimeout(timer);
    timer = setTimeout(then, QUIET_MS);
  };
  const askWhetherThere = () => {
    listen(() => setSilence('silent'));
    send({ there: mine });
  };
  const send = message => {
    if (!timer && !silence && EXPECTING.some(kind => kind in message)) listen(askWhetherThere);
    try {
      model.send(message);
    } catch { // Jupyter refuses what would go to a kernel that is not there any more
      clearTimeout(timer);
      setSilence('ended');
    }
  };
  const heard = () => {
    clearTimeout(timer);
    timer = 0;
    setSilence('');
    if (waiting.size) listen(askWhetherThere);
  };
  const text = buffers => new TextDecoder().decode(buffers[0]);
  // Every view of a widget hears all messages: those of others have other names.
  const onMessage = (message, buffers) => {
    const resolve = waiting.get(message.answer);
    if (resolve) {
      waiting.delete(message.answer);
      const body = text(buffers);
      resolve({ ok: message.status < 400, status: message.status, json: async () => JSON.parse(body) });
    }
    const socket = ['opened', 'told', 'there', 'shut'].map(what => sockets.get(message[what])).find(Boolean);
    if (resolve || socket || message.here === mine) heard();
    sockets.get(message.opened)?.opened();
    sockets.get(message.told)?.told(text(buffers));
    sockets.get(message.there)?.there();
    sockets.get(message.shut)?.shut(message.code);
  };
  const fetched = (address, { method, body = '' }) =>
    new Promise(resolve => {
      const id = fresh(), [path, query = ''] = address.split('?');
      waiting.set(id, resolve);
      send({ ask: id, method, path, query, body });
    });
  const connected = path => {
    const name = fresh();
    sockets.set(name, new KernelSocket(send, name, path, () => sockets.delete(name)));
    return sockets.get(name);
  };
  model.on('msg:custom', onMessage);
  const leave = () => {
    waiting.clear();
    for (const socket of sockets.values()) socket.close();
    model.off('msg:custom', onMessage);
    clearTimeout(timer);
  };
  return { ...clientOver(fetched, connected), leave };
}
