// Nodes as buttons: a letter, its definition, and two registers, value left and gradient right.
//
// Elements stay with their node's key over edits; what is written again is only what differs.

import { h, m, setAttr } from '../dom.js';
import { mathOf } from '../mathtree.js';
import { fmt } from '../numbers.js';
import { numberDrag } from './numberdrag.js';
import { levelName } from './places.js';

export const TINTS = 8; // steps of a chip's or dot's tint
const DECADES = 6;

// Widths in digits: what stands in a register is reckoned, not measured.
const NARROW = { '.': 0.5, '·': 0.5, ' ': 0.5 };
const textWidth = text => {
  let width = 0;
  for (const character of text) width += NARROW[character] ?? (/[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]/.test(character) ? 0.65 : 1);
  return width;
};
// The number with as many digits as there is room for.
export function fitted(x, digits, room) {
  let text = fmt(x, digits);
  for (let d = digits - 1; d >= 1 && textWidth(text) > room; d -= 1) text = fmt(x, d);
  return text;
}
// Digits of a number at most, and the size of its type, as in the style sheet, in pixels at a unit of 15 px.
const DIGITS = { card: [4, 13.95], small: [3, 12], tiny: [2, 11.2] };

// How strong a tint is: 0 for nothing, then by order of magnitude from 10⁻³ to 10³.
export function tintOf(x) {
  if (x === undefined || x === 0) return 0;
  if (!Number.isFinite(x)) return TINTS;
  return Math.max(1, Math.min(TINTS, Math.round(((Math.log10(Math.abs(x)) + DECADES / 2) / DECADES) * (TINTS - 1)) + 1));
}

export function nodeLayer(session) {
  const element = h('div', { class: 'nodes', role: 'group', 'aria-label': 'Nodes of the graph' });
  const known = new Map(); // by key
  let shown = [], tiny = false, digit = 0.62, labelTimer = 0;

  element.addEventListener('click', event => {
    const id = idAt(event);
    if (id === null || event.target.closest('.node').classList.contains('constant')) return;
    if (event.shiftKey) session.toggleBreakpoint(id);
    else session.select(id);
  });
  element.addEventListener('pointerover', event => event.pointerType !== 'touch' && session.hover(idAt(event)));
  element.addEventListener('pointerleave', () => session.hover(null));
  const idAt = event => {
    const node = event.target.closest?.('.node');
    return node ? Number(node.dataset.node) : null;
  };

  function make(node) {
    const isConstant = node.kind === 'constant', isVariable = node.kind === 'variable';
    const record = { key: node.key, kind: node.kind, id: -1, node: null, last: {} };
    record.symbol = h('span', { class: 'symbol' });
    record.definition = h('span', { class: 'definition' });
    if (isConstant) record.element = h('div', {}, record.symbol);
    else {
      record.value = h('span', { class: 'register value' });
      record.gradient = h('span', { class: 'register gradient' });
      record.face = h('button', { class: 'face', type: 'button', tabindex: -1 }, h('span', { class: 'head' }, record.symbol, record.definition), !isVariable && record.value, record.gradient);
      record.element = h('div', {}, record.face, isVariable && record.value);
      if (isVariable) numberDrag(record.value, session, () => record.node);
    }
    return record;
  }
  // Letter and definition; nothing is typeset again that is the same.
  function letter(record, node, asCard) {
    const said = JSON.stringify(node.letter);
    if (record.letter !== said) {
      record.letter = said;
      record.symbol.replaceChildren(m('math', {}, mathOf(node.letter)));
      record.symbol.className = `symbol${said.includes('msubsup') ? ' tall' : ''}`;
    }
    if (record.kind === 'constant' || !asCard || !node.definition) return;
    const meant = JSON.stringify(node.definition);
    if (record.meant === meant) return;
    record.meant = meant;
    record.definition.replaceChildren(m('math', {}, mathOf(node.definition)));
  }

  const self = {
    element,
    // Puts nodes where `boxes` says; `wanted` are the ids that get an element, `levels` says which kind of card.
    build(trace, places, boxes, wanted, levelOf) {
      const focused = document.activeElement;
      const keys = new Set(wanted.map(id => trace.nodes[id].key));
      for (const [key, record] of known)
        if (!keys.has(key)) {
          record.element.remove();
          known.delete(key);
        }
      ({ tiny, digit } = places);
      let next = element.firstChild;
      shown = wanted.map(id => {
        const node = trace.nodes[id];
        let record = known.get(node.key);
        if (record && record.kind !== node.kind) {
          if (record.element === next) next = next.nextSibling;
          record.element.remove();
          record = null;
        }
        if (!record) known.set(node.key, (record = make(node)));
        if (record.element === next) next = next.nextSibling;
        else element.insertBefore(record.element, next);
        const level = levelName(levelOf(id)), box = boxes[id];
        if (record.id !== id) setAttr(record.element, 'data-node', id);
        Object.assign(record, { id, node, level, room: (level === 'card' ? box.w / 2 : box.w) / places.unit - 4 });
        letter(record, node, level === 'card');
        const place = `${Math.round(box.x - box.w / 2)}px ${Math.round(box.y - box.h / 2)}px`;
        if (record.place !== place) record.element.style.translate = record.place = place;
        const size = `${Math.round(box.w)} ${Math.round(box.h)}`;
        if (record.size !== size) {
          record.size = size;
          record.element.style.width = `${Math.round(box.w)}px`;
          record.element.style.height = `${Math.round(box.h)}px`;
        }
        return record;
      });
      if (focused !== document.activeElement && element.contains(focused)) focused.focus({ preventScroll: true });
    },
    // state(id) -> {value, gradient, now, faded, hot}; undefined numbers have not come yet.
    paint(state) {
      for (const record of shown) paintNode(record, state(record.id));
      clearTimeout(labelTimer);
      labelTimer = setTimeout(self.label, 200);
    },
    // What a screen reader says and what the title holds: later than the picture, since nobody hears sixty a second.
    label() {
      for (const record of shown) labelNode(record, session);
    },
    focus(id) {
      shown.find(record => record.id === id)?.face?.focus({ preventScroll: true });
    },
  };

  function paintNode(record, found) {
    const { last, id, level } = record;
    const marks = [
      level,
      record.kind,
      id === session.selected && 'selected',
      id === session.hovered && 'hovered',
      found.now && `now-${found.now}`,
      found.faded && 'faded',
      found.strange && 'strange',
      record.node.name && session.breakpoints.has(record.node.name) && 'stops',
      tiny && level === 'small' && 'tiny',
    ];
    const name = `node ${marks.filter(Boolean).join(' ')}`;
    if (last.name !== name) record.element.className = last.name = name;
    if (record.kind === 'constant') return;
    const tab = id === session.selected ? 0 : -1;
    if (last.tab !== tab) {
      last.tab = tab;
      record.face.tabIndex = tab;
      if (record.kind === 'variable') record.value.tabIndex = tab;
    }
    if (level === 'chip' || level === 'dot') {
      tint(record, '--v', tintOf(found.value));
      tint(record, '--g', tintOf(found.gradient));
      return;
    }
    const [digits, wide] = DIGITS[tiny && level === 'small' ? 'tiny' : level];
    const room = record.room / (wide * digit);
    register(record.value, found.value, digits, room, last, 'value');
    register(record.gradient, found.gradient, digits, room, last, 'gradient');
  }
  function tint(record, name, step) {
    if (record.last[name] === step) return;
    record.last[name] = step;
    record.element.style.setProperty(name, `${Math.round((step / TINTS) * 62)}%`);
  }
  function register(target, x, digits, room, last, name) {
    const text = x === undefined ? '·' : fitted(x, digits, room);
    if (last[name] === text) return;
    last[name] = text;
    if (target.firstChild?.nodeType === Node.TEXT_NODE) target.firstChild.data = text;
    else target.textContent = text;
    const long = textWidth(text) > 2.6, on = x !== undefined;
    if (last[`${name} long`] !== long) target.classList.toggle('long', (last[`${name} long`] = long));
    if (last[`${name} on`] !== on) target.classList.toggle('on', (last[`${name} on`] = on));
  }
  return self;
}

function labelNode(record, session) {
  const { trace, numbers, snapshot } = session;
  const node = record.node;
  if (!trace || trace.nodes[record.id] !== node) return;
  if (record.kind === 'constant') {
    setAttr(record.element, 'title', `the constant ${node.text}: nothing to learn here, so no gradient is sent`);
    return;
  }
  const result = trace.nodes[trace.result].text, gradient = snapshot.gradients.get(node.id);
  const valued = snapshot.valued.has(node.id);
  const stops = session.breakpoints.has(node.name) ? ' Playing stops here.' : '';
  setAttr(record.face, 'aria-label', nodeSentence(node, trace, valued ? numbers.values[node.id] : undefined, gradient, session) + stops);
  setAttr(record.face, 'aria-current', node.id === session.selected ? 'true' : null);
  setAttr(record.gradient, 'title', gradient === undefined ? null : `∂${result}/∂${node.text} = ${gradient}`);
  setAttr(record.value, 'title', valued ? `${node.text} = ${numbers.values[node.id]}` : null);
  if (record.kind === 'variable') {
    setAttr(record.value, 'aria-valuenow', numbers.values[node.id]);
    setAttr(record.value, 'aria-valuetext', `${node.text} = ${fmt(numbers.values[node.id])}`);
    setAttr(record.value, 'aria-label', `value of ${node.text}`);
    setAttr(record.value, 'aria-valuemin', node.range[0]);
    setAttr(record.value, 'aria-valuemax', node.range[1]);
  }
}

// "b, variable. Value 3. Gradient of f with respect to b: 9. 2 paths from f."
export function nodeSentence(node, trace, value, gradient, session) {
  const result = trace.nodes[trace.result].text;
  const what = node.kind === 'variable' ? (node.data ? 'variable, data' : 'variable') : `${node.op} of ${node.inputs.map(i => trace.nodes[i].text).join(' and ')}`;
  const first = value === undefined ? 'Value not computed yet.' : `Value ${fmt(value)}.`;
  const sweep = session.mode === 'forward' ? session.snapshot.sweep : null;
  const second = gradient === undefined ? 'No gradient yet.' : sweep ? `Derivative in this sweep: ${fmt(gradient)}.` : `Gradient of ${result} with respect to ${node.text}: ${fmt(gradient)}.`;
  const paths = node.paths === null ? 'very many paths' : node.paths === '1' ? '1 path' : `${node.paths} paths`;
  return `${node.text}, ${what}. ${first} ${second} ${paths} from ${result}.`;
}
