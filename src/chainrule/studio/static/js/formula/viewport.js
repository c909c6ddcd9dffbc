// The window onto the stage: its size, scrolling, dragging, zooming. Sizes are told by an observer and kept, so that
// nothing is measured while numbers change.

import { clamp, framed, h, setText } from '../dom.js';
import { SCALES } from './session.js';

const FINEST = 1.25;
const DIGIT = 0.62; // of Inter's

// `onRoom` is called when the room or the zoom is another one, `onMove` when what is seen of it is.
export function stageViewport(session, { onRoom, onMove }) {
  const inner = h('div', { class: 'graph-in' });
  const scroller = h('div', { class: 'graph', tabindex: -1 }, inner);
  const button = (sign, label, title, act) => h('button', { class: 'btn icon quiet', type: 'button', 'aria-label': label, title, onclick: act }, sign);
  const percent = h('span', { class: 'num small', 'aria-live': 'polite' });
  const zoom = h(
    'div',
    { class: 'zoom', role: 'group', 'aria-label': 'Zoom' },
    button('−', 'Zoom out', 'Zoom out (Ctrl+wheel)', () => by(1 / FINEST ** 2)),
    percent,
    button('+', 'Zoom in', 'Zoom in (Ctrl+wheel)', () => by(FINEST ** 2)),
    button('⤢', 'Fit', 'Fit the graph into the room', fit),
  );
  const element = h('div', { class: 'graph-frame' }, scroller, zoom);
  const room = { width: 0, height: 0, unit: 1, digit: DIGIT };
  let world = { width: 0, height: 0 }, kept = null;
  const seen = { x: 0, y: 0, width: 0, height: 0 };

  const heightRoom = () => Math.max(420 * room.unit, Math.min(window.innerHeight * 0.62, 1400 * room.unit));
  const measured = framed(() => {
    const width = scroller.clientWidth;
    if (!width) return;
    const unit = (parseFloat(getComputedStyle(scroller).getPropertyValue('--u')) || 15) / 15;
    const height = ((room.unit = unit), heightRoom());
    if (Math.abs(width - room.width) < 1 && Math.abs(height - room.height) < 1 && unit === room.unitShown) return;
    Object.assign(room, { width, height, unitShown: unit, digit: digitWidth(scroller) });
    onRoom();
  });
  new ResizeObserver(measured).observe(scroller);
  window.addEventListener('resize', measured);
  const moved = framed(() => {
    seen.x = scroller.scrollLeft;
    seen.y = scroller.scrollTop;
    onMove();
  });
  scroller.addEventListener('scroll', moved, { passive: true });

  // The usual size; where that is larger than the room, all of it.
  function fit() {
    const whole = Math.min(room.width / world.width, room.height / world.height);
    by(session.scale === 1 && whole < 0.98 ? whole : 1 / session.scale);
  }
  // Zooms and leaves the point at (x, y) of the window where it is.
  function by(factor, x = room.width / 2, y = seen.height / 2) {
    const scale = clamp(session.scale * factor, ...SCALES);
    if (scale === session.scale || !session.trace) return;
    kept = { x, y, left: (scroller.scrollLeft + x) / world.width, top: (scroller.scrollTop + y) / world.height };
    session.change({ scale: Math.abs(scale - 1) < 0.02 ? 1 : Number(scale.toPrecision(4)) }, { commit: false });
  }
  scroller.addEventListener(
    'wheel',
    event => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = scroller.getBoundingClientRect();
      by(Math.exp(-clamp(event.deltaY, -60, 60) / 150), event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );
  dragToPan(scroller);
  pinchToZoom(scroller, by);

  return {
    element,
    inner,
    room,
    seen,
    // The stage is so large now. What was under the pointer stays there.
    resize(width, height) {
      world = { width, height };
      inner.style.width = `${Math.ceil(width)}px`;
      inner.style.height = `${Math.ceil(height)}px`;
      Object.assign(seen, { width: room.width, height: Math.min(height, room.height) });
      scroller.style.height = `${Math.ceil(Math.min(height, room.height)) + (width > room.width + 1 ? 12 : 0)}px`;
      element.classList.toggle('large', width > room.width + 1 || height > room.height + 1);
      setText(percent, session.scale === 1 ? '' : `${Math.round(session.scale * 100)} %`);
      if (kept) {
        seen.x = kept.left * width - kept.x;
        seen.y = kept.top * height - kept.y;
        scroller.scrollLeft = seen.x;
        scroller.scrollTop = seen.y;
        kept = null;
      }
      seen.x = clamp(seen.x, 0, Math.max(0, width - seen.width));
      seen.y = clamp(seen.y, 0, Math.max(0, height - seen.height));
    },
    // Brings a box into view, if it is not.
    reveal(box) {
      const margin = 12;
      const inside = (at, size, from, room) => (at - size / 2 - margin < from ? at - size / 2 - margin - from : at + size / 2 + margin > from + room ? at + size / 2 + margin - from - room : 0);
      const dx = inside(box.x, box.w, seen.x, seen.width), dy = inside(box.y, box.h, seen.y, seen.height);
      if (dx || dy) scroller.scrollBy(dx, dy);
    },
    point(event) {
      const box = inner.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    },
  };
}

// How wide a bold digit of the page's font is, in its size: what registers and pills are reckoned with.
function digitWidth(element) {
  const context = document.createElement('canvas').getContext('2d');
  if (!context) return DIGIT;
  context.font = `600 100px ${getComputedStyle(element).fontFamily}`;
  return context.measureText('0').width / 100 || DIGIT;
}

function dragToPan(scroller) {
  let from = null;
  scroller.addEventListener('pointerdown', event => {
    if (event.pointerType === 'touch' || event.button !== 0 || event.target.closest('.node')) return;
    from = { x: event.clientX + scroller.scrollLeft, y: event.clientY + scroller.scrollTop };
  });
  scroller.addEventListener('pointermove', event => {
    if (!from || !(event.buttons & 1)) {
      from = null;
      return;
    }
    scroller.scrollLeft = from.x - event.clientX;
    scroller.scrollTop = from.y - event.clientY;
  });
}

function pinchToZoom(scroller, by) {
  const touches = new Map();
  let apart = 0;
  const spread = () => {
    const [a, b] = [...touches.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  const keep = event => touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
  scroller.addEventListener('pointerdown', event => {
    if (event.pointerType !== 'touch') return;
    keep(event);
    if (touches.size === 2) apart = spread();
  });
  scroller.addEventListener('pointermove', event => {
    if (!touches.has(event.pointerId)) return;
    keep(event);
    if (touches.size !== 2 || !apart) return;
    const now = spread(), [a, b] = [...touches.values()], box = scroller.getBoundingClientRect();
    if (Math.abs(Math.log(now / apart)) < 0.04) return;
    by(now / apart, (a.x + b.x) / 2 - box.left, (a.y + b.y) / 2 - box.top);
    apart = now;
  });
  const drop = event => {
    touches.delete(event.pointerId);
    apart = 0;
  };
  for (const name of ['pointerup', 'pointercancel', 'pointerleave']) scroller.addEventListener(name, drop);
}
