// The stage: the typeset formula, the graph, the factor line and the transport, all painted from one snapshot.

import { framed, h } from '../dom.js';
import { dotLayer, isDense } from './dots.js';
import { edgeLayer, laneWidth, pillCells } from './edges.js';
import { factorLine } from './factor.js';
import { makePlayer } from './flight.js';
import { stageKeys } from './keys.js';
import { nodeLayer } from './nodes.js';
import { CARD, CHIP, DOT, placesOf, raised } from './places.js';
import { boundsOf, roadsOf } from './roads.js';
import { edgesInto, edgesOutOf } from './snapshot.js';
import { stepTable } from './steptable.js';
import { strongestPath } from './strongest.js';
import { transportBar } from './transport.js';
import { typesetHead } from './typeset.js';
import { stageViewport } from './viewport.js';

const MOST_RAISED = 6;
const MOST_ELEMENTS = 150; // of larger graphs only what is near has elements
const MOST_MOVED = 60;
const NEAR = 500; // pixels
const MANY = 500;

export function stagePanel(session, { announce, notify = () => {} }) {
  const nodes = nodeLayer(session), edges = edgeLayer(), dots = dotLayer();
  const viewport = stageViewport(session, { onRoom: () => build(), onMove: () => look() });
  viewport.inner.append(dots.element, edges.under, nodes.element, edges.over);
  const head = typesetHead(session);
  let places = null, boxes = [], cards = new Set(), strong = new Set(), near = null, flying = null, shape = '', moving = 0, skips = false;
  const player = makePlayer(session, edges, {
    onFlight(event) {
      flying = event;
      paintGraph();
    },
    onChange: () => session.trace && transport.paint(),
  });
  edges.sizes = () => places;
  const factor = factorLine(session, { announce, isPlaying: () => player.playing });
  const table = stepTable(session, { notify });
  const transport = transportBar(session, player, { onTable: () => transport.table.setAttribute('aria-expanded', String(table.toggle())) });
  const element = h('section', { class: 'card stage', 'aria-label': 'Graph', hidden: true }, head.element, viewport.element, factor.element, transport.element, table.element);

  // Where everything is: anew for another graph, another room, another zoom, and at the levels of chips and dots for
  // another selection, which is shown as cards.
  function build() {
    const { trace } = session;
    if (!trace || !viewport.room.width) return;
    places = placesOf(trace, { ...viewport.room, scale: session.scale });
    const isShown = node => session.constants || node.kind !== 'constant';
    cards = new Set(isDense(places) ? raisedNodes() : []);
    boxes = cards.size ? raised(places, cards) : places.boxes;
    strong = new Set(isDense(places) ? strongestPath(trace, session.numbers, session.selected).map(edge => edge.id) : []);
    const wires = session.constants ? trace.wires : [];
    const dense = isDense(places);
    viewport.resize(places.width, places.height);
    near = trace.nodes.length > MOST_ELEMENTS ? around(viewport.seen) : null;
    const inSight = id => !near || cards.has(id) || id === session.selected || touches(near, boxes[id]);
    const wanted = trace.nodes.filter(node => isShown(node) && (places.level < DOT || cards.has(node.id)) && inSight(node.id)).map(node => node.id);
    nodes.build(trace, places, boxes, wanted, id => (cards.has(id) ? CARD : places.level));
    if (dense) dots.build(trace, places, roadsOf([...trace.edges, ...wires], places), session.constants, [...cards].map(id => [places.boxes[id], boxes[id]]));
    else dots.hide();
    const drawn = dense ? roadsOf(trace.edges.filter(edge => cards.has(edge.from) && cards.has(edge.to)), places, boxes) : roadsOf([...trace.edges, ...wires], places).filter(road => !near || touches(near, middleOf(boundsOf(road))));
    edges.build(trace, places, drawn, wanted.map(id => boxes[id]));
    element.dataset.level = String(places.level);
    element.classList.toggle('vertical', places.vertical);
    shape = shapeOf();
    settle();
    look();
  }
  // Elements move to new places in 200 ms; after a resize or a scroll nothing is to lag behind. Of many nobody follows
  // each, and they would keep the browser busy while one types.
  function settle() {
    if (session.trace.nodes.length > MOST_MOVED) return;
    nodes.element.classList.add('moving');
    clearTimeout(moving);
    moving = setTimeout(() => nodes.element.classList.remove('moving'), 260);
  }
  const shapeOf = () => `${session.scale} ${session.constants} ${isDense(places) ? `${session.selected} ${session.step} ${session.path ?? ''}` : near ? session.selected : ''}`;
  // The selected node, what the step is about, the path that is lit and the strongest neighbours stay cards among chips
  // and dots; the strongest path is drawn as a road.
  function raisedNodes() {
    const { trace, selected, numbers, snapshot, path } = session;
    const found = new Set([selected]);
    const { event } = snapshot;
    if (event.node !== undefined) found.add(event.node);
    if (event.edge !== undefined) found.add(trace.edges[event.edge].to);
    for (const id of path ?? []) found.add(trace.edges[id].from).add(trace.edges[id].to);
    const strength = edge => -Math.abs(numbers.contributions[edge.id]) || 0;
    const near = [...edgesOutOf(trace, selected), ...edgesInto(trace, selected)].sort((a, b) => strength(a) - strength(b));
    for (const edge of near) found.add(edge.from === selected ? edge.to : edge.from);
    return [...found].slice(0, path ? 2 * MOST_RAISED : MOST_RAISED);
  }
  function look() {
    if (!places) return;
    const { x, y, width, height } = viewport.seen;
    const isMissed = near && (Math.abs(x + width / 2 - near.x) > NEAR - 100 || Math.abs(y + height / 2 - near.y) > NEAR - 100);
    if (isMissed) {
      build();
      return;
    }
    if (isDense(places)) dots.view(x, y, width, height);
    paintGraph();
  }

  function paintGraph() {
    if (!places || !session.trace) return;
    const state = sceneOf(session, flying, places, strong);
    nodes.paint(state.node);
    edges.paint(state.edge);
    if (isDense(places)) dots.paint(state.edge, state.node);
  }
  function paintStep() {
    if (!session.trace) return;
    if (places && shapeOf() !== shape) build();
    else paintGraph();
    head.mark();
    factor.step();
    transport.build();
    transport.paint();
    table.mark();
  }
  session.on('trace', () => {
    player.pause();
    flying = null;
    element.hidden = false;
    head.build();
    build();
    factor.step();
    transport.build();
    transport.paint();
    table.build();
  });
  session.on('view', () => {
    paintStep();
    table.later();
  });
  // While a number is dragged, many hundred roads are painted in every second frame only, and once more at the end.
  let skipped = 0;
  function paintNumbers() {
    clearTimeout(skipped);
    const isLarge = places && isDense(places) && session.trace.nodes.length > MANY;
    skips = isLarge && !skips;
    if (skips) skipped = setTimeout(() => session.trace && paintGraph(), 50);
    else paintGraph();
  }
  session.on('numbers', framed(() => {
    if (!session.trace) return;
    paintNumbers();
    head.numbers();
    factor.numbers();
    table.later();
  }));
  session.on('hover', () => {
    if (!session.trace) return;
    head.mark();
    paintGraph();
  });
  viewport.inner.addEventListener('click', event => {
    if (event.target.closest('.node') || !places) return;
    const { x, y } = viewport.point(event);
    const id = dots.hit(x, y);
    if (id !== null) (event.shiftKey ? session.toggleBreakpoint : session.select)(id);
  });
  watchTheme(element, () => {
    dots.themed();
    paintGraph();
  });
  const keys = stageKeys(session, player, {
    focus(id) {
      if (places && boxes[id]) viewport.reveal(boxes[id]);
      nodes.focus(id);
    },
  });
  return {
    element,
    pause: player.pause,
    get keys() {
      return session.trace ? keys : {};
    },
  };
}

const around = ({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2, w: width + 2 * NEAR, h: height + 2 * NEAR });
const middleOf = ([x0, x1, y0, y1]) => ({ x: (x0 + x1) / 2, y: (y0 + y1) / 2, w: x1 - x0, h: y1 - y0 });
const touches = (a, b) => Math.abs(a.x - b.x) <= (a.w + b.w) / 2 && Math.abs(a.y - b.y) <= (a.h + b.h) / 2;

// What nodes and edges look like at this step, with `flying` in the air.
function sceneOf(session, flying, places, strong) {
  const { trace, numbers, snapshot, mode, path, hovered, selected } = session;
  const { event, valued, gradients, flowed, partial, before, added, sweep } = snapshot;
  const along = mode === 'forward';
  let most = 0;
  for (const x of added) if (Number.isFinite(x)) most = Math.max(most, Math.abs(x));
  const onPath = path ? new Set(path) : null;
  const pathNodes = path ? new Set(path.flatMap(id => [trace.edges[id].from, trace.edges[id].to])) : null;
  const passive = event.t === 'start' || event.t === 'done';
  const small = places.level !== CARD, dense = places.level >= CHIP;
  const air = flying?.node;
  return {
    node(id) {
      const late = air === id ? flying.t : null;
      let value = valued.has(id) && late !== 'value' ? numbers.values[id] : undefined;
      let gradient = gradients.get(id);
      if (late === 'flow') gradient = partial.get(id) > 1 ? before : undefined;
      else if (late === 'tangent') gradient = undefined;
      const strange = (value !== undefined && !Number.isFinite(value)) || (gradient !== undefined && !Number.isFinite(gradient));
      const now = passive || event.node !== id || late ? null : event.t === 'value' ? 'value' : 'gradient';
      return { value, gradient, now, strange, faded: pathNodes ? !pathNodes.has(id) : false };
    },
    edge(edge, isWire) {
      if (isWire) return { mark: path ? 'faded' : '' };
      const forward = valued.has(edge.to) && valued.has(edge.from) && !(air === edge.to && flying.t === 'value');
      const current = !path && (event.t === 'flow' ? event.edge === edge.id : event.t === 'tangent' && event.node === edge.to);
      const inAir = current && flying !== null;
      const on = flowed.has(edge.id) && !inAir;
      const lit = onPath?.has(edge.id);
      const near = !dense || lit || current || [edge.from, edge.to].some(id => id === hovered || id === selected);
      return {
        forward,
        backward: on,
        along,
        width: laneWidth(added[edge.id], most),
        negative: added[edge.id] < 0,
        mark: onPath ? (lit ? 'on-path' : 'faded') : current ? 'hot' : strong.has(edge.id) ? 'on-path' : '',
        pill: forward && near ? pillCells({ local: numbers.locals[edge.id], contribution: added[edge.id], upstream: along ? sweep?.tangents[edge.from] : numbers.gradients[edge.to], on, current: (current && !inAir) || (lit && on), along, small }) : [],
      };
    },
  };
}

// A canvas has to be told when the theme changes.
function watchTheme(element, changed) {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  const watch = () => {
    const root = element.closest('.chainrule');
    if (root) new MutationObserver(changed).observe(root, { attributes: true, attributeFilter: ['data-theme'] });
  };
  requestAnimationFrame(watch);
}
