// The network page without Python: plays back a training that was recorded when its file was written.

import { clamp, grouped, plural } from '../dom.js';
import { unpackedAnswers } from '../recorded.js';

const RECORDED_SESSION = 'recorded';
const PICTURE_MS = 1000 / 30, UNHURRIED_MS = 100;

const wordsOf = value => (Array.isArray(value) ? value.join('-') : String(value));
const isSameNetwork = (held, wanted) => Object.entries(wanted).every(([name, value]) => wordsOf(held[name]) === wordsOf(value));

// The whole number among ascending ones that is nearest.
const nearestOf = (updates, wanted) => updates.reduce((best, update) => (Math.abs(update - wanted) < Math.abs(best - wanted) ? update : best));

// What answers instead of a server; `recorded` says what the file holds, and how to have the rest.
export function recordedNetworkClient({ trace }) {
  const { updates, command } = trace;
  const refuse = (message, fix = `run: ${command}`) => Promise.reject({ type: 'OfflineError', message, fix });
  let answers = null, player = null;
  async function opened() {
    answers ??= unpackedAnswers(trace.recorded);
    player ??= recordedTraining(trace, await answers);
    return player;
  }
  async function get(path) {
    const asked = path.split('/').at(-1);
    if (asked === 'choices') return trace.choices;
    if (asked === 'table') return trace.table;
    const { frame, find, update } = await opened();
    if (asked === 'frame') return frame();
    const found = find([asked, update()]);
    return found ?? refuse(`this file does not hold the ${asked} after update ${grouped(update())}`);
  }
  async function post(path, { options = {}, table } = {}) {
    const own = trace.options.data === 'own';
    if (path !== '/api/network' || Boolean(table) > own || !isSameNetwork(trace.options, options)) return refuse('this file holds another network, and cannot train one');
    const { frame } = await opened();
    return { session: RECORDED_SESSION, options: trace.options, data: trace.data, frame: frame() };
  }
  return {
    recorded: `This file holds ${plural(updates.length, 'moment')} of the training, up to update ${grouped(updates.at(-1))}. To train on, or to choose something else: ${command}`,
    held: { updates, options: trace.options },
    get,
    post,
    live: (path, handlers) => player.watch(handlers),
  };
}

// A training that goes from one recorded update to the next.
function recordedTraining(trace, answers) {
  const { updates, shown, command } = trace;
  const last = updates.at(-1);
  const find = question => {
    const text = answers.get(JSON.stringify(question));
    return text === undefined ? null : JSON.parse(text);
  };
  const now = { update: shown.update, goal: null, running: false, speed: find(['update', shown.update]).status.speed, point: shown.point, layer: shown.layer, unit: shown.unit, into: shown.into };
  let number = 0, timer = 0, watcher = null, parts = { update: null };

  function frame() {
    const { update, point, goal, running, speed } = now;
    if (parts.update !== update) parts = { update, after: find(['update', update]) };
    const { after } = parts;
    const asked = find(['point', update, point]);
    const at = asked ?? find(['point', update, shown.point]);
    const selected = find(['selected', update, at.sample.point, now.layer, now.unit, now.into]) ?? withoutFormulas(at.sample.point);
    return {
      format: trace.format,
      version: trace.version,
      kind: 'network',
      number: (number += 1),
      sizes: trace.sizes,
      activations: trace.activations,
      losses: trace.losses,
      ...after,
      status: { ...after.status, running, speed, goal, furthest: last },
      weights: after.weights.map((layer, i) => ({ ...layer, ...at.gradients[i] })),
      sample: at.sample,
      selected,
      missing: asked ? '' : `Of example ${grouped(point + 1)} this file does not hold update ${grouped(update)}: shown is example ${grouped(shown.point + 1)}.`,
    };
  }
  // What can be said of a selection at a moment of which its formulas were not recorded.
  function withoutFormulas(point) {
    const { layer, unit, into, update } = now;
    const known = find(['selected', shown.update, shown.point, layer, unit, into]);
    const name = `unit ${unit} of layer ${layer}`;
    const note = `Its formulas for example ${grouped(point + 1)} after update ${grouped(update)} are not in this file. To see them: ${command}`;
    const [what, said] = into === null ? ['unit', ''] : into ? ['weight', `weight ${into}`] : ['bias', 'bias'];
    const { kind, symbol, title } = known ?? { kind: what, symbol: { tree: ['mtext', name], latex: '', text: name }, title: said };
    return { kind, layer, unit, ...(into === null ? {} : { into }), symbol, title, tiles: [], sections: [], parts: [], notes: [note] };
  }

  const tell = () => watcher?.onFrame(frame());
  const refuse = () => watcher?.onFrame({ error: { message: `This file ends at update ${grouped(last)}`, fix: `To train on: ${command}` } });
  function stop() {
    clearTimeout(timer);
    Object.assign(now, { running: false, goal: null });
  }
  // On the way first, then there: as with a training that takes its time, what is reached at last is a step of the history.
  function go(goal) {
    stop();
    now.goal = goal;
    tell();
    timer = setTimeout(() => {
      Object.assign(now, { update: goal, goal: null });
      tell();
    });
  }
  function play() {
    stop();
    now.running = true;
    let position = now.update, before = performance.now();
    const turn = () => {
      const time = performance.now();
      const next = updates[updates.indexOf(now.update) + 1];
      position = now.speed ? position + ((time - before) * now.speed) / 1000 : next;
      before = time;
      const reached = updates.filter(update => update <= position).at(-1);
      const isNew = reached !== now.update;
      now.update = reached;
      if (reached === last) stop();
      else timer = setTimeout(turn, now.speed ? PICTURE_MS : UNHURRIED_MS);
      if (isNew) tell();
    };
    timer = setTimeout(turn, PICTURE_MS);
    tell();
  }
  function step({ of, count }) {
    const here = updates.indexOf(now.goal ?? now.update);
    if (count > 0 && here === updates.length - 1) return refuse();
    const per = parts.after.status.per_epoch;
    if (of !== 'epoch' || per === 1) return go(updates[clamp(here + count, 0, updates.length - 1)]);
    const wanted = ((count > 0 ? Math.floor(updates[here] / per) : Math.ceil(updates[here] / per)) + count) * per;
    go(count > 0 ? (updates.find(update => update >= wanted) ?? last) : (updates.filter(update => update <= wanted).at(-1) ?? 0));
  }
  function seek({ update }) {
    go(nearestOf(updates, update));
    if (update > last) refuse();
  }
  const does = {
    train: () => (now.update === last ? refuse() : play()),
    pause() {
      stop();
      tell();
    },
    step,
    seek,
    speed({ value }) {
      now.speed = value;
      tell();
    },
    select({ point = now.point, layer = now.layer, unit = now.unit, into = null }) {
      Object.assign(now, { point, layer, unit, into });
      tell();
    },
  };
  return {
    find,
    frame,
    update: () => now.update,
    watch(handlers) {
      watcher = handlers;
      return {
        send: message => does[message.do](message),
        close() {
          stop();
          if (watcher === handlers) watcher = null;
        },
      };
    },
  };
}
