// The strongest paths from the result to a node, however many there are, and what all of them come to.

import { passedOn } from './sweep.js';
import { edgesOutOf } from './snapshot.js';

// `most` paths as {edges (the result's end first), product}, the strongest first. Every node keeps only its own
// strongest: what lies below multiplies all of them alike, so no other can overtake.
export function strongestPaths(trace, locals, goal, most) {
  const best = trace.nodes.map(() => []);
  best[trace.result] = [{ product: 1, last: null, before: null }];
  for (let id = trace.result - 1; id >= goal; id -= 1) {
    const found = [];
    for (const edge of edgesOutOf(trace, id)) {
      for (const path of best[edge.to]) found.push({ product: path.before ? passedOn(path.product, locals[edge.id], edge.selects) : locals[edge.id], last: edge, before: path });
    }
    best[id] = found.sort((a, b) => pathSize(b) - pathSize(a)).slice(0, most);
  }
  return best[goal].map(path => ({ edges: edgesOfPath(path), product: path.product }));
}
const pathSize = path => (Number.isNaN(path.product) ? Infinity : Math.min(Math.abs(path.product), Number.MAX_VALUE));

function edgesOfPath(path) {
  const edges = [];
  for (let step = path; step.last; step = step.before) edges.push(step.last);
  return edges.reverse();
}

export const pathProduct = (edges, locals) => edges.reduce((product, edge, i) => (i ? passedOn(product, locals[edge.id], edge.selects) : locals[edge.id]), 1);

// Sum of the magnitudes of all paths' products: one sweep, as for the gradient.
export function pathMass(trace, locals, goal) {
  const mass = new Float64Array(trace.nodes.length);
  mass[trace.result] = 1;
  for (let id = trace.result - 1; id >= goal; id -= 1) {
    for (const edge of edgesOutOf(trace, id)) mass[id] += passedOn(mass[edge.to], Math.abs(locals[edge.id]), edge.selects);
  }
  return mass[goal];
}
