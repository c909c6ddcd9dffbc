// What the formula page shows, apart from how: the trace, its numbers, and the state that the address holds.
//
// Changes are told by kind: 'trace' when the graph is another one, 'numbers' when only values are (a slider is dragged,
// which may come at every frame), 'view' when step, mode, selection, path or an option is, 'error' when the text is no
// formula, 'hover' when the pointer is over another node. A panel listens to what it shows.

import { afterFrame, clamp } from '../dom.js';
import { fromJson } from '../numbers.js';
import { eventsOf, snapshotAt } from './snapshot.js';
import { makeNumbers } from './sweep.js';

const DEFAULTS = { mode: 'reverse', constants: true, speed: 1, rate: 0.1, zoom: 0, scale: 1, layers: '784,128,32,10' };
// After a pause: browsers slow a page down that writes its address at every frame.
const ADDRESS_MS = 250;
export const SCALES = [0.1, 32];

export function makeSession({ load, history, examples, notify = () => {} }) {
  const listeners = { trace: [], numbers: [], view: [], error: [], hover: [] };
  const tell = kind => listeners[kind].forEach(listener => listener(self));
  let asked = 0, writing = 0, taken = null;
  const followers = [];
  let behind = null; // the trace that they have not been told of
  const catchUp = () => {
    const trace = (behind = self.trace);
    afterFrame(() => {
      if (behind !== trace) return;
      behind = null;
      followers.forEach(listener => listener(self));
    });
  };
  const hurry = () => {
    if (!writing) return;
    clearTimeout(writing);
    writing = 0;
    history.replace(self.state());
  };
  const changed = () => (taken = null); // what happened so far has to be found anew
  const self = {
    ...DEFAULTS,
    trace: null,
    numbers: null,
    text: '',
    inputs: {}, // values of variables by name
    step: Infinity,
    selected: null, // id of a node
    path: null, // edge ids of the path that is lit
    error: null,
    hovered: null, // id of a node
    breakpoints: new Set(), // names of nodes at which playing stops
    trail: [], // where the descent has been: values of the selected variable
    examples,
    on(kinds, listener) {
      for (const kind of kinds.split(' ')) listeners[kind].push(listener);
    },
    // For panels beside the graph: another trace is told after the frame that draws the graph, so that an edit is seen
    // at once. What happens meanwhile they find when they build for it.
    follow(kinds, listener) {
      for (const kind of kinds.split(' '))
        if (kind === 'trace') followers.push(listener);
        else listeners[kind].push(() => behind || listener(self));
    },
    get events() {
      return eventsOf(self.trace, self.mode);
    },
    get last() {
      return self.events.length - 1;
    },
    // Found once for all panels that show it.
    get snapshot() {
      const { trace, mode, step } = self;
      if (!taken || taken.trace !== trace || taken.mode !== mode || taken.step !== step) taken = { trace, mode, step, found: snapshotAt(trace, self.numbers, mode, step) };
      return taken.found;
    },
    node: id => self.trace.nodes[id],
    variable: name => self.trace.nodes.find(node => node.kind === 'variable' && node.name === name),
    get variables() {
      return self.trace.variables.map(id => self.trace.nodes[id]);
    },
    // The variable along which the plot runs: the selected one, else the first.
    get along() {
      const chosen = self.trace.nodes[self.selected];
      if (chosen?.kind === 'variable') return chosen;
      return self.trace.nodes[self.alongId] ?? self.variables[0] ?? null;
    },
    // Values in the order of the variables; `other` has some of them different, by name.
    inputList: (other = {}) => self.variables.map(node => other[node.name] ?? self.inputs[node.name]),

    // Another text or other values: asks Python for the trace. Answers that come late are dropped.
    async read(text, inputs = self.inputs, { commit = true, select, step } = {}) {
      const turn = ++asked;
      hurry(); // what is shown is written before its text is another
      self.text = text;
      try {
        const trace = await load(text, inputs);
        if (turn === asked) self.show(trace, { commit, select, step });
      } catch (problem) {
        if (turn !== asked) return;
        if (problem instanceof Error) throw problem;
        self.error = problem;
        tell('error');
      }
    },
    // An example with its own values, at its end.
    open(example) {
      const { rate, wrt, values } = example;
      Object.assign(self, { rate, zoom: DEFAULTS.zoom, scale: DEFAULTS.scale, breakpoints: new Set() });
      return self.read(example.text, { ...values }, { select: wrt, step: Infinity });
    },
    show(trace, { commit = true, select, step } = {}) {
      const atEnd = step === undefined && (!self.trace || self.step >= self.last);
      const before = self.trace?.nodes[self.selected]?.name ?? self.wanted;
      self.trace = trace;
      self.error = null;
      self.hovered = null;
      self.numbers = makeNumbers(trace);
      self.inputs = Object.fromEntries(self.variables.map(node => [node.name, fromJson(node.value)]));
      changed();
      self.path = null;
      self.trail = [];
      const name = select ?? before;
      const kept = trace.nodes.find(node => node.name && node.name === name && node.kind !== 'constant');
      self.selected = (kept ?? self.variables[0] ?? trace.nodes[trace.result]).id;
      self.alongId = self.along?.id;
      if (!trace.events[self.mode]) self.mode = 'reverse';
      self.step = atEnd ? self.last : clamp(step ?? self.step, 0, self.last);
      tell('error');
      tell('trace');
      catchUp();
      self.write(commit);
    },
    setVariable(name, value, { done = true, descending = false } = {}) {
      if (typeof value !== 'number') return;
      self.inputs[name] = value;
      if (!descending) self.trail = [];
      self.numbers.set(self.inputList());
      changed();
      tell('numbers');
      self.write(done);
    },
    go(step, { commit = false } = {}) {
      self.step = clamp(step, 0, self.last);
      self.path = null;
      tell('view');
      self.write(commit);
    },
    select(id) {
      self.selected = id;
      self.path = null;
      if (self.trace.nodes[id].kind === 'variable' && self.alongId !== id) {
        self.alongId = id;
        self.trail = [];
      }
      tell('view');
      self.write(true);
    },
    hover(id) {
      if (self.hovered === id) return;
      self.hovered = id;
      tell('hover');
    },
    toggleBreakpoint(id) {
      const { name } = self.trace.nodes[id];
      if (!name) return;
      self.breakpoints = new Set(self.breakpoints);
      if (!self.breakpoints.delete(name)) self.breakpoints.add(name);
      tell('view');
      self.write(true);
    },
    // Any of mode, constants, speed, rate, zoom (of the plot), scale (of the graph), layers (sizes of a chain of them), path, trail.
    change(options, { commit = true } = {}) {
      const turned = 'mode' in options && options.mode !== self.mode;
      const atEnd = self.step >= self.last;
      Object.assign(self, options);
      if (turned) self.step = atEnd ? self.last : Math.min(self.step, self.trace.events.reverse.findIndex(e => e.t === 'seed'));
      tell('view');
      self.write(commit);
    },
    state() {
      const { text, mode, step, speed, rate, zoom, scale, layers } = self;
      const at = self.variables.map(node => `${node.name}=${self.inputs[node.name]}`).join(',');
      const chosen = self.trace.nodes[self.selected];
      return {
        f: text,
        at,
        select: chosen?.name || '',
        step: step >= self.last ? '' : String(step),
        mode: mode === DEFAULTS.mode ? '' : mode,
        constants: self.constants ? '' : 'no',
        speed: speed === DEFAULTS.speed ? '' : String(speed),
        rate: rate === DEFAULTS.rate ? '' : String(rate),
        zoom: zoom === DEFAULTS.zoom ? '' : String(zoom),
        scale: scale === DEFAULTS.scale ? '' : String(scale),
        layers: layers === DEFAULTS.layers ? '' : layers,
        stops: [...self.breakpoints].join(','),
      };
    },
    write(commit) {
      if (!self.trace) return;
      if (commit) {
        clearTimeout(writing);
        writing = 0;
        history.commit(self.state());
      } else {
        clearTimeout(writing);
        writing = setTimeout(hurry, ADDRESS_MS);
      }
    },
    // What was still to be written into the address is written now.
    settle() {
      if (writing) self.write(true);
    },
    // Shows a state as the address holds it.
    async restore(state) {
      clearTimeout(writing);
      writing = 0;
      const text = state.f ?? examples[0].text;
      const example = examples.find(one => one.text === text);
      const given = state.at === undefined ? null : readInputs(state.at);
      const inputs = given ? given.inputs : state.f === undefined || example ? { ...example?.values } : {};
      if (given?.wrong.length) notify(`The link has no number for ${given.wrong.join(', ')}: a usual one is shown.`, 8000);
      self.mode = state.mode === 'forward' ? 'forward' : 'reverse';
      self.constants = state.constants !== 'no';
      self.speed = stateNumber(state.speed, DEFAULTS.speed);
      self.rate = stateNumber(state.rate, example && state.f === undefined ? example.rate : DEFAULTS.rate);
      self.zoom = clamp(stateNumber(state.zoom, DEFAULTS.zoom), 0, 1);
      self.layers = state.layers ?? DEFAULTS.layers;
      self.scale = clamp(stateNumber(state.scale, DEFAULTS.scale), ...SCALES);
      self.breakpoints = new Set((state.stops ?? '').split(',').filter(Boolean));
      self.wanted = state.select ?? example?.wrt;
      await self.read(text, inputs, { commit: state.f === undefined, select: self.wanted, step: stateNumber(state.step, Infinity) });
    },
  };
  return self;
}

const stateNumber = (text, otherwise) => (text === undefined || text === '' || Number.isNaN(Number(text)) ? otherwise : Number(text));

// Values by name, and the names of those that are no numbers.
function readInputs(text) {
  const inputs = {}, wrong = [];
  for (const part of text.split(',')) {
    const [name, value] = part.split('=');
    if (!name.trim()) continue;
    if (value?.trim() && !Number.isNaN(Number(value))) inputs[name.trim()] = Number(value);
    else if (value?.trim() === 'NaN') inputs[name.trim()] = 'NaN';
    else wrong.push(name.trim());
  }
  return { inputs, wrong };
}
