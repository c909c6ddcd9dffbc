// Where a function of one variable is drawn: the window, points that lie closer where it bends, gaps at poles and jumps.

import { clamp } from '../dom.js';

const EVEN = 81, MOST_POINTS = 200;
const SEEN = 0.02; // of the window's height
const FINEST_STEP = 1e-3; // of its width
const WIDEST_TRAIL = 60;

// {low, high} of the variable: the whole view at zoom 0, so close at zoom 1 that the curve is its tangent.
export function windowOf(x, { reach, zoom, trail }) {
  const at = Number.isFinite(x) ? x : 0;
  const seen = trail.map(Math.abs).filter(t => t < Math.max(WIDEST_TRAIL, 4 * Math.abs(at)));
  const wide = Math.max(reach, Math.abs(at) * 1.25, ...seen.map(t => t * 1.05));
  const half = wide * (nearest(at) / wide) ** zoom;
  const centre = at * (1 - (1 - zoom) ** 3);
  return { low: centre - half, high: centre + half, half, wide };
}
const nearest = x => 0.02 * Math.max(1, Math.abs(x) / 5);

// Points [x, y] in order: evenly at first, then halfway between neighbours wherever the line between them would miss.
export function curvePoints(f, low, high, most = MOST_POINTS) {
  const count = Math.min(EVEN, most), points = [];
  for (let i = 0; i < count; i += 1) {
    const x = low + ((high - low) * i) / (count - 1);
    points.push([x, f(x)]);
  }
  const even = points.map(point => point[1]);
  const { low: bottom, high: top } = heightOf(even);
  refine(points, f, most - count, { width: high - low, bottom, height: top - bottom || 1 });
  return { points, even };
}

function refine(points, f, budget, view) {
  const shown = y => clamp((y - view.bottom) / view.height, -1, 2);
  for (let left = budget; left > 0; ) {
    const worst = [];
    for (let i = 0; i + 1 < points.length; i += 1) {
      const gain = points[i + 1][0] - points[i][0] > view.width * FINEST_STEP ? missOf(points, i, shown) : 0;
      if (gain > 0.004) worst.push({ i, gain });
    }
    if (!worst.length) return;
    const split = worst.sort((a, b) => b.gain - a.gain).slice(0, Math.ceil(left / 3));
    for (const { i } of split) {
      const x = (points[i][0] + points[i + 1][0]) / 2;
      points.push([x, f(x)]);
    }
    left -= split.length;
    points.sort((a, b) => a[0] - b[0]);
  }
}

// How far, in heights of the window, the curve may be from the line between two neighbours.
function missOf(points, i, shown) {
  const [a, b] = [points[i], points[i + 1]];
  const finite = Number.isFinite(a[1]), other = Number.isFinite(b[1]);
  if (finite !== other) return 0.02;
  if (!finite) return 0;
  const rise = shown(b[1]) - shown(a[1]), run = b[0] - a[0];
  let miss = 0;
  for (const [p, q] of [[points[i - 1], a], [b, points[i + 2]]]) {
    if (!p || !q || !Number.isFinite(p[1]) || !Number.isFinite(q[1])) continue;
    miss = Math.max(miss, Math.abs(rise - ((shown(q[1]) - shown(p[1])) / (q[0] - p[0])) * run));
  }
  return miss;
}

// {low, high} of the values that are shown: all of them, unless a pole dwarfs the rest.
export function heightOf(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!sorted.length) return { low: -1, high: 1 };
  const part = share => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high, least, most] = [part(0.06), part(0.94), sorted[0], sorted.at(-1)];
  const usual = high - low;
  if (usual > 0 && most - least > 8 * usual) return { low: Math.max(least, low - 0.6 * usual), high: Math.min(most, high + 0.6 * usual) };
  return { low: least, high: most };
}

// A path's text, lifted off the paper where the function is not finite, and where it jumps.
export function curvePath(points, toX, toY, { height, width }) {
  let text = '', pen = false;
  for (let i = 0; i < points.length; i += 1) {
    const [x, y] = points[i];
    if (!Number.isFinite(y)) {
      pen = false;
      continue;
    }
    if (pen && jumps(points, i, height, width)) pen = false;
    text += `${pen ? 'L' : 'M'}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`;
    pen = true;
  }
  return text;
}

// Whether two points that are about a pixel apart are not joined: beside a jump the curve is flat, beside a pole it runs
// the other way.
function jumps(points, i, height, width) {
  const [a, b] = [points[i - 1], points[i]];
  const rise = b[1] - a[1], run = b[0] - a[0];
  if (run > width / 400 || Math.abs(rise) < SEEN * height) return false;
  const beside = [[points[i - 2], a], [b, points[i + 1]]].filter(([p, q]) => p && q && Number.isFinite(p[1]) && Number.isFinite(q[1]));
  const slopes = beside.map(([p, q]) => ((q[1] - p[1]) / (q[0] - p[0])) * (run / rise));
  return slopes.length > 0 && (slopes.every(slope => Math.abs(slope) < 1 / 8) || slopes.every(slope => slope < 0));
}

// Round numbers between two ends, about `count` of them.
export function roundTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * power).find(d => d >= rough * 0.999);
  if (!(step > 0) || low + step === low) return [];
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high && ticks.length < 20; k += 1) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}
