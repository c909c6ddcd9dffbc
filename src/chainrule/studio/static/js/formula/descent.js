// Gradient descent along one variable: x ← x − η ∂f/∂x, step by step, and what each step says.

import { clamp, plural, wantsLessMotion } from '../dom.js';
import { fmt } from '../numbers.js';

const PAUSE = 180;
const FARTHEST = 1e9;

// {steps(k), back(), stop()}; `told` is called with a message when the descent cannot go on.
export function makeDescent(session, told) {
  let run = 0;
  function hop(left, turn) {
    const node = session.along;
    if (turn !== run || !node) return;
    const x = session.inputs[node.name], to = x - session.rate * session.numbers.gradients[node.id];
    if (!Number.isFinite(to) || Math.abs(to) > FARTHEST * (1 + Math.abs(session.trail[0] ?? x))) {
      told(Number.isNaN(to) ? 'The gradient is not a number here: no step can be taken.' : 'The steps leave the range of numbers: the learning rate is far too large.');
      session.write(true);
      return;
    }
    if (!session.trail.length) session.trail = [x];
    session.trail = [...session.trail, to];
    session.setVariable(node.name, to, { done: left <= 1, descending: true });
    if (left <= 1) return;
    if (wantsLessMotion()) hop(left - 1, turn);
    else setTimeout(() => hop(left - 1, turn), PAUSE);
  }
  const self = {
    stop: () => (run += 1),
    steps(k) {
      told('');
      hop(k, ++run);
    },
    back() {
      run += 1;
      const [first] = session.trail;
      if (first === undefined) return;
      session.trail = [];
      told('');
      session.setVariable(session.along.name, first);
    },
  };
  return self;
}

// What is to be said about the next step: `next` is the value that it would give.
export function descentVerdict(session, { next, curvature }) {
  const node = session.along, { values, gradients } = session.numbers;
  const y = values[session.trace.result], slope = gradients[node.id];
  const steps = session.trail.length - 1, given = node.data ? ` ${node.text} is data: training would leave it as it is.` : '';
  const after = steps > 0 ? `After ${plural(steps, 'step')} ` : '';
  if (!Number.isFinite(y) || !Number.isFinite(slope)) return 'Without a finite value and slope there is nothing to descend.';
  if (Math.abs(slope) < 1e-3 * Math.min(1, 1e-2 + Math.abs(y)) || session.rate * slope * slope < 1e-12 * Math.abs(y)) {
    return `${after ? `${after}the` : 'The'} slope is almost 0: a bottom, a top or a plateau. Descent stops here.`;
  }
  if (!(next <= y + 1e-12 * Math.abs(y))) {
    const limit = curvature > 0 ? 2 / curvature : NaN;
    const hint = limit < session.rate ? ` With this bend, rates below about ${fmt(limit, 2)} go down.` : '';
    return `The next step would go uphill, from ${fmt(y)} to ${fmt(next)}: the learning rate overshoots the valley.${hint}`;
  }
  if (session.zoom > 0.75) return 'Up close a curve is its tangent. This is all that training ever sees.';
  const far = steps > 0 ? `${after}${fmt(y)}. ` : '';
  return `${far}The tangent promises ${fmt(-session.rate * slope * slope)}, the step delivers ${fmt(next - y)}.${given}`;
}

// Learning rates on a slider whose steps are factors.
export const RATE_POWERS = [-4, 2];
export const rateAt = power => Number((10 ** clamp(power, ...RATE_POWERS)).toPrecision(3));
export const powerOf = rate => clamp(Math.log10(rate), ...RATE_POWERS);
