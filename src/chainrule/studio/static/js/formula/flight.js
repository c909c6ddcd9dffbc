// Playing: a number flies along its lane, rests, and the next one follows.
//
// A number changes from upstream to product where it crosses the pill: that is where it is multiplied.

import { clamp, s, wantsLessMotion } from '../dom.js';
import { fmt } from '../numbers.js';
import { pillWidth } from './edges.js';
import { pointOnRoad } from './roads.js';
import { edgesInto } from './snapshot.js';

const FLIGHT_MS = { value: 560, flow: 820, tangent: 820 };
const REST_MS = { value: 420, flow: 620, sum: 1500, seed: 1300, tseed: 900, tangent: 420, done: 700, start: 700 };
const LANDS = 0.88; // part of the flight after which the number is where it flew to
const MOST_PACKETS = 24;

const easeInOut = t => (t < 0.5 ? 2 * t * t : 1 - 2 * (1 - t) ** 2);

// `edges` is the edge layer; `onFlight(event or null)` paints what is in the air, `onChange` that playing began or ended.
export function makePlayer(session, edges, { onFlight, onChange }) {
  let playing = false, timer = 0, frame = 0, packets = [];

  const self = {
    get playing() {
      return playing;
    },
    play() {
      if (playing || !session.trace) return;
      playing = true;
      onChange();
      step(session.step >= session.last ? 0 : session.step + 1);
    },
    pause() {
      const was = playing;
      playing = false;
      clearTimeout(timer);
      land();
      if (was) {
        session.write(true);
        onChange();
      }
    },
    toggle: () => (playing ? self.pause() : self.play()),
    // One step on, in flight; everything else is there at once.
    next() {
      self.pause();
      if (session.step < session.last) step(session.step + 1);
    },
    to(wanted) {
      self.pause();
      session.go(wanted, { commit: true });
    },
  };

  function step(to) {
    land();
    session.go(to);
    const { event } = session.snapshot;
    if (to === session.last && !playing) session.write(true);
    const ms = FLIGHT_MS[event.t];
    if (ms && !wantsLessMotion() && takeOff(event, ms / session.speed)) return;
    rest(event);
  }
  function rest(event) {
    if (!playing) return;
    if (session.step >= session.last || stopsAt(session, event)) {
      self.pause();
      return;
    }
    timer = setTimeout(() => playing && step(session.step + 1), (REST_MS[event.t] ?? 700) / session.speed);
  }
  // The packets of an event, or false where no edge of it is drawn.
  function takeOff(event, ms) {
    packets = flightsOf(session, event).flatMap(flight => {
      const road = edges.roadOf(flight.edge);
      return road ? [{ ...flight, road, part: edges.partOf(flight.edge), ...packetElement(flight.hue) }] : [];
    });
    if (!packets.length || packets.length > MOST_PACKETS) {
      packets = [];
      return false;
    }
    edges.packets.replaceChildren(...packets.map(packet => packet.group));
    onFlight(event);
    const began = performance.now();
    const move = now => {
      const part = clamp((now - began) / ms, 0, 1);
      if (part >= LANDS) {
        land();
        rest(event);
        return;
      }
      const p = easeInOut(part / LANDS);
      for (const packet of packets) movePacket(packet, p, edges.sizes());
      frame = requestAnimationFrame(move);
    };
    move(began);
    return true;
  }
  function land() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!packets.length) return;
    packets = [];
    edges.packets.replaceChildren();
    onFlight(null);
  }
  return self;
}

// Playing stops where a node has all that comes at this event.
export function stopsAt(session, event) {
  const { trace, breakpoints, events, step } = session;
  if (!breakpoints.size || event.node === undefined || !breakpoints.has(trace.nodes[event.node].name)) return false;
  if (event.t !== 'flow') return true;
  return !events.slice(step + 1).some(later => later.node === event.node && (later.t === 'flow' || later.t === 'sum'));
}

function flightsOf(session, event) {
  const { trace, numbers, snapshot } = session;
  if (event.t === 'value') return edgesInto(trace, event.node).map(edge => ({ edge: edge.id, hue: 'v', back: false, before: numbers.values[edge.from], after: numbers.values[edge.from] }));
  if (event.t === 'flow') {
    const edge = trace.edges[event.edge];
    return [{ edge: edge.id, hue: 'g', back: true, before: numbers.gradients[edge.to], after: numbers.contributions[edge.id] }];
  }
  return edgesInto(trace, event.node).map(edge => ({ edge: edge.id, hue: 'g', back: false, before: snapshot.sweep.tangents[edge.from], after: snapshot.sweep.added[edge.id] }));
}

function packetElement(hue) {
  const shape = s('rect'), text = s('text', { y: 0.5 });
  return { shape, text, group: s('g', { class: `packet ${hue}` }, shape, text), shown: '' };
}
function movePacket(packet, p, { unit, ink }) {
  const { road, part, back, before, after, group, shape, text } = packet;
  const at = back ? 1 - p : p;
  const { x, y } = pointOnRoad(road, at);
  const passed = back ? at < part : at > part;
  const said = fmt(passed ? after : before, 3);
  if (packet.shown !== said) {
    packet.shown = said;
    const width = pillWidth(said, ink) + 3;
    text.textContent = said;
    for (const [name, value] of [['x', -width / 2], ['y', -10 * unit], ['width', width], ['height', 20 * unit], ['rx', 10 * unit]]) shape.setAttribute(name, value);
  }
  group.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
}
