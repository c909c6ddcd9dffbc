// Many nodes: edges and dots painted into a canvas as large as what is seen of the stage.

import { h } from '../dom.js';
import { laneWidth } from './edges.js';
import { CHIP, DOT } from './places.js';
import { TINTS, tintOf } from './nodes.js';
import { boundsOf, tracePath } from './roads.js';

const COLORS = ['--val-line', '--grad-line', '--edge', '--ink', '--track', '--surface', '--find-line'];

const RIMS = { operation: 'edge', variable: 'val-line', result: 'ink' };

export function dotLayer() {
  const canvas = h('canvas', { class: 'dots', 'aria-hidden': 'true' });
  const probes = COLORS.map(name => h('i', { style: { color: `var(${name})` } }));
  const element = h('div', { class: 'dots-frame', 'aria-hidden': 'true' }, canvas, h('span', { hidden: true }, probes));
  const context = canvas.getContext('2d');
  let colors = null, scene = null, seen = { x: 0, y: 0, width: 0, height: 0, ratio: 1 };
  const sprites = new Map();

  const self = {
    element,
    // Tokens are pairs for light and dark, which a canvas does not know: they are looked up when the theme changes.
    themed() {
      sprites.clear();
      colors = Object.fromEntries(COLORS.map((name, i) => [name.slice(2), getComputedStyle(probes[i]).color]));
    },
    view(x, y, width, height) {
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      if (ratio !== seen.ratio) sprites.clear();
      const [w, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (canvas.width !== w || canvas.height !== tall) {
        canvas.width = w;
        canvas.height = tall;
        canvas.style.width = `${width}px`;
        canvas.style.height = `${height}px`;
      }
      seen = { x, y, width, height, ratio };
    },
    // `moved`: pairs of boxes, where a node is and where its card had to go.
    build(trace, places, roads, constants, moved) {
      element.hidden = false;
      scene = { trace, places, constants, roads, moved, bounds: roads.map(boundsOf) };
    },
    hide() {
      element.hidden = true;
      scene = null;
    },
    // edge(edge) and node(id) give the same states as they do for elements.
    paint(edge, node) {
      if (!scene || !seen.width) return;
      if (!colors) self.themed();
      const { places } = scene;
      context.setTransform(seen.ratio, 0, 0, seen.ratio, 0, 0);
      context.clearRect(0, 0, seen.width, seen.height);
      context.lineCap = 'butt';
      paintRoads(edge);
      if (places.level === DOT) paintDots(node);
      paintLeaders();
    },
    // The node under a point of the stage, if there is one near.
    hit(x, y) {
      if (!scene || scene.places.level !== DOT) return null;
      let best = null, least = (12 * scene.places.unit) ** 2;
      for (const node of scene.trace.nodes) {
        if (node.kind === 'constant') continue;
        const box = scene.places.boxes[node.id];
        const far = (box.x - x) ** 2 + (box.y - y) ** 2;
        if (far < least) [best, least] = [node.id, far];
      }
      return best;
    },
  };

  const visible = ([x0, x1, y0, y1]) => x1 >= seen.x && x0 <= seen.x + seen.width && y1 >= seen.y && y0 <= seen.y + seen.height;
  // Lines of one kind are one path: widths and dashes are quantized, so that there are few.
  function paintRoads(edge) {
    const { places, roads, bounds } = scene;
    const isChip = places.level === CHIP, lane = isChip ? 1.75 * places.unit : 0;
    const thick = isChip ? 0.75 : 0.6 * Math.min(1, places.dot / 7);
    const batches = new Map();
    const into = (order, color, width, alpha, dash, road, offset) => {
      const name = `${order} ${color} ${width} ${alpha} ${dash}`;
      if (!batches.has(name)) batches.set(name, { order, color, width, alpha, dash, list: [] });
      batches.get(name).list.push(road, offset);
    };
    roads.forEach((road, i) => {
      if (!visible(bounds[i])) return;
      const isWire = road.edge.id === undefined;
      const found = edge(road.edge, isWire);
      const alpha = found.mark === 'faded' ? 0.2 : 1;
      if (isWire) into(0, 'edge', 1, 0.6 * alpha, '1.5 4', road, 0);
      else {
        if (found.mark === 'on-path' || found.mark === 'hot') into(1, found.mark === 'hot' ? 'grad-line' : 'ink', 8, 0.22, '', road, 0);
        if (!found.backward || isChip) into(2, found.forward ? 'val-line' : 'edge', found.forward && isChip ? 1.5 : 1, alpha * (found.forward ? 1 : 0.65), '', road, -lane);
        if (found.backward) {
          const width = Math.max(0.5, Math.round(thick * found.width * 2) / 2);
          into(3, 'grad-line', width, alpha, found.negative ? '6 3' : '', road, lane);
        }
      }
    });
    for (const { color, width, alpha, dash, list } of [...batches.values()].sort((a, b) => a.order - b.order)) {
      context.beginPath();
      for (let i = 0; i < list.length; i += 2) {
        const offset = list[i + 1];
        tracePath(context, list[i], (scene.places.vertical ? offset : 0) - seen.x, (scene.places.vertical ? 0 : offset) - seen.y);
      }
      context.strokeStyle = colors[color];
      context.lineWidth = width;
      context.globalAlpha = alpha;
      context.setLineDash(dash ? dash.split(' ').map(Number) : []);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  }
  // A dot has two halves: blue left for the value, orange right for the gradient, the stronger the larger the number.
  // Each kind of dot is drawn once, and then only copied.
  function paintDots(state) {
    const { trace, places, constants } = scene;
    for (const node of trace.nodes) {
      if (node.kind === 'constant' && !constants) continue;
      const box = places.boxes[node.id];
      const x = box.x - seen.x, y = box.y - seen.y;
      if (x < -9 || y < -9 || x > seen.width + 9 || y > seen.height + 9) continue;
      const found = state(node.id);
      const rim = node.kind === 'constant' ? 'constant' : found.strange ? 'find-line' : found.now ? (found.now === 'value' ? 'val-line' : 'grad-line') : RIMS[node.kind];
      const dot = spriteOf(rim, box.w / 2, tintOf(found.value), tintOf(found.gradient));
      if (found.faded) context.globalAlpha = 0.38;
      context.drawImage(dot, x - dot.half, y - dot.half, 2 * dot.half, 2 * dot.half);
      if (found.faded) context.globalAlpha = 1;
    }
  }
  function spriteOf(rim, r, value, gradient) {
    const name = `${rim} ${r} ${value} ${gradient}`;
    if (!sprites.has(name)) sprites.set(name, rim === 'constant' ? squareDot(r) : roundDot(rim, r, value, gradient));
    return sprites.get(name);
  }
  function blank(half) {
    const made = document.createElement('canvas');
    made.width = made.height = Math.ceil(2 * half * seen.ratio);
    made.half = made.width / seen.ratio / 2;
    const pen = made.getContext('2d');
    pen.setTransform(seen.ratio, 0, 0, seen.ratio, made.width / 2, made.height / 2);
    return [made, pen];
  }
  function squareDot(r) {
    const [made, pen] = blank(r + 1);
    pen.fillStyle = colors.edge;
    pen.fillRect(-0.8 * r, -0.8 * r, 1.6 * r, 1.6 * r);
    return made;
  }
  function roundDot(rim, r, value, gradient) {
    const outer = r + (rim === 'edge' ? 1 : 2), turn = Math.PI / 2;
    const [made, pen] = blank(outer + 1);
    const slice = (radius, from, to, color, alpha) => {
      pen.globalAlpha = alpha;
      pen.fillStyle = color;
      pen.beginPath();
      pen.arc(0, 0, radius, from, to);
      pen.fill();
    };
    slice(outer, 0, 4 * turn, colors[rim], 1);
    slice(r, 0, 4 * turn, colors.surface, 1);
    if (value) slice(r, turn, 3 * turn, colors['val-line'], 0.25 + (0.75 * value) / TINTS);
    if (gradient) slice(r, -turn, turn, colors['grad-line'], 0.25 + (0.75 * gradient) / TINTS);
    return made;
  }
  // A thin line from a card to where its node is, if the card had to make room.
  function paintLeaders() {
    context.strokeStyle = colors.ink;
    context.lineWidth = 1.25;
    for (const [at, card] of scene.moved) {
      if (Math.abs(at.x - card.x) < card.w / 2 && Math.abs(at.y - card.y) < card.h / 2) continue;
      context.beginPath();
      context.moveTo(at.x - seen.x, at.y - seen.y);
      context.lineTo(card.x - seen.x, card.y - seen.y);
      context.stroke();
    }
  }
  return self;
}

export const isDense = places => places.level >= CHIP;
