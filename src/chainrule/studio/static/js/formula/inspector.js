// The selected node: value, gradient, chain rule, paths, local derivatives. While a slider is dragged only its texts
// change, a frame after the graph; it is built anew when another node is selected or the graph is another one.

import { h, setAttr, setText } from '../dom.js';
import { mathLine } from '../mathtree.js';
import { fmt } from '../numbers.js';
import { chainSection } from './chainsection.js';
import { countedPaths, letterMark } from './letters.js';
import { definitionLine, inputsSection, usesSection } from './localrows.js';
import { pathSection } from './pathrows.js';
import { whySection } from './whyvalue.js';

const SETTLED = 220;

export function inspectorPanel(session) {
  const element = h('section', { class: 'card pad insp', 'aria-label': 'Selected node' });
  let parts = [], shown = null, timer;
  const isCurrent = () => session.trace.nodes[shown?.id] === shown;
  const paint = () => isCurrent() && parts.forEach(part => part.paint());
  const settle = () => isCurrent() && parts.forEach(part => part.settle?.());
  function build() {
    const node = session.trace.nodes[session.selected];
    const wasOpen = element.querySelector('details')?.open && shown?.key === node.key;
    shown = node;
    const leads = node.gradient !== null && node.id !== session.trace.result && node.paths !== '0';
    parts = [headPart(session, node), tilesPart(session, node), nudgePart(session, node), notePart(node), leads && chainSection(session, node), leads && pathSection(session, node), leads && usesSection(session, node), inputsSection(session, node), whySection(session, node)].filter(Boolean);
    element.replaceChildren(...parts.map(part => part.element));
    if (wasOpen) element.querySelector('details').open = true;
    paint();
  }
  session.follow('trace', build);
  session.follow('view', () => {
    if (session.trace.nodes[session.selected] !== shown) build();
    else parts.forEach(part => part.mark?.());
  });
  const later = inLaterFrame(paint);
  session.follow('numbers', () => {
    later();
    clearTimeout(timer);
    timer = setTimeout(settle, SETTLED);
  });
  return element;
}

// Once, in the frame after the next: what is drawn at once comes first.
export function inLaterFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        waiting = false;
        work();
      }),
    );
  };
}

const still = element => ({ element, paint() {} });

function headPart({ trace }, node) {
  const kind = node.kind === 'variable' ? (node.data ? 'data, not learned' : 'variable') : node.kind === 'constant' ? 'constant' : null;
  const paths = node.gradient === null ? '' : node.id === trace.result ? 'the result' : `${countedPaths(node.paths)} from ${trace.nodes[trace.result].text}`;
  return still(h('div', { class: 'insp-head' }, h('h2', { class: 'big' }, mathLine(letterMark(node))), h('span', { class: 'is' }, kind ? h('span', { class: 'small' }, kind) : definitionLine(node)), h('span', { class: 'small count' }, paths)));
}

function tilesPart(session, node) {
  const value = h('b', { class: 'num' }), gradient = h('b', { class: 'num' });
  const result = session.trace.nodes[session.trace.result];
  const element = h(
    'div',
    { class: 'tiles' },
    h('div', { class: 'tile' }, h('small', {}, 'value'), value),
    h('div', { class: node.data || node.gradient === null ? 'tile gr off' : 'tile gr' }, h('small', {}, node.gradient === null ? 'gradient' : `gradient ∂${result.text}/∂${node.text}`), gradient),
  );
  return {
    element,
    paint() {
      const { values, gradients } = session.numbers;
      setText(value, fmt(values[node.id]));
      setAttr(value, 'title', values[node.id]);
      setText(gradient, node.gradient === null ? 'none' : fmt(gradients[node.id]));
      setAttr(gradient, 'title', node.gradient === null ? 'A constant does not change' : gradients[node.id]);
    },
  };
}

// By how much a variable is raised to see what the gradient says: small beside its value.
const nudgeOf = value => (Math.abs(value) > 100 ? 10 ** (Math.floor(Math.log10(Math.abs(value))) - 4) : 0.01);
const moves = change => (change < 0 ? 'fall' : 'rise');

function nudgePart(session, node) {
  const { trace } = session, result = trace.nodes[trace.result];
  if (node.id === trace.result || node.gradient === null || node.paths === '0') return null;
  const lead = h('span', {}), promised = h('b', { class: 'g num' }), link = h('span', {}), found = h('b', { class: 'v num' }), end = h('span', {});
  const write = (...texts) => [lead, promised, link, found, end].forEach((part, i) => setText(part, texts[i] ?? ''));
  const paint = () => {
    const value = session.inputs[node.name], slope = session.numbers.gradients[node.id];
    if (node.kind !== 'variable') {
      if (!Number.isFinite(slope)) return write();
      return write(`If ${node.text} were larger by 0.01, ${result.text} would ${slope === 0 ? 'not change' : `${moves(slope)} by about `}`, slope === 0 ? '' : fmt(Math.abs(slope * 0.01)), '.');
    }
    if (!Number.isFinite(value)) return write(`${node.text} is ${fmt(value)}: there is nothing to nudge.`);
    const step = nudgeOf(value), change = session.numbers.at(session.inputList({ [node.name]: value + step })).value - session.numbers.values[trace.result];
    if (!Number.isFinite(slope) || !Number.isFinite(change)) return write(`Raise ${node.text} by ${fmt(step)}: ${result.text} changes by ${fmt(change)}, and the gradient says ${fmt(slope)}.`);
    const should = slope === 0 ? 'stay where it is' : `${moves(slope)} by `;
    write(`Raise ${node.text} by ${fmt(step)}: ${result.text} should ${should}`, slope === 0 ? '' : fmt(Math.abs(slope * step)), change === 0 ? ', and it stays where it is' : `, and it ${moves(change)}s by `, change === 0 ? '' : fmt(Math.abs(change)), '.');
  };
  return { element: h('p', { class: 'nudge' }, lead, promised, link, found, end), paint };
}

const notePart = node => (node.note ? still(h('p', { class: 'nudge note' }, node.note)) : null);
