// A blue number that can be dragged: sideways with the pointer, with arrows from the keyboard, like a slider.

import { setAttr } from '../dom.js';

const PIXELS = 220; // over a variable's whole range

// Numbers as a hand sets them: in steps of one, two or five of some power of ten.
export function stepOf(range) {
  const rough = range / 200;
  const power = 10 ** Math.floor(Math.log10(rough));
  const lead = rough / power;
  return (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10) * power;
}
export const onStep = (x, step) => Number((Math.round(x / step) * step).toPrecision(12));

// Makes `target` a slider of the variable that `nodeOf` gives.
export function numberDrag(target, session, nodeOf) {
  setAttr(target, 'role', 'slider');
  let from = null;
  const step = () => {
    const [low, high] = nodeOf().range;
    return stepOf(high - low);
  };
  const value = () => session.inputs[nodeOf().name];
  const set = (x, done) => session.setVariable(nodeOf().name, x, { done });
  target.addEventListener('pointerdown', event => {
    if (event.button !== 0 || event.shiftKey) return;
    from = { x: event.clientX, value: Number.isFinite(value()) ? value() : 0, moved: false };
    target.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  target.addEventListener('pointermove', event => {
    if (!from) return;
    const moved = event.clientX - from.x;
    if (!from.moved && Math.abs(moved) < 3) return;
    from.moved = true;
    const [low, high] = nodeOf().range;
    const next = onStep(from.value + (moved / PIXELS) * (high - low), step());
    if (next !== value()) set(next, false);
  });
  const end = event => {
    if (!from) return;
    if (from.moved) {
      set(value(), true);
      target.dataset.dragged = '1'; // the click that follows selects nothing
    }
    from = null;
    if (target.hasPointerCapture(event.pointerId)) target.releasePointerCapture(event.pointerId);
  };
  target.addEventListener('pointerup', end);
  target.addEventListener('pointercancel', end);
  target.addEventListener('click', event => {
    if (!target.dataset.dragged) return;
    delete target.dataset.dragged;
    event.stopPropagation();
  });
  target.addEventListener('keydown', event => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    const to = { Home: nodeOf().range[0], End: nodeOf().range[1] }[event.key];
    if ((by === undefined && to === undefined) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    set(to ?? onStep(value() + by * step() * (event.shiftKey ? 10 : 2), step()), true);
  });
}
