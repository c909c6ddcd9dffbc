// Edges as roads with two lanes, values forward and gradients back, and a pill with the local derivative.

import { s } from '../dom.js';
import { fmt } from '../numbers.js';
import { CARD } from './places.js';
import { pathText, pillParts, pointOnRoad } from './roads.js';

const LANE = 3;
let edgeLayers = 0;

export const laneWidth = (x, most) => 1.75 + 4.25 * Math.sqrt(most > 0 && Number.isFinite(x) ? Math.min(1, Math.abs(x) / most) : Number.isFinite(x) ? 0 : 1);

// A shape with an arrowhead at the end of a lane; ids are unique in the document, since a notebook shows many pages.
function arrow(id, name) {
  return s('marker', { id, viewBox: '0 0 8 8', refX: 6.6, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: 'userSpaceOnUse', orient: 'auto-start-reverse' }, s('path', { d: 'M0 .6 7.4 4 0 7.4Z', class: name }));
}

export function edgeLayer() {
  const number = (edgeLayers += 1);
  const names = { forward: `chainrule-forward-${number}`, backward: `chainrule-backward-${number}` };
  const roads = s('g'), pills = s('g'), hot = s('g'), packets = s('g', { class: 'packets' });
  const under = s('svg', { class: 'roads', 'aria-hidden': 'true' }, s('defs', {}, arrow(names.forward, 'arrow-forward'), arrow(names.backward, 'arrow-backward')), roads, pills);
  const over = s('svg', { class: 'over', 'aria-hidden': 'true' }, hot, packets);
  const known = new Map();
  let shown = [], scene = null;

  function make(isWire) {
    const record = { last: {}, wire: isWire };
    record.forward = s('path', { class: isWire ? 'wire' : 'lane forward' });
    if (isWire) record.group = s('g', { class: 'edge' }, record.forward);
    else {
      record.road = s('path', { class: 'road' });
      record.backward = s('path', { class: 'lane backward' });
      record.group = s('g', { class: 'edge' }, record.road, record.forward, record.backward);
      record.pill = { group: s('g', { class: 'pill' }), cells: [], text: '' };
    }
    return record;
  }
  function draw(record, road, vertical) {
    const at = record.wire ? [['forward', 0]] : [['road', 0], ['forward', -LANE], ['backward', LANE]];
    for (const [name, offset] of at) {
      const text = pathText(road, offset, vertical);
      if (record.last[`d ${name}`] !== text) record[name].setAttribute('d', (record.last[`d ${name}`] = text));
    }
  }

  const self = {
    under,
    over,
    packets,
    roadOf: id => known.get(scene?.keyOf(id))?.path,
    partOf: id => known.get(scene?.keyOf(id))?.part ?? 0.5,
    // `drawn`: roads of the edges and wires that get elements. An edge's key is its node's and the number of the input.
    build(trace, places, drawn, boxes) {
      const keyOf = id => `${trace.nodes[trace.edges[id].to].key} ${trace.edges[id].slot}`;
      scene = { trace, places, keyOf };
      const keys = new Set(), live = drawn.filter(road => road.edge.id !== undefined);
      const size = places.level !== CARD ? { width: 38 * places.unit, height: 17 * places.unit } : { width: Math.min(78 * places.unit, places.vertical ? 78 * places.unit : places.gap), height: 20 * places.unit };
      const parts = pillParts(live, boxes, size);
      shown = drawn.map(path => {
        const isWire = path.edge.id === undefined;
        const key = isWire ? `${trace.nodes[path.edge.from].key} to ${trace.nodes[path.edge.to].key}` : keyOf(path.edge.id);
        keys.add(key);
        if (!known.has(key)) {
          known.set(key, make(isWire));
          roads.append(known.get(key).group);
          if (!isWire) pills.append(known.get(key).pill.group);
        }
        const record = known.get(key);
        Object.assign(record, { path, edge: path.edge });
        draw(record, path, places.vertical);
        if (isWire) return record;
        record.part = parts[live.indexOf(path)];
        record.middle = pointOnRoad(path, record.part);
        record.last.at = null;
        return record;
      });
      for (const [key, record] of known)
        if (!keys.has(key)) {
          record.group.remove();
          record.pill?.group.remove();
          known.delete(key);
        }
    },
    // state(edge) -> {forward, backward, upward, width, negative, mark, pill: [[text, class], ...], hot}
    paint(state) {
      for (const record of shown) paintEdge(record, state(record.edge, record.wire));
    },
  };

  const put = (record, name, target, attribute, value) => {
    if (record.last[name] === value) return;
    record.last[name] = value;
    if (value === null) target.removeAttribute(attribute);
    else target.setAttribute(attribute, value);
  };
  function paintEdge(record, found) {
    put(record, 'mark', record.group, 'class', `edge ${found.mark ?? ''}`);
    if (record.wire) return;
    put(record, 'on', record.forward, 'class', `lane forward${found.forward ? ' on' : ''}`);
    put(record, 'head', record.forward, 'marker-end', found.forward ? `url(#${names.forward})` : null);
    put(record, 'back', record.backward, 'class', `lane backward${found.backward ? ' on' : ''}${found.negative ? ' negative' : ''}`);
    const width = found.backward ? found.width.toFixed(1) : '';
    if (record.last.width !== width) record.backward.style.strokeWidth = record.last.width = width;
    put(record, 'start', record.backward, 'marker-start', found.backward && !found.along ? `url(#${names.backward})` : null);
    put(record, 'end', record.backward, 'marker-end', found.backward && found.along ? `url(#${names.backward})` : null);
    paintPill(record, found);
  }
  // Cells side by side in one rounded frame. Widths are reckoned from the characters: nothing is measured.
  function paintPill(record, found) {
    const { pill, last } = record;
    const { unit, ink, width, level } = scene.places;
    const cells = fitting(found.pill, scene.places);
    const isSmall = level !== CARD;
    const said = `${cells.map(cell => cell.join()).join(';')} ${found.mark ?? ''}`;
    const place = `${record.middle.x} ${record.middle.y}`;
    if (last.said === said && last.at === place) return;
    last.said = said;
    last.at = place;
    pill.group.setAttribute('class', `pill ${isSmall ? 'small' : ''} ${found.mark ?? ''}`);
    const layer = cells.some(cell => cell[1] === 'hot') ? hot : pills;
    if (pill.group.parentNode !== layer) layer.append(pill.group);
    if (pill.cells.length !== cells.length) rebuildPill(pill, cells.length);
    if (!cells.length) return;
    const widths = cells.map(([text]) => pillWidth(text, ink, isSmall));
    const total = widths.reduce((a, b) => a + b, 0), tall = (cells.length > 2 ? 21 : isSmall ? 16 : 18) * unit;
    const room = Math.max(total / 2 + 3, Math.min(width - total / 2 - 3, record.middle.x));
    pill.group.setAttribute('transform', `translate(${room.toFixed(1)} ${record.middle.y.toFixed(1)})`);
    const r = tall / 2;
    let x = -total / 2;
    cells.forEach(([text, kind], k) => {
      const w = widths[k], part = pill.cells[k];
      part.shape.setAttribute('d', cellShape(x, w, r, k === 0, k === cells.length - 1));
      part.shape.setAttribute('class', `pill-cell ${kind}`);
      part.text.setAttribute('x', x + w / 2);
      part.text.setAttribute('class', kind);
      if (part.text.firstChild?.data !== text) part.text.textContent = text;
      x += w;
    });
    setFrame(pill.frame, total, r);
  }
  return self;
}

function rebuildPill(pill, count) {
  pill.cells = Array.from({ length: count }, () => ({ shape: s('path'), text: s('text', { y: 0.5 }) }));
  pill.frame = s('rect', { class: 'frame' });
  pill.group.replaceChildren(...(count ? [...pill.cells.map(cell => cell.shape), pill.frame, ...pill.cells.map(cell => cell.text)] : []));
}
function setFrame(frame, total, r) {
  for (const [name, value] of [['x', -total / 2], ['y', -r], ['width', total], ['height', 2 * r], ['rx', r]]) frame.setAttribute(name, value);
}
function cellShape(x, w, r, first, last) {
  const left = first ? `M${x + r} ${r}A${r} ${r} 0 0 1 ${x + r} ${-r}` : `M${x} ${r}V${-r}`;
  const right = last ? `H${x + w - r}A${r} ${r} 0 0 1 ${x + w - r} ${r}Z` : `H${x + w}V${r}Z`;
  return left + right;
}

const THIN = new Set('.·, ');
export function pillWidth(text, unit, isSmall = false) {
  let width = 0;
  for (const character of text) width += THIN.has(character) ? 3.4 : /[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]/.test(character) ? 4.4 : 7.1;
  return Math.max(18, width * (isSmall ? 0.9 : 1) + (isSmall ? 8 : 11)) * unit;
}

// Where there is no room for all cells only the local derivative is shown: the factor line has the numbers.
function fitting(cells, { gap, unit, ink, vertical, level }) {
  const wide = cells.reduce((sum, [text]) => sum + pillWidth(text, ink), 0);
  const room = vertical ? 110 * unit : gap;
  const local = cells.find(cell => cell[1] === 'local' || cell[1] === 'sign') ?? cells[0];
  if (cells.length > 2 && (level !== CARD || wide > room + 50 * unit)) return [[`×${local[0].replace(/[=× ]/g, '')}`, 'hot']];
  if (cells.length === 2 && (level !== CARD || wide > room)) return [local];
  return cells;
}

// What a pill says: ×4; 40 | ×4 after the gradient has passed, in the order in which it flows; 40 = 4 × 10 while it does.
export function pillCells({ local, contribution, upstream, on, current, along, small }) {
  const digits = small ? 2 : 3;
  const slope = [`×${fmt(local, digits)}`, 'local'];
  if (current) {
    const result = [fmt(contribution, 3), 'hot'], arrived = [fmt(upstream, 3), 'gradient'];
    return along ? [arrived, [`× ${fmt(local, 3)} =`, 'sign'], result] : [result, [`= ${fmt(local, 3)} ×`, 'sign'], arrived];
  }
  if (!on || small) return [slope];
  const passed = [fmt(contribution, 3), 'gradient'];
  return along ? [slope, passed] : [passed, slope];
}
