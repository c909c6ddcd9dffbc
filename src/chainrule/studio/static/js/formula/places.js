// Where nodes stand on the stage: the trace says layer and place, the room says how large and how far apart.
//
// The level follows from the room: cards where they fit, then small cards, chips, dots. Zooming in is more room, so it
// moves through the levels; text keeps its size.

import { clamp } from '../dom.js';

// Sizes at a unit of 15 px. `gap` is the least room along the layers between two nodes and `pitch` the least distance
// across; `stretch` says how far the graph may be larger than the room before the next level is taken.
const SIZES = [
  { name: 'card', width: 116, narrow: 100, phone: 100, height: 64, gap: 60, widest: 190, pitch: 92, roomy: 104, stretch: 1 },
  { name: 'small', width: 62, narrow: 54, phone: 46, height: 58, gap: 27, widest: 110, pitch: 70, roomy: 84, stretch: 1.15 },
  { name: 'chip', width: 34, narrow: 34, phone: 34, height: 26, gap: 16, widest: 70, pitch: 32, roomy: 48, stretch: 2.5 },
  { name: 'dot', width: 7, narrow: 7, phone: 7, height: 7, gap: 2, widest: 40, pitch: 5.5, roomy: 18, stretch: Infinity },
];
const CONSTANTS = [[34, 30], [26, 24], [22, 20], [5, 5]];
export const CARD = 0, SMALL = 1, CHIP = 2, DOT = 3;
export const levelName = level => SIZES[level].name;
const PAD = 26;
const PHONE = 560;

// {level, vertical, unit, tiny, width, height, gap, boxes: [{x, y, w, h}] by node id with x, y in the middle}
export function placesOf(trace, { width, height, unit, digit = 0.62, scale = 1 }) {
  const vertical = width / unit < PHONE;
  const room = vertical ? { along: Infinity, across: width * scale } : { along: width * scale, across: height * scale };
  const found = SIZES.findIndex((size, i) => fits(trace, size, room, unit, vertical, i, scale));
  return spread(trace, found, room, { width, height, unit, digit, vertical, scale });
}

const sides = (size, vertical) => (vertical ? [size.height, size.phone] : [size.narrow, size.height]);

function fits(trace, size, room, unit, vertical, level, scale) {
  const { layers, breadth } = trace.size;
  const [along, across] = sides(size, vertical);
  const gap = vertical && level < CHIP ? Math.max(size.gap, 44) : size.gap;
  const beside = vertical ? size.phone + 10 : size.pitch;
  const needed = { along: layers * along + (layers - 1) * gap + 2 * PAD, across: breadth * beside + across + (vertical ? 16 : PAD) };
  // On a phone the page scrolls along the layers, but nobody scrolls through forty screens.
  const tall = vertical && needed.along > 2400 * scale && level < DOT;
  return !tall && needed.along * unit <= room.along * size.stretch && needed.across * unit <= room.across * size.stretch;
}

function spread(trace, level, room, { width, height, unit, digit, vertical, scale }) {
  const size = level === DOT && scale < 1 ? shrunk(SIZES[DOT], scale) : SIZES[level], { layers, breadth } = trace.size;
  const wide = Math.max(1, scale);
  const pad = PAD * unit, last = Math.max(1, layers - 1);
  // Along the layers: as far apart as the room lets them, within bounds; where it gets tight, nodes are narrower.
  const free = vertical ? 0 : room.along - 2 * pad;
  const most = (vertical ? (level === DOT ? 26 : 62) : size.widest) * unit * wide;
  const fitting = vertical ? (room.across / unit - 16) / (breadth + 1) - 12 : (free / unit - (layers - 1) * size.gap) / layers;
  const w = clamp(fitting, vertical ? size.phone : size.narrow, size.width) * unit;
  const h = size.height * unit;
  const long = vertical ? h : w;
  const shortest = long + (vertical && level < CHIP ? 44 : size.gap) * unit;
  const step = layers === 1 ? 0 : vertical ? long + most : clamp((free - long) / last, shortest, long + most);
  const thick = vertical ? w : h;
  const beside = breadth === 0 ? 0 : vertical ? clamp((room.across - 16 * unit - w) / breadth, (size.phone + 10) * unit, w * 1.35 * wide) : clamp((room.across - 2 * pad - h) / breadth, size.pitch * unit, size.roomy * unit * wide);
  const along = (layers - 1) * step + long + 2 * pad, across = breadth * beside + thick + (vertical ? 16 * unit : 2 * pad);
  const full = vertical ? { width: Math.max(width, across), height: along } : { width: Math.max(width, along), height: Math.max(across, 150 * unit) };
  const left = (full.width - (vertical ? across : along)) / 2 + (vertical ? 8 * unit + w / 2 : pad + w / 2);
  const top = (full.height - (vertical ? along : across)) / 2 + pad + h / 2;
  const at = (layer, place) => (vertical ? { x: left + place * beside, y: top + layer * step } : { x: left + layer * step, y: top + place * beside });
  const boxes = trace.nodes.map(node => {
    const [cw, ch] = node.kind === 'constant' ? CONSTANTS[level].map(side => side * unit) : [w, h];
    return { ...at(node.layer, node.across), w: cw, h: ch };
  });
  return { level, vertical, unit, ink: (unit * digit) / 0.62, digit, tiny: vertical && w < 54 * unit, gap: step - long, dot: size.width, ...full, boxes, at, card: { w: SIZES[CARD].width * unit, h: SIZES[CARD].height * unit } };
}

// Zooming out moves dots together and makes them smaller.
const shrunk = (size, scale) => ({ ...size, width: Math.max(2.5, size.width * scale), narrow: Math.max(2.5, size.narrow * scale), height: Math.max(2.5, size.height * scale), gap: size.gap * scale - 2 * (1 - scale), pitch: size.pitch * scale });

// Cards for some nodes at the levels of chips and dots, moved apart until none hides another.
export function raised(places, ids) {
  const boxes = [...places.boxes], taken = [];
  const { w, h } = places.card;
  const hits = (a, b) => Math.abs(a.x - b.x) < (a.w + b.w) / 2 + 14 && Math.abs(a.y - b.y) < (a.h + b.h) / 2 + 10;
  const within = (x, half, most) => clamp(x, half + 8, Math.max(half + 8, most - half - 8));
  for (const id of ids) {
    const from = places.boxes[id];
    const tried = SPIRAL.map(([dx, dy]) => ({ x: within(from.x + dx * w * 0.7, w / 2, places.width), y: within(from.y + dy * h * 0.6, h / 2, places.height), w, h }));
    const best = tried.find(box => !taken.some(other => hits(box, other))) ?? tried[0];
    taken.push(best);
    boxes[id] = best;
  }
  return boxes;
}
const SPIRAL = spiralOut(8);
function spiralOut(rings) {
  const steps = [];
  for (let dy = -rings; dy <= rings; dy += 1) for (let dx = -rings; dx <= rings; dx += 1) steps.push([dx, dy]);
  return steps.sort((a, b) => Math.hypot(...a) - Math.hypot(...b));
}
