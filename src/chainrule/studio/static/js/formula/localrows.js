// Local derivatives: in letters, as a number that follows the sliders, and why they are that.

import { h, plural, setAttr, setText } from '../dom.js';
import { mathLine, mathOf } from '../mathtree.js';
import { fmt } from '../numbers.js';
import { infix, letterMath, partialMark } from './letters.js';
import { edgesInto, edgesOutOf } from './snapshot.js';

const MOST_LOCALS = 8;

function localRows(session, title, edges, below) {
  const { trace } = session;
  const painters = [];
  const rows = edges.slice(0, MOST_LOCALS).map(edge => {
    const value = h('b', { class: 'num' });
    painters.push(() => {
      const local = session.numbers.locals[edge.id];
      setText(value, fmt(local));
      setAttr(value, 'title', local);
    });
    return h(
      'li',
      {},
      h('span', { class: 'which' }, mathLine(partialMark(trace.nodes[edge.to], trace.nodes[edge.from])), edge.symbol && mathLine(infix('='), mathOf(edge.symbol))),
      value,
      h('span', { class: 'because' }, edge.because),
    );
  });
  const left = edges.length - rows.length;
  const element = h('div', { class: 'sec' }, h('h3', {}, title), h('ul', { class: 'locals' }, rows), left > 0 && h('p', { class: 'small' }, `and ${left} more`), below);
  return { element, paint: () => painters.forEach(paint => paint()) };
}

// Towards the result: one for each use of the node.
export function usesSection(session, node) {
  const edges = edgesOutOf(session.trace, node.id);
  return edges.length ? localRows(session, edges.length > 1 ? 'Local derivatives, one for each use' : 'Local derivative', edges) : null;
}

// Of an operation with respect to its inputs.
export function inputsSection(session, node) {
  const edges = edgesInto(session.trace, node.id);
  if (!edges.length) return null;
  const result = session.trace.nodes[session.trace.result];
  const reused = edges.length > 1 && node !== result && h('p', { class: 'small' }, mathLine(partialMark(result, node)), ` is computed once and used ${plural(edges.length, 'time')}: that is the dynamic programming.`);
  return localRows(session, edges.length > 1 ? 'Local derivatives of its inputs' : 'Local derivative of its input', edges, reused);
}

export const definitionLine = node => (node.definition ? mathLine(infix('='), mathOf(node.definition)) : letterMath(node));
