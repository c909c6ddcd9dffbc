// The curves of edges: cubic pieces with the direction of the layers at both ends, through the places where a long edge
// passes the layers between. All of it is numbers; the page is never asked where a curve is.

import { CHIP, DOT } from './places.js';

const SAMPLES = 12;

// For each edge of `edges` ({from, to, bends}) a road: {pieces, points, lengths, length}.
export function roadsOf(edges, places, boxes = places.boxes) {
  const ports = portsOf(edges, places, boxes);
  const twins = twinsOf(edges);
  return edges.map((edge, i) => {
    const points = [ports[i][0], ...passed(edge, places), ports[i][1]];
    return { edge, twin: twins[i], points, pieces: curveThrough(points, places.vertical, twins[i] * bowOf(places)) };
  });
}

const bowOf = places => (places.level >= CHIP ? 16 : places.vertical ? 44 : 36) * places.unit;

// Where an edge passes a layer between its ends it runs straight for the width of a node, so that it stays between them.
function passed(edge, places) {
  const { vertical, level, at } = places;
  const some = places.boxes[edge.to];
  const half = level >= CHIP ? 0 : (vertical ? some.h : some.w) / 2;
  return (edge.bends ?? []).flatMap(([layer, across]) => {
    const point = at(layer, across);
    if (!half) return [point];
    return vertical ? [{ x: point.x, y: point.y - half }, { x: point.x, y: point.y + half }] : [{ x: point.x - half, y: point.y }, { x: point.x + half, y: point.y }];
  });
}

// Edges that share both ends bow apart: -1, 1; 0 for all others.
function twinsOf(edges) {
  const groups = new Map();
  edges.forEach((edge, i) => {
    const name = `${edge.from} ${edge.to}`;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(i);
  });
  const bows = edges.map(() => 0);
  for (const group of groups.values()) if (group.length > 1) group.forEach((i, k) => (bows[i] = (2 * k) / (group.length - 1) - 1));
  return bows;
}

// Edges leave and arrive in the order of their other ends, so that they never cross at a node.
function portsOf(edges, places, boxes) {
  const { vertical, unit, level, at } = places;
  const place = point => (vertical ? point.x : point.y);
  const ends = edges.map(() => []);
  for (const [end, other, side] of [['from', 'to', 1], ['to', 'from', -1]]) {
    const groups = new Map();
    edges.forEach((edge, i) => {
      if (!groups.has(edge[end])) groups.set(edge[end], []);
      groups.get(edge[end]).push(i);
    });
    for (const [node, group] of groups) {
      const box = boxes[node];
      const toward = i => {
        const { bends } = edges[i];
        const bend = bends?.length ? bends[end === 'from' ? 0 : bends.length - 1] : null;
        return bend ? place(at(...bend)) : place(boxes[edges[i][other]]);
      };
      const sorted = group.map(i => [i, toward(i), edges[i].slot ?? 0]).sort((a, b) => a[1] - b[1] || a[2] - b[2]);
      const room = level === DOT && box.w < 10 * unit ? 0 : (vertical ? box.w : box.h) - (level === CHIP ? 12 : 22) * unit;
      const step = Math.min(17 * unit, Math.max(0, room) / Math.max(1, group.length - 0.5));
      sorted.forEach(([i], k) => {
        const shift = (k - (group.length - 1) / 2) * step;
        ends[i][end === 'from' ? 0 : 1] = vertical ? { x: box.x + shift, y: box.y + (side * box.h) / 2 } : { x: box.x + (side * box.w) / 2, y: box.y + shift };
      });
    }
  }
  return ends;
}

// Pieces [x0, y0, x1, y1, x2, y2, x3, y3] through all points, without swinging over (Fritsch and Carlson's slopes,
// SIAM J. Numer. Anal. 17(2), 1980, 238-246, DOI 10.1137/0717021).
function curveThrough(points, vertical, bow) {
  const along = points.map(p => (vertical ? p.y : p.x)), across = points.map(p => (vertical ? p.x : p.y));
  const secant = i => (across[i + 1] - across[i]) / (along[i + 1] - along[i] || 1);
  const slopes = points.map((_, i) => {
    if (i === 0 || i === points.length - 1) return 0;
    const a = secant(i - 1), b = secant(i);
    return a * b > 0 ? (2 * a * b) / (a + b) : 0;
  });
  const pieces = [];
  for (let i = 0; i + 1 < points.length; i += 1) {
    const long = along[i + 1] - along[i];
    const one = long * (i === 0 ? 0.5 : 0.36), two = long * (i + 2 === points.length ? 0.5 : 0.36);
    const flat = [along[i], across[i], along[i] + one, across[i] + slopes[i] * one + bow, along[i + 1] - two, across[i + 1] - slopes[i + 1] * two + bow, along[i + 1], across[i + 1]];
    pieces.push(vertical ? flat.map((_, k) => flat[k ^ 1]) : flat);
  }
  return pieces;
}

const short = x => Math.round(x * 10) / 10;

// The curve as the text of a path, moved by `offset` to one side (the lanes of a road).
export function pathText(road, offset, vertical) {
  const dx = vertical ? offset : 0, dy = vertical ? 0 : offset;
  const point = (p, k) => `${short(p[k] + dx)} ${short(p[k + 1] + dy)}`;
  return road.pieces.map((p, i) => `${i ? '' : `M${point(p, 0)}`}C${point(p, 2)} ${point(p, 4)} ${point(p, 6)}`).join('');
}

// The same drawn into a canvas.
export function tracePath(context, road, dx, dy) {
  const [first] = road.pieces;
  context.moveTo(first[0] + dx, first[1] + dy);
  for (const p of road.pieces) context.bezierCurveTo(p[2] + dx, p[3] + dy, p[4] + dx, p[5] + dy, p[6] + dx, p[7] + dy);
}

// The box that holds a road with its lanes: [left, right, top, bottom].
export function boundsOf(road) {
  let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
  for (const piece of road.pieces)
    for (let k = 0; k < 8; k += 2) {
      x0 = Math.min(x0, piece[k]);
      x1 = Math.max(x1, piece[k]);
      y0 = Math.min(y0, piece[k + 1]);
      y1 = Math.max(y1, piece[k + 1]);
    }
  return [x0 - 6, x1 + 6, y0 - 6, y1 + 6];
}

function samplesOf(road) {
  if (road.samples) return road.samples;
  const xs = [], ys = [], lengths = [];
  let total = 0;
  for (const [x0, y0, x1, y1, x2, y2, x3, y3] of road.pieces)
    for (let k = xs.length ? 1 : 0; k <= SAMPLES; k += 1) {
      const t = k / SAMPLES, r = 1 - t;
      const x = r * r * r * x0 + 3 * r * r * t * x1 + 3 * r * t * t * x2 + t * t * t * x3;
      const y = r * r * r * y0 + 3 * r * r * t * y1 + 3 * r * t * t * y2 + t * t * t * y3;
      if (xs.length) total += Math.hypot(x - xs[xs.length - 1], y - ys[ys.length - 1]);
      xs.push(x);
      ys.push(y);
      lengths.push(total);
    }
  return (road.samples = { xs, ys, lengths, total });
}


// The point at a part (0 to 1) of a road's length.
export function pointOnRoad(road, part) {
  const { xs, ys, lengths, total } = samplesOf(road);
  const wanted = part * total;
  let i = 1;
  while (i < lengths.length - 1 && lengths[i] < wanted) i += 1;
  const step = lengths[i] - lengths[i - 1];
  const t = step > 0 ? (wanted - lengths[i - 1]) / step : 0;
  return { x: xs[i - 1] + t * (xs[i] - xs[i - 1]), y: ys[i - 1] + t * (ys[i] - ys[i - 1]) };
}

const PARTS = [0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8];

// Where each road's pill goes: the middle, or the freest of nine places. Gives parts of the length.
export function pillParts(roads, boxes, { width, height }) {
  const taken = boxes.map(b => [b.x - b.w / 2 - 2, b.x + b.w / 2 + 2, b.y - b.h / 2 - 2, b.y + b.h / 2 + 2]);
  const lines = roads.map(road => samplesOf(road));
  return roads.map((road, r) => {
    let best = 0.5, least = Infinity, found = null;
    for (const part of PARTS) {
      const { x, y } = pointOnRoad(road, part);
      let cost = Math.abs(part - 0.5) * 20;
      for (const [x0, x1, y0, y1] of taken) cost += Math.max(0, Math.min(x1, x + width / 2) - Math.max(x0, x - width / 2)) * Math.max(0, Math.min(y1, y + height / 2) - Math.max(y0, y - height / 2));
      if (cost >= least) continue;
      lines.forEach(({ xs, ys }, k) => {
        if (k === r || cost >= least) return;
        for (let i = 0; i < xs.length; i += 2) if (Math.abs(xs[i] - x) < width / 2 && Math.abs(ys[i] - y) < height / 2 + 3) cost += 6;
      });
      if (cost < least) [best, least, found] = [part, cost, [x - width / 2, x + width / 2, y - height / 2, y + height / 2]];
    }
    if (found) taken.push(found);
    return best;
  });
}
