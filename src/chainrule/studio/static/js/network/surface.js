// The input plane: what the network says everywhere, the line where it is undecided, and the points, which can be
// chosen with a pointer or with the arrow keys.

import { h, plural, s, setAttr, setText } from '../dom.js';
import { fmt } from '../numbers.js';
import { heatBytes, heatClasses, heatCoarse, heatCss, heatFine, heatPaint, heatScale } from './heat.js';

const SURFACE_SIZE = 100;

// onPick(number of the example).
export function networkSurface({ onPick }) {
  const canvas = h('canvas', { 'aria-hidden': 'true' });
  const line = s('path', { class: 'border' });
  const curve = s('path', { class: 'curve' });
  const dots = s('g', { class: 'dots' });
  const ring = s('circle', { class: 'ring', r: 3 });
  const arrow = s('path', { class: 'arrow' });
  const svg = s('svg', { viewBox: `0 0 ${SURFACE_SIZE} ${SURFACE_SIZE}`, preserveAspectRatio: 'none' }, line, curve, dots, arrow, ring);
  const plane = h('div', { class: 'plane', tabindex: 0, role: 'group', 'aria-roledescription': 'input plane', 'aria-label': 'Points on the input plane. Arrow keys choose the next point in a direction.' }, canvas, svg);
  const axes = h('div', { class: 'axes small num' });
  const caption = h('p', { class: 'small' });
  const element = h('div', { class: 'surface' }, plane, axes, caption);
  const self = { element, data: null, frame: null, colours: null, scale: null, canvas, line, curve, dots, ring, arrow, plane, axes, caption };
  self.setData = data => {
    self.data = data;
    self.dotsKey = '';
  };
  self.themed = colours => {
    self.colours = colours;
    self.scale = heatScale(colours.value, colours, 0.66);
    self.dotsKey = '';
    if (self.frame) self.update(self.frame);
  };
  self.update = frame => {
    self.frame = frame;
    if (!self.colours || !self.data || frame.pictures.kind === 'picture') return;
    paintSurface(self);
  };
  const nearest = event => {
    const box = plane.getBoundingClientRect();
    return surfaceNearest(self, ((event.clientX - box.left) / box.width) * SURFACE_SIZE, ((event.clientY - box.top) / box.height) * SURFACE_SIZE);
  };
  plane.addEventListener('click', event => onPick(nearest(event)));
  plane.addEventListener('keydown', event => {
    const to = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!to || event.altKey || event.ctrlKey) return;
    event.preventDefault();
    event.stopPropagation();
    const found = surfaceToward(self, self.frame.sample.point, to);
    if (found !== null) onPick(found);
  });
  return self;
}

function surfacePlaces(self) {
  const [[low, high], [bottom, top]] = self.frame.pictures.bounds;
  const X = x => ((x - low) / (high - low)) * SURFACE_SIZE;
  const Y = y => SURFACE_SIZE - ((y - bottom) / (top - bottom)) * SURFACE_SIZE;
  const isCurve = self.frame.pictures.kind === 'curve';
  return { X, Y, of: i => [X(self.data.x[i][0]), Y(isCurve ? self.data.y[i] : self.data.x[i][1])] };
}

function surfaceNearest(self, x, y) {
  const { of } = surfacePlaces(self);
  let best = 0, near = Infinity;
  for (let i = 0; i < self.data.count; i++) {
    const [a, b] = of(i);
    const distance = (a - x) ** 2 + (b - y) ** 2;
    if (distance < near) [best, near] = [i, distance];
  }
  return best;
}

function surfaceToward(self, from, [dx, dy]) {
  const { of } = surfacePlaces(self);
  const [x, y] = of(from);
  let best = null, near = Infinity;
  for (let i = 0; i < self.data.count; i++) {
    const [a, b] = of(i);
    const along = (a - x) * dx + (b - y) * dy;
    const aside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
    if (i === from || along <= 0.01 || aside > 2 * along) continue;
    const distance = along + 2 * aside;
    if (distance < near) [best, near] = [i, distance];
  }
  return best;
}

function paintSurface(self) {
  const { frame, data } = self;
  const { pictures } = frame;
  const isCurve = pictures.kind === 'curve';
  const key = `${data.count}|${pictures.bounds}|${pictures.kind}`;
  if (self.dotsKey !== key) {
    self.dotsKey = key;
    placeDots(self);
  }
  setAttr(self.canvas, 'hidden', isCurve);
  if (isCurve) {
    const { X, Y } = surfacePlaces(self);
    setAttr(self.curve, 'd', pictures.x.map((x, i) => `${i ? 'L' : 'M'}${X(x).toFixed(2)} ${Math.max(-9, Math.min(109, Y(Number(pictures.y[i])))).toFixed(2)}`).join(''));
    setAttr(self.line, 'd', '');
  } else {
    setAttr(self.curve, 'd', '');
    paintPlane(self, pictures);
  }
  const { of } = surfacePlaces(self);
  const [x, y] = of(frame.sample.point);
  setAttr(self.ring, 'cx', x.toFixed(2));
  setAttr(self.ring, 'cy', y.toFixed(2));
  paintArrow(self, x, y, isCurve);
}

function paintPlane(self, { surface, grid }) {
  if (surface.classes) {
    const chosen = heatBytes(surface.classes);
    const levels = heatClasses(self.data.classes.length, self.colours);
    heatPaint(self.canvas, grid, grid, chosen, of => levels[of]);
    setAttr(self.line, 'd', classBorders(chosen, grid));
  } else {
    const fine = heatFine(surface.values);
    heatPaint(self.canvas, grid, grid, heatCoarse(fine), self.scale);
    setAttr(self.line, 'd', self.data.kind === 'classes' ? zeroLine(fine, grid) : '');
  }
}

// Marching squares: one segment for each cell that the undecided line crosses.
function zeroLine(fine, n) {
  const at = (x, y) => fine[y * n + x] || 0.5;
  const place = v => ((v / (n - 1)) * SURFACE_SIZE).toFixed(2);
  let d = '';
  for (let y = 0; y < n - 1; y++)
    for (let x = 0; x < n - 1; x++) {
      const corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
      const crossed = [];
      for (let k = 0; k < 4; k++) {
        const [a, b] = [corners[k], corners[(k + 1) % 4]];
        const [from, to] = [at(...a), at(...b)];
        if (from * to < 0) crossed.push(`${place(a[0] + ((b[0] - a[0]) * from) / (from - to))} ${place(a[1] + ((b[1] - a[1]) * from) / (from - to))}`);
      }
      if (crossed.length === 2) d += `M${crossed[0]}L${crossed[1]}`;
    }
  return d;
}

// Between the middles of the sides that a border crosses; where three classes meet, to the middle of the cell.
function classBorders(chosen, n) {
  const place = v => ((v / (n - 1)) * SURFACE_SIZE).toFixed(2);
  let d = '';
  for (let y = 0; y < n - 1; y++)
    for (let x = 0; x < n - 1; x++) {
      const [a, b, c, e] = [chosen[y * n + x], chosen[y * n + x + 1], chosen[(y + 1) * n + x + 1], chosen[(y + 1) * n + x]];
      const crossed = [a !== b && [x + 0.5, y], b !== c && [x + 1, y + 0.5], c !== e && [x + 0.5, y + 1], e !== a && [x, y + 0.5]].filter(Boolean);
      const to = crossed.length === 2 ? [crossed[1]] : crossed.map(() => [x + 0.5, y + 0.5]);
      for (let k = 0; k < to.length; k++) d += `M${place(crossed[k][0])} ${place(crossed[k][1])}L${place(to[k][0])} ${place(to[k][1])}`;
    }
  return d;
}

// A class is a shape: ○ ● ▲ ■ ◆ ✕, then again with a dot.
const DOT_SHAPES = [
  r => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  r => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  r => `M0 ${-1.25 * r}L${1.15 * r} ${0.8 * r}H${-1.15 * r}z`,
  r => `M${-r} ${-r}H${r}V${r}H${-r}z`,
  r => `M0 ${-1.35 * r}L${1.35 * r} 0L0 ${1.35 * r}L${-1.35 * r} 0z`,
  r => `M${-r} ${-r}L${r} ${r}M${r} ${-r}L${-r} ${r}`,
];
const DOT_MARKS = ['○', '●', '▲', '■', '◆', '✕'];
export const dotMark = i => DOT_MARKS[i % DOT_MARKS.length];

function placeDots(self) {
  const { data, frame } = self;
  const { of } = surfacePlaces(self);
  const tests = new Set(data.tests);
  const small = data.count > 500 ? 0.75 : 1;
  const largest = Math.max(1e-9, ...data.y.map(Math.abs));
  const dots = data.y.map((y, i) => {
    const [a, b] = of(i);
    const isClass = data.kind === 'classes';
    const shape = isClass ? y % DOT_SHAPES.length : 1;
    const fill = isClass || frame.pictures.kind === 'curve' ? null : heatCss(dotColour(self, y / largest));
    return s('path', { class: `dot shape-${isClass ? y % DOT_SHAPES.length : 'n'}${tests.has(i) ? ' test' : ''}`, d: DOT_SHAPES[shape]((tests.has(i) ? 0.95 : 1.3) * small), transform: `translate(${a.toFixed(2)} ${b.toFixed(2)})`, style: fill ? { fill } : {} });
  });
  self.dots.replaceChildren(...dots);
  const axes = data.axes;
  const range = axis => `${axis.name}: ${fmt(axis.low, 3)} to ${fmt(axis.high, 3)}`;
  self.axes.replaceChildren(h('span', {}, `→ ${range(axes[0])}`), h('span', {}, axes[1] ? `↑ ${range(axes[1])}` : `↑ ${data.target}`));
  const hues = data.classes.length === 2 ? [' (grey)', ' (blue)'] : [];
  const classes = data.classes.map((name, i) => `${dotMark(i)} ${name}${hues[i] ?? ''}`).join(', ');
  const test = data.tests.length ? ` Small ones (${data.tests.length}) are for testing.` : '';
  const what = data.kind === 'classes' ? `${classes}.${test} The line is where the network is undecided.` : `${plural(data.count, 'point')}.${test}`;
  setText(self.caption, `${what} Choose a point to send it through; the orange arrow shows the direction in which its loss would grow.`);
}

function dotColour(self, t) {
  const byte = self.scale[Math.round((Math.max(-1, Math.min(1, t)) + 1) * 127.5)];
  return [byte & 255, (byte >> 8) & 255, (byte >> 16) & 255];
}

function paintArrow(self, x, y, isCurve) {
  const g = self.frame.sample.gradient.map(Number);
  const size = Math.hypot(...g);
  if (isCurve || !Number.isFinite(size) || size < 1e-9) return setAttr(self.arrow, 'd', '');
  const length = 5 + 7 * (Math.atan(Math.log10(size + 1e-9) + 1) / Math.PI + 0.5);
  const [dx, dy] = [(g[0] / size) * length, (-g[1] / size) * length];
  const start = 3.2 / length;
  const [ax, ay] = [x + dx * start, y + dy * start], [bx, by] = [x + dx * (1 + start), y + dy * (1 + start)];
  const wing = angle => {
    const [c, sn] = [Math.cos(angle), Math.sin(angle)];
    return `${(bx - ((dx * c - dy * sn) / length) * 2.6).toFixed(2)} ${(by - ((dx * sn + dy * c) / length) * 2.6).toFixed(2)}`;
  };
  setAttr(self.arrow, 'd', `M${ax.toFixed(2)} ${ay.toFixed(2)}L${bx.toFixed(2)} ${by.toFixed(2)}M${wing(0.5)}L${bx.toFixed(2)} ${by.toFixed(2)}L${wing(-0.5)}`);
}
