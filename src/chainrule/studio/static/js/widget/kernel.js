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
  // What the kernel says of it. What was seen is told at once: the kernel sends no more than is seen.
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
  shut(code) {
    if (this.readyState > 1) return;
    this.readyState = 3;
    this.gone();
    this.dispatchEvent(new CloseEvent('close', { code }));
  }
}

// `model` is the widget's; leave() when its view goes.
export function kernelClient(model) {
  const waiting = new Map(), sockets = new Map();
  const mine = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  let asked = 0;
  const fresh = () => `${mine}-${(asked += 1)}`;
  const send = message => model.send(message);
  const text = buffers => new TextDecoder().decode(buffers[0]);
  // Every view of a widget hears all messages: those of others have other names.
  const onMessage = (message, buffers) => {
    const resolve = waiting.get(message.answer);
    if (resolve) {
      waiting.delete(message.answer);
      const body = text(buffers);
      resolve({ ok: message.status < 400, status: message.status, json: async () => JSON.parse(body) });
    }
    sockets.get(message.opened)?.opened();
    sockets.get(message.told)?.told(text(buffers));
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
    for (const socket of sockets.values()) socket.close();
    model.off('msg:custom', onMessage);
  };
  return { ...clientOver(fetched, connected), leave };
}
