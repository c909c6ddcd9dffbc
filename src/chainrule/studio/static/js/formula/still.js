// The formula page without Python: one formula, whose numbers the page computes itself for any values.

import { makeNumbers } from './sweep.js';

// The trace of the same formula with other values of its variables.
function traceAt(trace, inputs) {
  const given = trace.variables.map(id => Number(inputs[trace.nodes[id].name] ?? trace.nodes[id].value));
  const numbers = makeNumbers(trace);
  numbers.set(given);
  return {
    ...trace,
    nodes: trace.nodes.map(node => ({ ...node, value: numbers.values[node.id], gradient: node.gradient === null ? null : numbers.gradients[node.id] })),
    edges: trace.edges.map(edge => ({ ...edge, local: numbers.locals[edge.id], contribution: numbers.contributions[edge.id] })),
  };
}

const onlyLive = what => ({ type: 'OfflineError', message: `this file cannot ${what}`, fix: 'the live studio can: run chainrule studio with the formula' });

// What answers instead of a server; `fixed` says why no other formula can be typed.
export function stillFormulaClient({ trace, example }) {
  const { text } = trace.source;
  const refuse = what => Promise.reject(onlyLive(what));
  return {
    fixed: `This file shows one formula. For others run: chainrule studio "${text.includes('\n') ? 'FORMULA' : text}"`,
    get: async (path, query) => (path === '/api/formula/examples' ? [example] : refuse(`answer ${path.split('/').pop()} of ${query?.node ?? 'this'}`)),
    post: async (path, body) => (path === '/api/formula' && body.text === text ? traceAt(trace, body.values) : refuse('read another formula')),
  };
}
