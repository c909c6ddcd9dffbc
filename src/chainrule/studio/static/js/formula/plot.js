// The result along one variable: curve, tangent, zoom, and gradient descent running down it.

import { framed, h, m, paintRange, setAttr, setText } from '../dom.js';
import { mathLine, mathOf, paintMath } from '../mathtree.js';
import { fmt } from '../numbers.js';
import { curvePath, curvePoints, heightOf, roundTicks, windowOf } from './curve.js';
import { descentVerdict, makeDescent, powerOf, rateAt, RATE_POWERS } from './descent.js';
import { inHue, infix, letterMark, partialMark } from './letters.js';
import { inLaterFrame } from './inspector.js';
import { plotArt } from './plotart.js';

const LARGE = 300; // nodes, from which on the curve waits until a slider rests
const WAIT = 150, SPOKEN = 500;

export function plotPanel(session) {
  const heading = h('h2', {}), along = h('select', { 'aria-label': 'Variable on the axis', onchange: () => session.select(Number(along.value)) });
  const art = plotArt();
  const zoom = h('input', { type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': 'Zoom into the point' });
  const rate = h('input', { type: 'range', min: RATE_POWERS[0], max: RATE_POWERS[1], step: 0.02, class: 'of-gradient', 'aria-label': 'Learning rate' });
  const zoomOut = h('output', {}), rateOut = h('output', {}), equation = h('div', { class: 'wrap descent-line' }), verdict = h('p', { class: 'small verdict' }), spoken = h('p', { class: 'sr', 'aria-live': 'polite' });
  let live = [], stopped = '', held = null, timer, speaking;
  const descent = makeDescent(session, text => {
    stopped = text;
    if (text) setText(verdict, text);
  });
  const back = h('button', { class: 'btn quiet', onclick: descent.back }, 'Back');
  const element = h(
    'section',
    { class: 'card pad plot-panel', 'aria-label': 'Plot' },
    h('div', { class: 'row spread' }, heading, along),
    art.element,
    h('div', { class: 'ctls' }, h('label', { class: 'ctl' }, h('span', {}, 'zoom'), zoom, zoomOut), h('label', { class: 'ctl' }, h('span', {}, 'learning rate'), rate, rateOut)),
    equation,
    h('div', { class: 'row' }, h('button', { class: 'btn', title: 'One step down the slope (d)', onclick: () => descent.steps(1) }, 'Descend'), h('button', { class: 'btn', onclick: () => descent.steps(20) }, '20 steps'), back),
    verdict,
    spoken,
  );
  session.descend = k => descent.steps(k ?? 1);

  let builtFor = null;
  function build() {
    const { trace } = session, node = session.along, result = trace.nodes[trace.result];
    element.hidden = !node;
    builtFor = node;
    if (!node) return;
    descent.stop();
    stopped = '';
    heading.replaceChildren(mathLine(letterMark(result)), ' along ', mathLine(letterMark(node)), ' and its slope');
    along.replaceChildren(...session.variables.map(one => h('option', { value: one.id }, `along ${one.text}`)));
    along.value = node.id;
    along.hidden = session.variables.length < 2;
    live = [];
    const number = (ref, style) => mathOf(['num', ref, style], live);
    equation.replaceChildren(
      mathLine(letterMark(node), infix('←'), letterMark(node), infix('−'), m('mi', {}, 'η'), m('mspace', { width: '0.12em' }), inHue('g', partialMark(result, node))),
      mathLine(infix('='), number('v:x'), infix('−'), number('rate'), infix('·'), number('g:slope', 'factor')),
      mathLine(infix('='), inHue('res', number('v:next'))),
    );
    paint();
  }
  function paint() {
    const node = session.trace && session.along;
    if (!node || !art.width) return;
    const x = session.inputs[node.name], y = session.numbers.values[session.trace.result], slope = session.numbers.gradients[node.id];
    const next = x - session.rate * slope;
    const at = t => session.numbers.at(session.inputList({ [node.name]: t })).value;
    paintMath(live, ref => ({ 'v:x': x, rate: session.rate, 'g:slope': slope, 'v:next': next })[ref]);
    const frame = held ?? windowOf(x, { reach: node.range[1], zoom: session.zoom, trail: session.trail });
    art.paint(plotScene(session, { x, y, slope, at, frame }));
    setText(verdict, stopped || descentVerdict(session, { next: at(next), curvature: curvatureAt(session, node, x) }));
    speak();
    for (const [slider, value, zero] of [[zoom, session.zoom, 0], [rate, powerOf(session.rate), RATE_POWERS[0]]]) {
      if (Number(slider.value) !== value) slider.value = value;
      paintRange(slider, zero);
    }
    setText(zoomOut, `±${fmt(frame.half, 2)}`);
    setText(rateOut, fmt(session.rate, 3));
    setAttr(zoom, 'aria-valuetext', `${node.text} from ${fmt(frame.low, 3)} to ${fmt(frame.high, 3)}`);
    setAttr(rate, 'aria-valuetext', fmt(session.rate, 3));
    back.disabled = session.trail.length < 2;
  }
  // A descent is told when it rests; what a slider does is heard from the slider.
  function speak() {
    clearTimeout(speaking);
    if (session.trail.length || stopped) speaking = setTimeout(() => setText(spoken, verdict.textContent), SPOKEN);
  }
  const soon = framed(paint), later = inLaterFrame(paint);
  session.follow('trace', build);
  session.follow('view', () => (session.along === builtFor ? soon() : build()));
  session.follow('numbers', () => {
    if (!session.trail.length) {
      stopped = '';
      descent.stop();
    }
    clearTimeout(timer);
    if (session.trace.nodes.length > LARGE) timer = setTimeout(paint, WAIT);
    else later();
  });
  const slide = (slider, read) => {
    slider.addEventListener('input', () => session.change(read(), { commit: false }));
    slider.addEventListener('change', () => session.change(read()));
  };
  slide(zoom, () => ({ zoom: Number(zoom.value) }));
  slide(rate, () => ({ rate: rateAt(Number(rate.value)) }));
  art.onResize(paint);
  // The point follows the pointer; the window stays where it is meanwhile.
  art.onDrag({
    start: () => (held = art.frame),
    move: t => Number.isFinite(t) && session.setVariable(session.along.name, t, { done: false }),
    end() {
      held = null;
      session.setVariable(session.along.name, session.inputs[session.along.name]);
    },
  });
  return element;
}

// All that is drawn, in the function's own numbers.
function plotScene(session, { x, y, slope, at, frame }) {
  const node = session.along, result = session.trace.nodes[session.trace.result];
  const { points, even } = curvePoints(at, frame.low, frame.high);
  const trail = session.trail.map(t => [t, at(t)]);
  let { low, high } = heightOf(even);
  for (const [, value] of [[x, y], ...trail.filter(([t]) => t >= frame.low && t <= frame.high)]) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const least = leastHeight(session, at, frame, slope, high - low);
  if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
  const air = (high - low) * 0.1;
  return {
    x, y, slope, trail, points,
    frame: { ...frame, bottom: low - air, top: high + air },
    path: (toX, toY) => curvePath(points, toX, toY, { height: high - low, width: frame.high - frame.low }),
    ticks: { across: count => roundTicks(frame.low, frame.high, count), up: count => roundTicks(low - air, high + air, count) },
    label: `${result.text} = ${fmt(y)}`,
    spoken: `${result.text} as a function of ${node.text}: at ${fmt(x)} the value is ${fmt(y)} and the slope ${fmt(slope)}`,
  };
}

// A window is not stretched so far that the tangent of a bottom would never look flat, nor noise like hills.
function leastHeight(session, at, frame, slope, height) {
  const y = session.numbers.values[session.trace.result];
  const noise = Math.max(1e-12, Number.isFinite(y) ? 1e-13 * Math.abs(y) : 0);
  if (!session.zoom) return noise;
  const whole = [];
  for (let i = 0; i <= 24; i += 1) whole.push(at(-frame.wide + (frame.wide * i) / 12));
  const all = heightOf(whole), share = (all.high - all.low || height) / (2 * frame.wide);
  return Math.max(noise, (Number.isFinite(slope) ? Math.max(Math.abs(slope), 0.05 * share) : 0) * 2 * frame.half);
}

// The second derivative along the variable, from two slopes.
function curvatureAt(session, node, x) {
  const d = 1e-4 * (1 + Math.abs(x));
  const [before, after] = [-d, d].map(step => session.numbers.at(session.inputList({ [node.name]: x + step }), node.id).slope);
  return (after - before) / (2 * d);
}
