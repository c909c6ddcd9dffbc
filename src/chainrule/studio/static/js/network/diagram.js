// The network drawn: each unit with what it computes over the inputs, its value and its δ; each weight a road with two
// lanes. Units are buttons, roads are painted on a canvas: a thousand of them in one pass.

import { framed, h, plural, setAttr, setText } from '../dom.js';
import { fmt } from '../numbers.js';
import { heatBytes, heatCss, heatOf, heatPaint, heatScale } from './heat.js';
import { diagramPlaces } from './places.js';
import { shortNumber } from './short.js';

// onSelect({layer, unit, into}), onWidth(hidden layer, units) or null where they are fixed, onHover(text or '').
export function networkDiagram({ onSelect, onWidth, onHover }) {
  const canvas = h('canvas', { class: 'roads', 'aria-hidden': 'true' });
  const heads = h('div', { class: 'layer-heads' });
  const units = h('div', { class: 'layer-units', role: 'group', 'aria-label': 'Units of the network. Arrow keys move between them.' });
  const inner = h('div', { class: 'net' }, canvas, heads, units);
  const element = h('div', { class: 'net-scroll', tabindex: -1 }, inner);
  const self = { element, roads: [], cells: [], frame: null, selection: { layer: 2, unit: 1, into: null }, shows: 'both', colours: null, scale: null, key: '', hovered: -1 };
  const layOut = () => self.frame && placeDiagram(self, { canvas, heads, units, inner, element }, onSelect, onWidth);
  const repaint = framed(() => self.frame && paintDiagramRoads(self, canvas));
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(element.clientWidth - width) < 2 || !element.clientWidth) return;
    width = element.clientWidth;
    self.key = '';
    layOut();
    self.update(self.frame);
  }).observe(element);
  canvas.addEventListener('pointermove', event => {
    const road = diagramRoadAt(self, event);
    if (road === self.hovered) return;
    self.hovered = road;
    canvas.classList.toggle('over', road >= 0);
    onHover(road < 0 ? '' : diagramRoadText(self, self.roads[road]));
    repaint();
  });
  canvas.addEventListener('pointerleave', () => {
    self.hovered = -1;
    onHover('');
    repaint();
  });
  canvas.addEventListener('click', event => {
    const road = self.roads[diagramRoadAt(self, event)];
    if (road) onSelect({ layer: road.layer + 1, unit: road.to + 1, into: road.bundle ? null : road.from + 1 });
  });
  self.themed = colours => {
    self.colours = colours;
    self.scale = heatScale(colours.value, colours);
    self.inkScale = heatScale(colours.ink, colours);
    if (self.frame) self.update(self.frame);
  };
  self.update = frame => {
    if (!frame) return;
    const key = `${frame.sizes}|${frame.pictures.kind}|${element.clientWidth}`;
    self.frame = frame;
    if (self.key !== key) {
      self.key = key;
      layOut();
    }
    paintDiagramUnits(self);
    repaint();
  };
  self.select = selection => {
    self.selection = selection;
    if (self.frame) paintDiagramUnits(self);
    repaint();
  };
  self.show = what => {
    self.shows = what;
    inner.dataset.shows = what;
    repaint();
  };
  self.focusSelected = () => self.cells.find(c => c.layer === self.selection.layer && c.unit === self.selection.unit)?.element.focus();
  return self;
}

// Which units are drawn: pixels are one picture.
const diagramSizes = frame => (frame.pictures.kind === 'picture' ? [1, ...frame.sizes.slice(1)] : frame.sizes);

function placeDiagram(self, parts, onSelect, onWidth) {
  const sizes = diagramSizes(self.frame);
  const unitPx = parseFloat(getComputedStyle(parts.element).fontSize) / 15;
  const { level, width, height, w, pictureHeight, x, y, roads } = diagramPlaces(sizes, parts.element.clientWidth, unitPx);
  Object.assign(self, { level, width, height, unitPx, roads });
  parts.inner.dataset.level = level;
  for (const [name, value] of Object.entries({ width: `${width}px`, height: `${height}px`, '--unit-w': `${w}px`, '--picture-h': `${pictureHeight}px` })) parts.inner.style.setProperty(name, value);
  const ratio = Math.min(3, devicePixelRatio || 1);
  Object.assign(parts.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  self.ratio = ratio;
  parts.heads.replaceChildren(...sizes.map((n, l) => diagramHead(self.frame, l, n, x(l), width, onWidth)));
  self.cells = sizes.flatMap((n, l) => Array.from({ length: n }, (_, k) => diagramUnit(self, l, k, x(l), y(l, k), onSelect)));
  parts.units.replaceChildren(...self.cells.map(c => c.element));
}

function diagramHead(frame, l, n, x, width, onWidth) {
  const last = frame.sizes.length - 1;
  const title = l === 0 ? 'inputs' : l === last ? 'output' : `layer ${l + 1}`;
  const head = h('div', { class: 'layer-head', style: { left: `${Math.min(width - 36, Math.max(36, x))}px` } }, h('span', {}, title));
  if (l > 0 && l < last && !onWidth) head.append(h('span', { class: 'num' }, plural(n, 'unit')));
  else if (l > 0 && l < last)
    head.append(
      h(
        'span',
        { class: 'width-stepper' },
        h('button', { class: 'mini', 'aria-label': `One unit less in layer ${l + 1}`, disabled: n <= 1, onclick: () => onWidth(l - 1, n - 1) }, '−'),
        h('span', { class: 'num' }, String(n)),
        h('button', { class: 'mini', 'aria-label': `One unit more in layer ${l + 1}`, disabled: n >= 16, onclick: () => onWidth(l - 1, n + 1) }, '+'),
      ),
    );
  return head;
}

function diagramUnit(self, l, k, x, y, onSelect) {
  const canvas = h('canvas', {});
  const a = h('span', { class: 'reg a' });
  const d = h('span', { class: 'reg d' });
  const flag = h('span', { class: 'flag', hidden: true }, '▲');
  const element = h('button', { class: 'unit', tabindex: -1, style: { left: `${x}px`, top: `${y}px` }, onclick: () => onSelect({ layer: l + 1, unit: k + 1, into: null }), onkeydown: event => diagramFocus(self, event, onSelect) }, canvas, a, l > 0 && d, flag);
  return { layer: l + 1, unit: k + 1, element, canvas, a, d, flag };
}

const DIAGRAM_MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function diagramFocus(self, event, onSelect) {
  const move = DIAGRAM_MOVES[event.key];
  if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  const sizes = diagramSizes(self.frame);
  const { layer, unit } = self.selection;
  const toLayer = Math.min(sizes.length, Math.max(1, layer + move[0]));
  const across = move[0] ? Math.round(((unit - 0.5) / sizes[layer - 1]) * sizes[toLayer - 1] + 0.5) : unit + move[1];
  const toUnit = Math.min(sizes[toLayer - 1], Math.max(1, across));
  onSelect({ layer: toLayer, unit: toUnit, into: null });
  self.focusSelected();
}

// A road's height at a share of its way: the curve that the canvas draws, as long as x grows evenly enough.
function diagramRoadHeight(road, x) {
  let low = 0, high = 1;
  const at = (t, a, b, c, d) => (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t * t * c + t ** 3 * d;
  const middle = (road.x0 + road.x1) / 2;
  for (let i = 0; i < 12; i++) {
    const t = (low + high) / 2;
    if (at(t, road.x0, middle, middle, road.x1) < x) low = t;
    else high = t;
  }
  return at((low + high) / 2, road.y0, road.y0, road.y1, road.y1);
}

function diagramRoadAt(self, event) {
  const box = event.currentTarget.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  let best = -1, near = 7;
  self.roads.forEach((road, i) => {
    if (x < road.x0 || x > road.x1) return;
    const distance = Math.abs(diagramRoadHeight(road, x) - y);
    if (distance < near) [best, near] = [i, distance];
  });
  return best;
}

function diagramRoadNumbers(self, road) {
  const layer = self.frame.weights[road.layer - 1];
  if (self.frame.pictures.kind === 'picture' && road.layer === 1) {
    const size = key => Math.sqrt(layer[key].reduce((sum, row) => sum + row[road.to] ** 2, 0));
    return [size('w'), size('gw')];
  }
  return [Number(layer.w[road.from]?.[road.to] ?? 0), Number(layer.gw[road.from]?.[road.to] ?? 0)];
}

function diagramRoadText(self, road) {
  const [w, g] = diagramRoadNumbers(self, road);
  const from = road.layer === 1 ? (self.frame.pictures.kind === 'picture' ? 'all pixels' : `input ${road.from + 1}`) : `unit ${road.from + 1} of layer ${road.layer}`;
  const size = self.frame.pictures.kind === 'picture' && road.layer === 1;
  return `${size ? 'size of the weights' : 'weight'} from ${from} to unit ${road.to + 1} of layer ${road.layer + 1}: ${fmt(w)}, gradient ${fmt(g)}`;
}

function paintDiagramRoads(self, canvas) {
  const { colours, ratio, selection, shows, unitPx, hovered } = self;
  if (!colours) return;
  const c = canvas.getContext('2d');
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, self.width, self.height);
  const numbers = self.roads.map(road => diagramRoadNumbers(self, road));
  const top = [0, 1].map(i => Math.max(1e-12, ...numbers.map(n => (Number.isFinite(n[i]) ? Math.abs(n[i]) : 0))));
  const thin = self.roads.length > 260 ? 0.6 : 1;
  const both = shows === 'both';
  const chosen = road => (selection.into ? road.layer + 1 === selection.layer && road.to + 1 === selection.unit && road.from + 1 === selection.into : (road.layer + 1 === selection.layer && road.to + 1 === selection.unit) || (road.layer === selection.layer && road.from + 1 === selection.unit));
  const lane = (road, value, widest, colour, offset, alpha) => {
    if (!value || !Number.isFinite(value)) return;
    c.strokeStyle = heatCss(colour, alpha);
    c.lineWidth = thin * unitPx * (0.5 + 4.2 * Math.sqrt(Math.abs(value) / widest));
    c.setLineDash(value < 0 ? [7 * unitPx, 3.5 * unitPx] : []);
    const middle = (road.x0 + road.x1) / 2;
    c.beginPath();
    c.moveTo(road.x0, road.y0 + offset);
    c.bezierCurveTo(middle, road.y0 + offset, middle, road.y1 + offset, road.x1, road.y1 + offset);
    c.stroke();
  };
  for (const strong of [false, true])
    self.roads.forEach((road, i) => {
      const marked = chosen(road) || i === hovered;
      if (marked !== strong) return;
      const alpha = strong ? 1 : self.roads.length > 260 ? 0.2 : 0.38;
      const apart = both ? 2.3 * unitPx : 0;
      if (shows !== 'gradients') lane(road, numbers[i][0], top[0], colours.value, -apart, alpha);
      if (shows !== 'weights') lane(road, numbers[i][1], top[1], colours.gradient, apart, alpha);
    });
}

const DIAGRAM_STATES = { dead: 'dead: its output is 0 for every point, so no gradient passes', saturated: 'saturated: for every point its slope is almost 0' };

function paintDiagramUnits(self) {
  const { frame, selection, scale } = self;
  if (!scale) return;
  const { pictures, sample, states } = frame;
  const chars = self.level === 'card' ? 8 : 6;
  for (const cell of self.cells) {
    const l = cell.layer - 1, k = cell.unit - 1;
    paintDiagramPicture(self, cell, l, k, pictures);
    const row = l ? sample.layers[l - 1] : null;
    const isLast = l === frame.sizes.length - 1;
    const a = Number(l === 0 ? (pictures.kind === 'picture' ? NaN : sample.x[k]) : isLast ? sample.output.values[k] : row.a[k]);
    setText(cell.a, pictures.kind === 'picture' && !l ? '64 pixels' : shortNumber(a, chars));
    if (row) setText(cell.d, `δ\u2009${shortNumber(Number(row.delta[k]), chars - 2)}`);
    setAttr(cell.a, 'title', Number.isNaN(a) ? null : String(a));
    if (row) setAttr(cell.d, 'title', String(row.delta[k]));
    const isSelected = selection.layer === cell.layer && (selection.unit === cell.unit || (pictures.kind === 'picture' && !l));
    cell.element.classList.toggle('sel', isSelected);
    setAttr(cell.element, 'tabindex', isSelected ? 0 : -1);
    setAttr(cell.element, 'aria-pressed', isSelected);
    const state = (l && !isLast && states[l - 1][k]) || '';
    cell.flag.hidden = !state;
    setAttr(cell.element, 'title', state ? DIAGRAM_STATES[state] : null);
    const name = l === 0 ? (pictures.kind === 'picture' ? 'inputs: the pixels of the image' : `input ${k + 1}`) : isLast ? frame.sizes[l] > 1 ? `output ${k + 1}` : 'output' : `unit ${k + 1} of layer ${l + 1}`;
    setAttr(cell.element, 'aria-label', `${name}${Number.isNaN(a) ? '' : `: value ${fmt(a)}`}${row ? `, delta ${fmt(Number(row.delta[k]))}` : ''}${state ? `, ${DIAGRAM_STATES[state]}` : ''}`);
  }
  if (!self.cells.some(c => c.element.tabIndex === 0) && self.cells[0]) setAttr(self.cells[0].element, 'tabindex', 0);
}

function paintDiagramPicture(self, cell, l, k, pictures) {
  const { frame, scale } = self;
  if (pictures.kind === 'plane') heatPaint(cell.canvas, pictures.small, pictures.small, heatBytes(pictures.units[l][k]), scale);
  else if (pictures.kind === 'curve') {
    const bytes = heatBytes(pictures.units[l][k].values);
    heatPaint(cell.canvas, bytes.length, 1, bytes, scale);
  } else if (l === 0) heatPaint(cell.canvas, 8, 8, heatOf(frame.sample.x.map(Number), 1), self.inkScale);
  else if (l === 1) {
    const column = frame.weights[0].w.map(row => Number(row[k]));
    heatPaint(cell.canvas, 8, 8, heatOf(column, Math.max(...column.map(Math.abs))), scale);
  } else {
    const a = frame.sample.layers[l - 1].a.map(Number);
    heatPaint(cell.canvas, 1, 1, heatOf([a[k]], Math.max(...a.map(Math.abs))), scale);
  }
}
