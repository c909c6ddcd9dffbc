// A graph as small as a stamp: the same places, with what one sweep passes over.

import { s } from '../dom.js';
import { edgesInto, edgesOutOf } from './snapshot.js';

// From a variable forward, or from the result back.
export function sweepPicture(trace, from, { backward, wide }) {
  const width = wide ? 150 : 74, height = wide ? 62 : 46, pad = 7;
  const { layers, breadth } = trace.size;
  const at = node => [pad + (node.layer / Math.max(1, layers - 1)) * (width - 2 * pad), breadth ? pad + (node.across / breadth) * (height - 2 * pad) : height / 2];
  const reached = reachedFrom(trace, from, backward);
  const line = edge => {
    const points = [at(trace.nodes[edge.from]), ...edge.bends.map(([layer, across]) => at({ layer, across })), at(trace.nodes[edge.to])];
    return points.map(([x, y], i) => `${i ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
  };
  const lines = on => trace.edges.filter(edge => reached.has(backward ? edge.to : edge.from) === on).map(line).join('');
  const dots = trace.nodes.filter(node => node.kind !== 'constant');
  const many = dots.length > 60;
  const dot = (node, r) => {
    const [x, y] = at(node);
    return `M${(x - r).toFixed(1)} ${y.toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  };
  const others = dots.filter(node => node.id !== from);
  return s(
    'svg',
    { class: wide ? 'thumb wide' : 'thumb', viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' },
    s('path', { class: 'off', d: lines(false) }),
    s('path', { class: 'on', d: lines(true) }),
    s('path', { class: 'dots', d: others.filter(node => !reached.has(node.id)).map(node => dot(node, many ? 1 : 2)).join('') }),
    s('path', { class: 'dots on', d: others.filter(node => reached.has(node.id)).map(node => dot(node, many ? 1 : 2)).join('') }),
    s('path', { class: 'source', d: dot(trace.nodes[from], 3.5) }),
  );
}

function reachedFrom(trace, from, backward) {
  const reached = new Set([from]), todo = [from];
  while (todo.length) {
    const id = todo.pop();
    for (const edge of backward ? edgesInto(trace, id) : edgesOutOf(trace, id)) {
      const next = backward ? edge.from : edge.to;
      if (!reached.has(next)) {
        reached.add(next);
        todo.push(next);
      }
    }
  }
  return reached;
}
