// What is in a module: cards with value and gradient, roads with two lanes between them, opened modules as hulls.

import { h, s, setAttr } from '../dom.js';
import { fmt, fromJson } from '../numbers.js';
import { laneWidths, rmsOf, rmsText, shapeText, strangeText } from './sizes.js';

const MODEL_CARD = { wide: 92, high: 78, gap: 38, across: 102 };
const MODEL_CHIP = { wide: 70, high: 58, gap: 24, across: 70 };
const MODEL_MANY = 60;
const MODEL_PAD = 22;

export function cardSentence(item) {
  const kind = item.type === 'parameter' ? 'parameter' : item.type === 'group' ? item.kind || 'module' : item.kind || 'data';
  const parts = [item.outside ? `from ${item.name}` : `${item.name}${kind && kind !== item.name ? `, ${kind}` : ''}`, shapeText(item.shape), `value ${rmsText(item.value)}`];
  if (item.gradient) parts.push(`gradient ${rmsText(item.gradient)}`);
  const strange = strangeText(item);
  if (strange) parts.push(strange);
  return `${parts.join('. ')}.`;
}

// Draws into `host`; returns {show(graph, findings), select(id), focus(id)}.
export function moduleGraph(host, tools, { onSelect, onOpen, onClose, onEnter }) {
  let graph = null, findings = [], selected = '', zoom = 0, cards = new Map();
  const canvas = h('div', { class: 'graph-canvas', role: 'group' });
  const scroller = h('div', { class: 'graph-scroll', tabindex: -1 }, canvas);
  const zoomed = by => () => {
    zoom = by === 0 ? 0 : Math.min(2.5, Math.max(0.25, (zoom || fit()) * by));
    draw();
  };
  tools.replaceChildren(
    h('button', { class: 'btn icon', type: 'button', 'aria-label': 'Smaller', title: 'Smaller', onclick: zoomed(1 / 1.25) }, '−'),
    h('button', { class: 'btn', type: 'button', title: 'As large as fits', onclick: zoomed(0) }, 'Fit'),
    h('button', { class: 'btn icon', type: 'button', 'aria-label': 'Larger', title: 'Larger', onclick: zoomed(1.25) }, '+'),
  );
  host.replaceChildren(scroller);

  const sizes = () => {
    const unit = parseFloat(getComputedStyle(host).fontSize) / 15, base = graph.items.length > MODEL_MANY ? MODEL_CHIP : MODEL_CARD;
    return { unit, down: host.clientWidth < 560, wide: base.wide * unit, high: base.high * unit, gap: base.gap * unit, across: base.across * unit };
  };
  const extent = z => {
    const along = z.down ? z.high + z.gap : z.wide + z.gap, side = z.down ? z.wide + 14 * z.unit : z.across;
    const long = (graph.layers - 1) * along + (z.down ? z.high : z.wide) + 2 * MODEL_PAD * z.unit;
    const broad = graph.breadth * side + (z.down ? z.wide : z.high) + 2 * MODEL_PAD * z.unit;
    return { along, side, width: z.down ? broad : long, height: z.down ? long : broad };
  };
  const fit = () => {
    const z = sizes(), e = extent(z);
    return Math.min(1, Math.max(0.8, (scroller.clientWidth - 2) / e.width));
  };

  function draw() {
    if (!graph || !host.clientWidth) return;
    const focused = canvas.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const z = sizes(), e = extent(z), scale = zoom || fit();
    const left = Math.max(0, (scroller.clientWidth / scale - e.width) / 2);
    const place = (layer, across) => {
      const along = layer * e.along + MODEL_PAD * z.unit, side = across * e.side + MODEL_PAD * z.unit;
      return z.down ? { x: side + z.wide / 2 + left, y: along + z.high / 2 } : { x: along + z.wide / 2 + left, y: side + z.high / 2 };
    };
    const at = graph.items.map(item => place(item.layer, item.across));
    const width = Math.max(e.width, scroller.clientWidth / scale), height = e.height;
    const svg = s('svg', { class: 'graph-edges', width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    svg.append(...hulls(z, at));
    const there = laneWidths(graph.edges.map(edge => fromJson(edge.value))), back = laneWidths(graph.edges.map(edge => fromJson(edge.gradient) ?? 0));
    for (const edge of graph.edges) svg.append(...modelRoad(edge, at, place, z, there, back));
    cards = new Map();
    const made = graph.items.map((item, i) => card(item, at[i], z, i));
    canvas.replaceChildren(svg, ...made, ...closers(z, at));
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px`, transform: `scale(${scale})` });
    canvas.style.setProperty('--shrink', scale);
    scroller.style.height = `${Math.min(height * scale + 16, 620 * z.unit)}px`;
    canvas.classList.toggle('chips', graph.items.length > MODEL_MANY);
    setAttr(canvas, 'aria-label', `What is in ${graph.root || 'the model'}: ${graph.items.length} boxes`);
    mark();
    if (focused) cards.get(focused)?.focus();
  }

  function card(item, at, z, i) {
    const concerned = findings.filter(f => f.nodes.includes(item.id) || (item.type === 'group' && f.groups.some(path => path === item.id || path.startsWith(`${item.id}.`))));
    const title = item.type === 'group' && item.kind ? item.kind : item.name;
    const zero = rmsOf(item.gradient) === 0;
    const body = h(
      'button',
      { class: `node-card ${item.type}${item.outside ? ' outside' : ''}`, type: 'button', 'data-id': item.id, tabindex: -1, 'aria-label': `${cardSentence(item)}${concerned.map(f => ` Finding ${f.number}: ${f.title}.`).join('')}`, title: `${item.path ?? item.id} · ${shapeText(item.shape)}`, onclick: () => onSelect(item) },
      h('span', { class: 'node-name' }, title, concerned.length ? h('i', { class: 'node-flag' }, '▲') : null),
      item.type === 'group' && item.kind && h('span', { class: 'node-sub' }, item.name),
      h('span', { class: 'reg v' }, rmsText(item.value)),
      h('span', { class: `reg g${item.gradient ? '' : ' none'}${zero ? ' zero' : ''}` }, rmsText(item.gradient)),
    );
    body.addEventListener('keydown', event => walk(event, item, i));
    body.addEventListener('dblclick', () => (item.outside ? onEnter(item) : item.opens && onOpen(item)));
    const box = h('div', { class: 'node-box' }, body, item.opens && !item.outside && h('button', { class: 'node-open', type: 'button', tabindex: -1, 'aria-label': `Open ${item.id}`, title: 'Open (o)', onclick: () => onOpen(item) }, '+'));
    Object.assign(box.style, { left: `${at.x - z.wide / 2}px`, top: `${at.y - z.high / 2}px`, width: `${z.wide}px`, height: `${z.high}px` });
    cards.set(item.id, body);
    return box;
  }

  // Arrows go to the nearest card in that direction; o opens, c closes what a card is in.
  function walk(event, item, i) {
    const turn = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (event.key === 'o' && item.opens) item.outside ? onEnter(item) : onOpen(item);
    else if (event.key === 'c' && graph.opened.length) onClose(ownerOf(item));
    else if (turn) {
      const down = host.clientWidth < 560, [dx, dy] = turn, [along, across] = down ? [dy, dx] : [dx, dy];
      const near = graph.items
        .map((other, k) => ({ other, k, a: (other.layer - item.layer) * along, b: (other.across - item.across) * across }))
        .filter(({ k, a, b }) => k !== i && (along ? a > 0 : b > 0))
        .map(({ other, a, b }) => ({ other, far: along ? a * 10 + Math.abs(other.across - item.across) : b + Math.abs(other.layer - item.layer) * 10 }))
        .sort((p, q) => p.far - q.far)[0];
      if (near) cards.get(near.other.id).focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
  const ownerOf = item => graph.opened.filter(path => (item.group ?? item.id) === path || (item.group ?? item.id).startsWith(`${path}.`)).sort((a, b) => b.length - a.length)[0] ?? graph.opened.at(-1);
  const membersOf = path => graph.items.flatMap((item, i) => (!item.outside && ((item.group ?? item.id) === path || (item.group ?? item.id).startsWith(`${path}.`)) ? [i] : []));

  function hullOf(path, z, at) {
    const inside = membersOf(path);
    if (!inside.length) return null;
    const depth = graph.opened.filter(other => other.startsWith(`${path}.`)).length;
    const pad = (7 + 5 * Math.min(depth, 2)) * z.unit, head = 12 * z.unit;
    const xs = inside.map(i => at[i].x), ys = inside.map(i => at[i].y);
    const x = Math.min(...xs) - z.wide / 2 - pad, y = Math.min(...ys) - z.high / 2 - pad - head * 0.4;
    return { x, y, width: Math.max(...xs) + z.wide / 2 + pad - x, height: Math.max(...ys) + z.high / 2 + pad - y };
  }
  const hulls = (z, at) => graph.opened.map(path => hullOf(path, z, at)).filter(Boolean).map(box => s('rect', { class: 'hull', ...box, rx: 10 }));
  function closers(z, at) {
    return graph.opened.flatMap(path => {
      const box = hullOf(path, z, at);
      if (!box) return [];
      const button = h('button', { class: 'hull-close', type: 'button', 'aria-label': `Close ${path}`, title: `Close ${path} (c)`, onclick: () => onClose(path) }, `− ${path.slice(graph.root ? graph.root.length + 1 : 0)}`);
      Object.assign(button.style, { left: `${box.x}px`, top: `${box.y}px` });
      return [button];
    });
  }

  function mark() {
    for (const [id, body] of cards) setAttr(body, 'aria-pressed', id === selected ? 'true' : 'false');
    const first = cards.get(selected) ?? cards.get(graph?.items.find(item => !item.outside)?.id);
    for (const body of cards.values()) setAttr(body, 'tabindex', body === first ? 0 : -1);
  }

  let seenWidth = 0;
  const watcher = new ResizeObserver(() => {
    if (host.clientWidth === seenWidth) return;
    seenWidth = host.clientWidth;
    draw();
  });
  watcher.observe(host);
  return {
    show(newer, found) {
      if (newer.root !== graph?.root) zoom = 0;
      graph = newer;
      findings = found;
      draw();
    },
    select(id) {
      selected = id;
      mark();
    },
    focus: id => cards.get(id)?.focus(),
    leave: () => watcher.disconnect(),
  };
}

// A road: the value's lane and the gradient's beside it, each with an arrowhead where it arrives.
function modelRoad(edge, at, place, z, there, back) {
  const a = at[edge.from], b = at[edge.to], loop = edge.from >= edge.to;
  const points = loop ? modelLoop(a, b, z) : [modelPort(a, z, 1), ...edge.bends.map(([layer, across]) => place(layer, across)), modelPort(b, z, -1)];
  const value = fromJson(edge.value), gradient = edge.gradient == null ? null : fromJson(edge.gradient);
  const shift = gradient == null ? 0 : 3.2 * z.unit;
  const title = s('title', {}, `${shapeText(edge.shape)}${edge.tensors > 1 ? ` and ${edge.tensors - 1} more` : ''} · value ${fmt(value, 3)}${gradient == null ? '' : ` · gradient ${fmt(gradient, 3)}`}`);
  const made = [modelLane('lane-there', points, -shift, Math.max(1, there(value)), z, false)];
  if (gradient != null) made.push(gradient === 0 ? modelLane('lane-none', points, shift, 1.2, z, null) : modelLane('lane-back', points, shift, back(Math.abs(gradient)) || 5, z, true));
  const hit = s('path', { class: 'road', d: modelCurve(points, 0, z) });
  hit.append(title);
  return [...made, hit];
}
const modelPort = (p, z, side) => (z.down ? { x: p.x, y: p.y + (side * z.high) / 2 } : { x: p.x + (side * z.wide) / 2, y: p.y });
function modelLoop(a, b, z) {
  const low = Math.max(a.y, b.y) + z.high / 2 + 16 * z.unit;
  return [{ x: a.x, y: a.y + z.high / 2 }, { x: a.x, y: low }, { x: b.x, y: low }, { x: b.x, y: b.y + z.high / 2 }];
}
function modelCurve(points, shift, z) {
  const p = points.map(({ x, y }) => (z.down ? { x: x + shift, y } : { x, y: y + shift }));
  let d = `M${p[0].x} ${p[0].y}`;
  for (let i = 1; i < p.length; i += 1) {
    const a = p[i - 1], b = p[i];
    if (z.down) d += `C${a.x} ${(a.y + b.y) / 2} ${b.x} ${(a.y + b.y) / 2} ${b.x} ${b.y}`;
    else d += `C${(a.x + b.x) / 2} ${a.y} ${(a.x + b.x) / 2} ${b.y} ${b.x} ${b.y}`;
  }
  return d;
}
function modelLane(name, points, shift, width, z, backwards) {
  const g = s('g', { class: name }, s('path', { class: 'lane', d: modelCurve(points, shift, z), 'stroke-width': width }));
  if (backwards === null) return g;
  const tip = backwards ? points[0] : points.at(-1), size = (3.4 + width * 0.55) * z.unit, sign = backwards ? 1 : -1;
  const x = z.down ? tip.x + shift : tip.x, y = z.down ? tip.y : tip.y + shift;
  const d = z.down ? `M${x} ${y}l${-size * 0.8} ${sign * size * 1.5}h${size * 1.6}z` : `M${x} ${y}l${sign * size * 1.5} ${-size * 0.8}v${size * 1.6}z`;
  g.append(s('path', { class: 'tip', d }));
  return g;
}
