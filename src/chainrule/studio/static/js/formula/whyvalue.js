// Why a node has this value and this gradient: the steps that lead to the one, and what made the other large, small, 0 or NaN.

import { h, setText } from '../dom.js';
import { mathLine, mathOf, paintMath } from '../mathtree.js';
import { asFactor, fmt, percent } from '../numbers.js';
import { infix, letterMark, sessionReader } from './letters.js';
import { pathMass, strongestPaths } from './paths.js';
import { edgesInto, edgesOutOf } from './snapshot.js';

const MOST_LINES = 8;

// A disclosure, {element, paint}; nothing is computed while it is closed.
export function whySection(session, node) {
  const live = [], read = sessionReader(session);
  const says = h('p', { class: 'small' }), from = h('p', { class: 'small' });
  const steps = stepsTowards(session.trace, node);
  const lines = steps.slice(-MOST_LINES).map(step => h('li', {}, mathLine(letterMark(step), infix('='), mathOf(step.definition), infix('='), mathOf(step.plugged, live), infix('='), mathOf(['num', `v${step.id}`], live))));
  const left = steps.length - lines.length;
  const element = h(
    'details',
    { class: 'why', ontoggle: () => paint() },
    h('summary', {}, 'Why these numbers?'),
    lines.length ? [h('h3', {}, 'The value'), left > 0 && h('p', { class: 'small' }, `after ${left} earlier steps`), h('ol', { class: 'steps' }, lines)] : null,
    from,
    node.gradient !== null && [h('h3', {}, 'The gradient'), says],
  );
  function paint() {
    if (!element.open) return;
    paintMath(live, read);
    setText(from, whyNotFinite(session, node) || (lines.length ? '' : node.kind === 'variable' ? `${node.text} is a variable: its value is what you set it to.` : ''));
    setText(says, whyGradient(session, node));
  }
  return { element, paint };
}

// The operations that a node is computed from, in order, itself last.
function stepsTowards(trace, node) {
  const needed = new Set([node.id]), found = [];
  for (let id = node.id; id >= 0; id -= 1) {
    const step = trace.nodes[id];
    if (!needed.has(id) || !step.inputs) continue;
    found.push(step);
    for (const input of step.inputs) needed.add(input);
  }
  return found.reverse();
}

// Where NaN or an infinity came from; '' where the value is finite.
function whyNotFinite({ trace, numbers }, node) {
  const value = numbers.values[node.id];
  if (Number.isFinite(value)) return '';
  const first = stepsTowards(trace, node).find(step => !Number.isFinite(numbers.values[step.id]) && step.inputs.every(id => Number.isFinite(numbers.values[id])));
  if (!first) return `${fmt(value)} comes from a variable that is not finite.`;
  const inputs = first.inputs.map(id => `${trace.nodes[id].name ? `${trace.nodes[id].text} = ` : ''}${fmt(numbers.values[id])}`).join(' and ');
  return `${fmt(numbers.values[first.id])} begins at ${first.text}, ${first.op} of ${inputs}: before it all numbers are finite.`;
}

export function whyGradient(session, node) {
  const { trace, numbers } = session, result = trace.nodes[trace.result], gradient = numbers.gradients[node.id];
  if (node === result) return `The change of ${result.text} with itself is 1: here the backward pass starts.`;
  const uses = edgesOutOf(trace, node.id);
  if (!uses.length) return `${result.text} does not depend on ${node.text}: no path leads here, so the gradient is 0.`;
  if (gradient === 0) return whyZero(session, node, uses);
  const [path] = strongestPaths(trace, numbers.locals, node.id, 1);
  if (!path || !Number.isFinite(gradient)) return notFiniteOnPath(session, path);
  return [mainPath(session, node, path), extremes(session, path.edges)].filter(Boolean).join(' ');
}

function whyZero({ trace, numbers }, node, uses) {
  const parts = uses.filter(edge => numbers.contributions[edge.id] !== 0);
  if (parts.length) return `What comes back over its ${uses.length} uses cancels: ${uses.map(edge => asFactor(fmt(numbers.contributions[edge.id]))).join(' + ')} = 0.`;
  const blocked = blockingEdges({ trace, numbers }, node).slice(0, 3);
  const arrives = blocked.some(edge => edge.from !== node.id) ? [`Nothing arrives at ${node.text}.`] : [];
  return [...arrives, ...new Set(blocked.map(edge => `${trace.nodes[edge.to].text} does not change with ${trace.nodes[edge.from].text} here: the local derivative is 0. ${edge.because}`))].join(' ');
}

// Nearest to the result: the edges at which what came from there ends, on the way to a node whose gradient is 0.
function blockingEdges({ trace, numbers }, node) {
  const found = [], seen = new Set(), todo = [node.id];
  while (todo.length) {
    for (const edge of edgesOutOf(trace, todo.pop())) {
      if (numbers.gradients[edge.to] !== 0) found.push(edge);
      else if (!seen.has(edge.to)) todo.push(edge.to);
      seen.add(edge.to);
    }
  }
  return found.filter(edge => numbers.locals[edge.id] === 0);
}

function notFiniteOnPath({ trace, numbers }, path) {
  const edge = path?.edges.find(one => !Number.isFinite(numbers.locals[one.id]));
  if (!edge) return 'Contributions that are not finite meet here.';
  return `The local derivative of ${trace.nodes[edge.to].text} with respect to ${trace.nodes[edge.from].text} is ${fmt(numbers.locals[edge.id])}: after that no gradient on this path is a number of use.`;
}

function mainPath({ trace, numbers }, node, { edges, product }) {
  const gradient = numbers.gradients[node.id], mass = pathMass(trace, numbers.locals, node.id);
  const by = `${[...edges.map(edge => trace.nodes[edge.to].text), node.text].join(' ← ')}`;
  if (node.paths === '1') return `One path leads here, ${by}.`;
  const cancels = Math.abs(gradient) < 0.5 * mass ? ` The paths pull both ways: of ${fmt(mass)} in magnitude ${fmt(Math.abs(gradient))} are left.` : '';
  return `The strongest path is ${by} with ${fmt(product)}, ${percent(Math.abs(product) / mass)} of all.${cancels}`;
}

// The factors that weaken or strengthen most on a path, where any does by ten.
function extremes({ trace, numbers }, edges) {
  const sizes = edges.map(edge => Math.abs(numbers.locals[edge.id]));
  const named = i => `${trace.nodes[edges[i].to].text}${reasonOf(trace, edges[i])}`;
  const least = sizes.indexOf(Math.min(...sizes)), most = sizes.indexOf(Math.max(...sizes));
  return [
    sizes[least] < 0.1 && `It is weakened most at ${named(least)}, by the factor ${fmt(numbers.locals[edges[least].id])}.`,
    sizes[most] > 10 && `It is strengthened most at ${named(most)}, by the factor ${fmt(numbers.locals[edges[most].id])}.`,
  ].filter(Boolean).join(' ');
}
const reasonOf = (trace, edge) => ` (${trace.nodes[edge.to].op}${edgesInto(trace, edge.to).length > 1 ? `, towards ${trace.nodes[edge.from].text}` : ''})`;
