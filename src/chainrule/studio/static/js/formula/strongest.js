// The path along which most of a gradient comes.

import { edgesInto } from './snapshot.js';

// Edges from the result down to `goal`, with the largest product of local derivatives in magnitude; none if there is no
// path. Logarithms add, so one pass over the edges finds it.
export function strongestPath(trace, numbers, goal) {
  const best = new Float64Array(trace.nodes.length).fill(-Infinity), by = new Array(trace.nodes.length).fill(null);
  best[trace.result] = 0;
  for (let id = trace.result; id > goal; id -= 1) {
    if (best[id] === -Infinity) continue;
    for (const edge of edgesInto(trace, id)) {
      const size = Math.abs(numbers.locals[edge.id]);
      const found = best[id] + Math.max(-1e6, Math.log(Number.isNaN(size) ? 0 : size));
      if (by[edge.from] === null || found > best[edge.from]) {
        best[edge.from] = found;
        by[edge.from] = edge;
      }
    }
  }
  const path = [];
  for (let edge = by[goal]; edge; edge = by[edge.to]) path.unshift(edge);
  return path;
}
