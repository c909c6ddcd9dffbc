// The picture of the plot: SVG elements that stay, whose attributes follow the numbers.

import { clamp, freshId, h, s, setAttr, setText } from '../dom.js';
import { fmt } from '../numbers.js';

const UNIT = 15; // the sizes below are for this --u

export function plotArt() {
  const ids = { inside: freshId('plot-inside'), head: freshId('hop-head') };
  const layers = Object.fromEntries(['grid', 'marks', 'inside'].map(name => [name, s('g', { class: name })]));
  const clip = s('rect', {});
  const curve = s('path', { class: 'curve' }), tangent = s('line', { class: 'tangent' }), drop = s('line', { class: 'drop' }), point = s('circle', { class: 'pt', r: 7 }), hops = s('g', {}), zero = s('line', { class: 'zero' });
  const label = s('text', { class: 'p halo' }), slopeLabel = s('text', { class: 't halo' });
  layers.inside.append(zero, curve, hops, tangent, drop, point, label, slopeLabel);
  setAttr(layers.inside, 'clip-path', `url(#${ids.inside})`);
  const svg = s('svg', { class: 'plot', role: 'img' }, s('defs', {}, s('clipPath', { id: ids.inside }, clip), arrowHead(ids.head)), layers.grid, layers.marks, layers.inside);
  const element = h('div', { class: 'plot-frame' }, svg);
  const self = { element, width: 0, frame: null, paint };
  let height = 0, unit = 1, resized = () => {}, place = null;
  new ResizeObserver(([entry]) => {
    const { width } = entry.contentRect;
    unit = parseFloat(getComputedStyle(element).getPropertyValue('--u')) / UNIT || 1;
    height = Math.round(entry.contentRect.height);
    if (Math.abs(width - self.width) < 0.5) return;
    self.width = width;
    setAttr(svg, 'viewBox', `0 0 ${width} ${height}`);
    resized();
  }).observe(element);

  function paint(scene) {
    const { frame } = scene, W = self.width, pad = { left: 46 * unit, right: 12 * unit, top: 10 * unit, bottom: 22 * unit };
    const [inner, tall] = [W - pad.left - pad.right, height - pad.top - pad.bottom];
    const toX = x => pad.left + ((x - frame.low) / (frame.high - frame.low)) * inner;
    const freeY = y => pad.top + ((frame.top - y) / (frame.top - frame.bottom)) * tall;
    const toY = y => clamp(freeY(y), -3 * height, 4 * height);
    self.frame = frame;
    place = px => clamp(frame.low + ((px - pad.left) / inner) * (frame.high - frame.low), frame.low, frame.high);
    setAttrs(clip, { x: pad.left, y: 2, width: Math.max(0, inner), height: height - pad.bottom - 2 });
    axes(scene, { W, pad, toX, toY });
    setAttr(curve, 'd', scene.path(toX, toY));
    const bottom = height - pad.bottom, isThere = Number.isFinite(scene.y) && Number.isFinite(scene.x);
    for (const one of [drop, point, label]) showIf(one, isThere);
    showIf(tangent, isThere && Number.isFinite(scene.slope));
    showIf(slopeLabel, isThere);
    if (isThere) {
      const [px, py] = [toX(scene.x), toY(scene.y)];
      setAttrs(drop, { x1: px, x2: px, y1: py, y2: bottom });
      setAttrs(point, { cx: px, cy: py, r: 7 * unit });
      const [sx, sy] = [inner / (frame.high - frame.low), tall / (frame.top - frame.bottom)];
      const run = (88 * unit) / Math.hypot(sx, scene.slope * sy);
      if (Number.isFinite(scene.slope)) setAttrs(tangent, { x1: px - run * sx, x2: px + run * sx, y1: py + scene.slope * run * sy, y2: py - scene.slope * run * sy });
      labels(scene, { px, py, W, pad, bottom });
    }
    trail(scene, toX, toY);
    setAttr(svg, 'aria-label', scene.spoken);
  }
  // On the side where the tangent is not.
  function labels(scene, { px, py, W, pad, bottom }) {
    const rising = scene.slope >= 0;
    const room = rising ? px - pad.left > 105 * unit : W - pad.right - px > 105 * unit;
    const left = rising === room, up = (room && py > 50 * unit) || py > bottom - 52 * unit;
    const x = px + (left ? -13 : 13) * unit, y = py + (up ? -24 : 22) * unit;
    setText(label, scene.label);
    setText(slopeLabel, `slope ${fmt(scene.slope)}`);
    for (const [one, down] of [[label, 0], [slopeLabel, 15 * unit]]) setAttrs(one, { x, y: y + down, 'text-anchor': left ? 'end' : 'start' });
  }
  function axes(scene, { W, pad, toX, toY }) {
    const up = scene.ticks.up(4), across = scene.ticks.across(W > 500 * unit ? 8 : 5), bottom = height - pad.bottom;
    pool(layers.grid, 'line', up.length).forEach((line, i) => setAttrs(line, { class: 'axis', x1: pad.left, x2: W - pad.right, y1: toY(up[i]), y2: toY(up[i]) }));
    const texts = pool(layers.marks, 'text', up.length + across.length);
    up.forEach((tick, i) => putText(texts[i], pad.left - 6 * unit, toY(tick) + 4 * unit, 'end', fmt(tick, 5)));
    across.forEach((tick, i) => putText(texts[up.length + i], toX(tick), bottom + 16 * unit, 'middle', fmt(tick, 5)));
    const crosses = scene.frame.bottom < 0 && scene.frame.top > 0;
    showIf(zero, crosses);
    if (crosses) setAttrs(zero, { x1: pad.left, x2: W - pad.right, y1: toY(0), y2: toY(0) });
  }
  // Where the descent has been, and each step from one place to the next.
  function trail(scene, toX, toY) {
    const seen = scene.trail.slice(-60), last = seen.length - 1;
    const paths = pool(hops, 'path', Math.max(0, 2 * last));
    for (let i = 0; i < last; i += 1) {
      const [a, b] = [seen[i], seen[i + 1]].map(([x, y]) => [toX(x), Number.isFinite(y) ? toY(y) : 0]);
      setAttrs(paths[i], { class: 'hop', d: hopPath(a, b, unit), 'marker-end': Math.hypot(b[0] - a[0], b[1] - a[1]) > 14 * unit ? `url(#${ids.head})` : null, opacity: (0.4 + (0.6 * (i + 1)) / last).toFixed(2) });
      setAttrs(paths[last + i], { class: 'crumb', d: dotPath(a, 3.25 * unit), 'marker-end': null, opacity: 1 });
    }
  }
  self.onResize = f => (resized = f);
  self.onDrag = ({ start, move, end }) => {
    const follow = event => place && move(Number(place(event.clientX - svg.getBoundingClientRect().left).toPrecision(4)));
    svg.addEventListener('pointerdown', event => {
      if (!place || event.button) return;
      svg.setPointerCapture(event.pointerId);
      start();
      follow(event);
      svg.addEventListener('pointermove', follow);
    });
    for (const kind of ['pointerup', 'pointercancel']) {
      svg.addEventListener(kind, event => {
        if (!svg.hasPointerCapture(event.pointerId)) return;
        svg.removeEventListener('pointermove', follow);
        end();
      });
    }
  };
  return self;
}

function arrowHead(id) {
  return s('marker', { id, viewBox: '0 0 8 8', refX: 9, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: 'userSpaceOnUse', orient: 'auto' }, s('path', { class: 'head', d: 'M0 0L8 4L0 8z' }));
}
const hopPath = ([ax, ay], [bx, by]) => `M${ax.toFixed(1)} ${ay.toFixed(1)}L${bx.toFixed(1)} ${by.toFixed(1)}`;
const dotPath = ([x, y], r) => `M${(x - r).toFixed(1)} ${y.toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;

// As many children as are needed; those that are not are hidden, not thrown away.
function pool(group, tag, count) {
  while (group.children.length < count) group.append(s(tag, {}));
  const all = [...group.children];
  all.forEach((child, i) => showIf(child, i < count));
  return all.slice(0, count);
}
const showIf = (target, yes) => setAttr(target, 'visibility', yes ? null : 'hidden');
function setAttrs(target, attrs) {
  for (const [name, value] of Object.entries(attrs)) setAttr(target, name, typeof value === 'number' ? Math.round(value * 100) / 100 : value);
}
function putText(text, x, y, anchor, said) {
  setAttrs(text, { x, y, 'text-anchor': anchor });
  setText(text, said);
}
