// The whole model in columns: the graph on top, and below it, over the same axis, what flows through each block.

import { h, s, setAttr } from '../dom.js';
import { fmt, fromJson, percent } from '../numbers.js';
import { lastOfPath, roundScale, decadeScale, rmsOf, rmsText, shapeText, strangeText, scaleText } from './sizes.js';

const STRIP_ROWS = [
  { name: 'gradient', more: 'of weights', height: 124 },
  { name: 'activation', more: '', height: 62 },
  { name: 'update', more: 'over weight', height: 50 },
  { name: 'dead units', more: '', height: 34 },
];
const STRIP_TOP = 34, STRIP_BLOCKS = 52, STRIP_BETWEEN = 16, STRIP_WIDEST = 120;

const NO_SCALE = { log: false, ticks: [], at: () => 0 }; // of a row that has crosses alone

// One sentence for a column, as a screen reader says it.
export function columnSentence(column, findings) {
  const weights = column.weights.filter(w => w.shape.length > 1);
  const parts = [`${column.id}${column.kind ? `, ${column.kind}` : ''}`, `${shapeText(column.shape)}`, `${column.id === 'loss' ? 'value' : 'activation'} ${rmsText(column.value)}`];
  if (column.gradient) parts.push(`gradient ${rmsText(column.gradient)}`);
  if (weights.length) parts.push(`gradient of weights ${weights.map(w => (w.gradient == null ? 'none' : fmt(fromJson(w.gradient), 3))).join(', ')}`);
  const strange = strangeText(column);
  if (strange) parts.push(strange);
  if (findings.length) parts.push(`finding ${findings.map(f => `${f.number}: ${f.title}`).join(', ')}`);
  return `${parts.join('. ')}.`;
}

function placedColumns(columns, stages, width, left, unit) {
  const gap = width < 500 ? 3 : 9 * unit;
  const room = width - left - 12 - gap * (stages.length - 1);
  const each = Math.min(STRIP_WIDEST * unit, room / columns.length);
  const stageOf = new Map(stages.flatMap((stage, k) => columns.slice(stage.first, stage.last + 1).map((_, i) => [stage.first + i, k])));
  const used = each * columns.length + gap * (stages.length - 1);
  const start = left + Math.max(0, (width - left - 12 - used) / 2);
  return columns.map((_, i) => ({ x: start + i * each + stageOf.get(i) * gap, w: each }));
}

// Draws into `host`; returns {select(id), pin(findings), update(ratios)}.
export function modelStrips(host, { columns, edges, stages }, { onSelect, onPin, onHover }) {
  const buttons = new Map();
  let drawn = null, selected = null, findings = [], updates = {};
  const overlay = h('div', { class: 'strip-columns', role: 'group', 'aria-label': 'Blocks, in order of computation' });
  const pins = h('div', { class: 'strip-pins' });
  const holder = h('div', { class: 'strips' }, overlay, pins);
  host.replaceChildren(holder);

  columns.forEach((column, i) => {
    const button = h('button', { class: 'strip-column', type: 'button', tabindex: i ? -1 : 0, onclick: () => onSelect(column.id), onpointerenter: () => onHover(column), onfocus: () => onHover(column) });
    button.addEventListener('keydown', event => {
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      const to = event.key === 'Home' ? 0 : event.key === 'End' ? columns.length - 1 : by ? i + by : -1;
      if (!columns[to]) return;
      event.preventDefault();
      event.stopPropagation();
      const next = buttons.get(columns[to].id);
      rove(next);
      next.focus();
    });
    buttons.set(column.id, button);
    overlay.append(button);
  });
  overlay.addEventListener('pointerleave', () => onHover(null));

  function rove(to) {
    for (const button of buttons.values()) setAttr(button, 'tabindex', button === to ? 0 : -1);
  }

  function draw() {
    const width = holder.clientWidth;
    if (!width) return;
    const unit = parseFloat(getComputedStyle(host).fontSize) / 15;
    const left = width < 500 ? 4 : 118 * unit;
    const at = placedColumns(columns, stages, width, left, unit);
    const wide = width >= 500, rows = [];
    let y = (STRIP_TOP + STRIP_BLOCKS + (wide ? 10 : 26)) * unit;
    for (const row of STRIP_ROWS) {
      const part = stripRow(row, { columns, updates, at, left, width, unit });
      if (!part) continue;
      rows.push({ ...row, y, part });
      y += (row.height + STRIP_BETWEEN) * unit + (wide ? 0 : 14);
    }
    const height = y + 22 * unit;
    const svg = s('svg', { class: 'strip-picture', width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    const highlight = s('rect', { class: 'strip-selected', y: STRIP_TOP * unit, height: height - (STRIP_TOP + 20) * unit, rx: 4 });
    svg.append(highlight, ...blockShapes({ columns, edges, at, unit, wide, left }));
    for (const row of rows) svg.append(stripShapes(row, { at, left, width, unit, wide }));
    const name = s('text', { class: 'strip-label strip-name', y: (STRIP_TOP - 5) * unit, 'text-anchor': 'middle' });
    svg.append(...stripLabels({ columns, stages, at, unit, y: height - 6 * unit, width }));
    holder.querySelector('svg')?.remove();
    holder.prepend(svg);
    columns.forEach((column, i) => {
      const button = buttons.get(column.id);
      Object.assign(button.style, { left: `${at[i].x}px`, width: `${at[i].w}px`, top: `${STRIP_TOP * unit}px`, height: `${height - (STRIP_TOP + 20) * unit}px` });
      setAttr(button, 'aria-label', columnSentence(column, findings.filter(f => f.columns.includes(i))));
    });
    drawn = { at, unit, width, highlight, svg, name };
    mark();
    drawPins();
    svg.append(name);
  }

  function mark() {
    const i = columns.findIndex(column => column.id === selected);
    for (const [id, button] of buttons) setAttr(button, 'aria-pressed', id === selected ? 'true' : 'false');
    if (i >= 0) rove(buttons.get(selected));
    if (!drawn) return;
    setAttr(drawn.highlight, 'visibility', i < 0 ? 'hidden' : null);
    if (i >= 0) {
      setAttr(drawn.highlight, 'x', drawn.at[i].x);
      setAttr(drawn.highlight, 'width', drawn.at[i].w);
    }
    markName(columns[i], drawn.at[i]);
  }

  // The selected block's name, where the boxes are too narrow for theirs.
  function markName(column, at) {
    const { name, unit, width } = drawn, text = column && nameRoom(at.w, unit) < lastOfPath(column.name).length ? column.name : '';
    name.textContent = text;
    if (!text) return;
    const half = (text.length * 7 * unit) / 2;
    setAttr(name, 'x', Math.min(Math.max(at.x + at.w / 2, half), width - half));
  }

  function drawPins() {
    drawn.svg.querySelector('.pin-lines')?.remove();
    const lines = s('g', { class: 'pin-lines' });
    const taken = [];
    pins.replaceChildren();
    for (const finding of findings.filter(f => f.columns.length)) {
      const { at, unit } = drawn, [first, last] = [finding.columns[0], finding.columns.at(-1)];
      const from = at[first].x + at[first].w / 2, to = at[last].x + at[last].w / 2;
      let x = finding.columns.length > 1 ? (from + to) / 2 : from;
      while (taken.some(other => Math.abs(other - x) < 24 * unit)) x += 24 * unit;
      taken.push(x);
      const low = STRIP_TOP * unit + 2;
      if (last > first) lines.append(s('path', { d: `M${from} ${low + 5}V${low}H${to}V${low + 5}` }));
      lines.append(s('path', { d: `M${x} ${22 * unit}V${low}${last === first ? `L${from} ${low + 6}` : ''}` }));
      const button = h('button', { class: 'pin', type: 'button', 'aria-label': `Finding ${finding.number}: ${finding.title}`, onclick: () => onPin(finding) }, h('span', {}, String(finding.number)));
      Object.assign(button.style, { left: `${x}px`, top: `${11 * unit}px` });
      pins.append(button);
    }
    drawn.svg.append(lines);
  }

  const watcher = new ResizeObserver(() => draw());
  watcher.observe(host);
  return {
    select(id) {
      selected = id;
      mark();
    },
    pin(found) {
      findings = found;
      if (drawn) draw();
    },
    update(ratios) {
      updates = ratios;
      if (drawn) draw();
    },
    leave: () => watcher.disconnect(),
  };
}

const blockInset = w => (w > 5 ? Math.min(w * 0.1, 12) : 0.4);
// Letters that a block has room for: of fewer than three no name is drawn.
const nameRoom = (w, unit) => {
  const room = (w - 2 * blockInset(w)) / (7.2 * unit);
  return room >= 3 ? room : 0;
};

// The blocks as boxes with what flows between them; arcs for branches and for what skips columns.
function blockShapes({ columns, edges, at, unit, wide, left }) {
  const y = (STRIP_TOP + 24) * unit, high = 22 * unit, made = [];
  if (wide) made.push(s('text', { class: 'strip-label', x: 0, y: y + high * 0.7 }, 'blocks'));
  for (const edge of edges) {
    const a = at[edge.from], b = at[edge.to];
    const start = a.x + a.w - blockInset(a.w), end = b.x + blockInset(b.w);
    const back = fromJson(edge.gradient);
    if (edge.to === edge.from + 1) {
      if (end - start > 5) made.push(s('path', { class: 'flow-there', d: `M${start} ${y + high * 0.36}H${end}` }), back > 0 && s('path', { class: 'flow-back', d: `M${end} ${y + high * 0.64}H${start}` }));
    } else if (edge.to > edge.from && back != null) {
      const lift = Math.min(22 * unit, 8 * unit + (edge.to - edge.from) * 2);
      made.push(s('path', { class: 'skip long', d: `M${a.x + a.w / 2} ${y}C${a.x + a.w} ${y - lift} ${b.x} ${y - lift} ${b.x + b.w / 2} ${y}` }));
    }
  }
  columns.forEach((column, i) => {
    const { x, w } = at[i], inset = blockInset(w);
    if (column.skip) made.push(s('path', { class: 'skip', d: `M${x + inset} ${y + 1}Q${x + w / 2} ${y - 17 * unit} ${x + w - inset} ${y + 1}` }));
    const bad = column.strange || column.strange_gradients || (column.units > 0 && column.dead === column.units);
    made.push(s('rect', { class: `block${bad ? ' bad' : ''}${column.module ? '' : ' loose'}`, x: x + inset, y, width: Math.max(1.4, w - 2 * inset), height: high, rx: Math.min(4, w / 3) }));
    const name = lastOfPath(column.name), room = nameRoom(w, unit);
    const fits = [column.kind && /^\d+$/.test(name) ? `${name} ${column.kind}` : name, name].find(text => text.length <= room);
    if (room) made.push(s('text', { class: 'block-name', x: x + w / 2, y: y + high * 0.68, 'text-anchor': 'middle' }, fits ?? `${name.slice(0, Math.max(1, Math.floor(room) - 1))}…`));
  });
  return made.filter(Boolean);
}

// What a row shows: marks for each column, with a scale; null where there is nothing to show.
function stripRow(row, { columns, updates }) {
  if (row.name === 'gradient') {
    const marks = columns.map(c => mainWeights(c.weights).map(w => ({ y: w.gradient == null ? null : fromJson(w.gradient), main: w.shape.length > 1 })));
    const scale = decadeScale(marks.flat().map(m => m.y)) ?? NO_SCALE;
    return marks.some(m => m.length) && { kind: 'dots', marks, scale, hue: 'grad' };
  }
  if (row.name === 'activation') {
    // the loss is no activation, but where it is not finite that has to be seen
    const values = columns.map(c => (c.dtype.startsWith('float') && (c.id !== 'loss' || !Number.isFinite(rmsOf(c.value))) ? rmsOf(c.value) : null));
    const finite = values.filter(x => x > 0 && Number.isFinite(x));
    const spread = Math.max(...finite) / Math.min(...finite);
    const scale = (spread > 50 ? decadeScale(finite) : roundScale(finite)) ?? (values.some(x => x !== null) ? NO_SCALE : null);
    return scale && { kind: 'bars', marks: values.map(y => [{ y }]), scale, hue: 'val' };
  }
  if (row.name === 'update') {
    const marks = columns.map(c => mainWeights(c.weights).filter(w => updates[w.path] != null).map(w => ({ y: fromJson(updates[w.path]), main: w.shape.length > 1 })));
    const scale = decadeScale(marks.flat().map(m => m.y), { least: 2 });
    return scale && { kind: 'dots', marks, scale, hue: 'ink' };
  }
  const shares = columns.map(c => (c.units ? c.dead / c.units : null));
  if (!shares.some(x => x !== null)) return null;
  return { kind: 'bars', marks: shares.map(y => [{ y }]), scale: { log: false, ticks: [], at: x => x }, hue: 'find', share: true };
}

// Weights that matter: matrices and kernels; of a layer with none of them, what it has.
function mainWeights(weights) {
  const large = weights.filter(w => w.shape.length > 1);
  return large.length ? large : weights;
}

function stripShapes(row, { at, left, width, unit, wide }) {
  const { part } = row, high = row.height * unit, low = row.y + high;
  const group = s('g', {});
  const Y = x => low - part.scale.at(x) * high;
  const head = wide ? row.y + 14 * unit : row.y - 4;
  group.append(s('text', { class: 'strip-label', x: wide ? 0 : left, y: head }, wide ? row.name : `${row.name} ${row.more}`));
  if (wide && row.more) group.append(s('text', { class: 'strip-more', x: 0, y: head + 14 * unit }, row.more));
  for (const tick of part.scale?.ticks ?? []) {
    group.append(s('path', { class: 'rule', d: `M${left} ${Y(tick)}H${width}` }), s('text', { class: 'strip-more', x: wide ? left - 6 : width, y: Y(tick) + (wide ? 4 : -3), 'text-anchor': 'end' }, scaleText(tick)));
  }
  if (part.kind === 'bars') group.append(s('path', { class: 'rule', d: `M${left} ${low}H${width}` }));
  if (part.share) for (const end of [0, 1]) group.append(s('path', { class: 'rule', d: `M${left} ${Y(end)}H${width}` }), s('text', { class: 'strip-more', x: wide ? left - 6 : width, y: Y(end) + (wide ? 4 : -3), 'text-anchor': 'end' }, percent(end)));
  part.marks.forEach((marks, i) => marks.forEach((mark, k) => stripMark(group, mark, k, marks.length, { ...part, at: at[i], low, high, Y, unit })));
  return group;
}

function stripMark(group, mark, k, count, { kind, hue, at, low, high, Y, unit, share }) {
  if (mark.y === null) return;
  const strange = !Number.isFinite(mark.y) || (kind === 'dots' && mark.y === 0);
  if (kind === 'bars' && !strange) {
    const top = share ? low - mark.y * high : Y(mark.y), w = Math.min(at.w * 0.64, 34 * unit);
    const least = mark.y > 0 ? 1.5 : 0;
    group.append(s('rect', { class: `bar ${hue}`, x: at.x + (at.w - w) / 2, y: Math.min(top, low - least), width: w, height: Math.max(least, low - top), rx: 1 }));
    return;
  }
  const x = at.x + (at.w * (k + 1)) / (count + 1), r = Math.max(1.5, Math.min(3.4, at.w / 5.2)) * unit;
  if (!strange) group.append(s('circle', { class: `dot ${hue}${mark.main ? '' : ' minor'}`, cx: x, cy: Y(mark.y), r }));
  else {
    const y = mark.y === 0 ? low - 4 : low - high + 6, d = Math.max(2.5, Math.min(4, at.w / 3)) * unit;
    group.append(s('path', { class: 'cross', d: `M${x - d} ${y - d}l${2 * d} ${2 * d}m0 ${-2 * d}l${-2 * d} ${2 * d}` }));
  }
}

function stripLabels({ columns, stages, at, unit, y, width }) {
  const made = [];
  let taken = -Infinity;
  for (const stage of stages) {
    const from = at[stage.first].x, to = at[stage.last].x + at[stage.last].w, count = stage.last - stage.first + 1;
    const between = (width >= 500 ? 5 : count > 1 ? 8 : 12) * unit; // letters on a telephone are larger than is reckoned here
    const name = stage.path || columns[stage.first].name, shape = columns[stage.last].shape.slice(1);
    const texts = count > 1 ? [`${name} · ${count} blocks${shape.length ? ` · ${shape.join('×')}` : ''}`, name, `.${lastOfPath(name)}`] : [name, lastOfPath(name)];
    for (const text of texts) {
      const half = (text.length * 6.1 * unit) / 2;
      const x = Math.min(Math.max((from + to) / 2, half), width - half);
      const fits = count > 1 ? 2 * half <= to - from + 8 : true;
      if (!fits || x - half <= taken + between) continue;
      made.push(s('text', { class: 'strip-more', x, y, 'text-anchor': 'middle' }, text));
      taken = x + half;
      break;
    }
  }
  return made;
}
