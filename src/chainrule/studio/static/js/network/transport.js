// Losses over updates, the slider that rewinds, and what starts, pauses and steps.

import { clamp, grouped, h, paintRange, s, setAttr, setText } from '../dom.js';
import { fmt } from '../numbers.js';

const LOSS_WIDTH = 1000, LOSS_HEIGHT = 60;

// send(message) to the training. Of a recording, `recorded` says what it holds, and `held` are its updates.
export function networkTransport(choices, { send, onSeek, onStepOf, recorded, held }) {
  const train = s('path', { class: 'loss train' });
  const test = s('path', { class: 'loss test' });
  const here = s('path', { class: 'here' });
  const ticks = held && s('path', { class: 'ticks' });
  const chart = s('svg', { class: 'chart', viewBox: `0 0 ${LOSS_WIDTH} ${LOSS_HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, here, ...(held ? [ticks] : []), test, train);
  const scale = h('div', { class: 'chart-scale small num', 'aria-hidden': 'true' }, h('span', {}), h('span', {}, '0'));
  const dot = h('i', { class: 'chart-dot' });
  const slider = h('input', { type: 'range', min: 0, max: 1, value: 0, step: 1, 'aria-label': 'Update: rewinds training', style: { '--c': 'var(--ink)' } });
  const button = (label, text, action, kind = 'icon') => h('button', { class: `btn ${kind}`, 'aria-label': label, title: label, onclick: action }, text);
  const first = button('Start over', '⇤', () => onSeek(0));
  const back = button('One step back', '←', () => step(-1));
  const play = h('button', { class: 'btn main play', onclick: () => self.toggle() }, '▶ Train');
  const on = button('One step on', '→', () => step(1));
  const last = button('To the last update', '⇥', () => onSeek(self.furthest));
  const of = h('select', { 'aria-label': 'What a step is', onchange: event => onStepOf(event.target.value) }, h('option', { value: 'update' }, 'update'), h('option', { value: 'epoch' }, 'epoch'));
  const speed = h('select', { 'aria-label': 'Speed', onchange: event => send({ do: 'speed', value: Number(event.target.value) }) }, choices.speeds.map(one => h('option', { value: one.value }, one.value > 1 ? `${one.title} a second` : one.title)));
  const said = h('p', { class: 'small num said' });
  const problem = h('div', { class: 'error', role: 'alert', hidden: true });
  const lost = h('p', { class: 'small lost', role: 'status', hidden: true }, 'The connection is lost; trying again. Training pauses meanwhile.');
  const missing = h('p', { class: 'small missing', role: 'status', hidden: true });
  const buttons = h('div', { class: 'row buttons', role: 'group', 'aria-label': 'Training' }, first, back, play, on, last);
  const element = h(
    'div',
    { class: 'transport' },
    problem,
    h('div', { class: 'chart-box' }, chart, dot, scale, h('div', { class: 'chart-key small' }, h('span', { class: 'key-train' }, 'training'), h('span', { class: 'key-test' }, 'test'))),
    slider,
    h('div', { class: 'row controls' }, buttons, h('label', { class: 'small row tight' }, 'step', of), h('label', { class: 'small row tight' }, 'speed', speed), said),
    lost,
    recorded && missing,
    recorded && h('p', { class: 'small recorded' }, recorded),
  );
  const step = count => send({ do: 'step', of: of.value, count });
  const self = { element, furthest: 0, running: false, step, losses: null };
  let wanted = 0; // a frame that comes between input and change sets the slider back
  slider.addEventListener('input', () => {
    wanted = Number(slider.value);
    setAttr(slider, 'aria-valuetext', `update ${slider.value}`);
    paintRange(slider);
    send({ do: 'seek', update: wanted });
  });
  slider.addEventListener('change', () => onSeek(wanted));
  // From one recorded update to the next: the slider's own step of 1 would come back to where it was.
  if (held)
    slider.addEventListener('keydown', event => {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      send({ do: 'step', of: 'update', count: by });
    });
  self.toggle = () => send({ do: self.running ? 'pause' : 'train' });
  // On narrow pages the buttons stay in reach at the bottom of the screen.
  self.dock = place => {
    if (place) place.append(buttons);
    else element.querySelector('.controls').prepend(buttons);
    buttons.classList.toggle('docked', Boolean(place));
  };
  self.lost = isLost => (lost.hidden = !isLost);
  self.setStepOf = value => (of.value = value);
  self.update = frame => {
    const { status, losses } = frame;
    self.running = status.running || status.goal !== null;
    self.furthest = status.furthest;
    element.dataset.update = status.update;
    const doing = !recorded ? 'Train' : status.update < status.furthest ? 'Play' : 'Train on';
    setText(play, self.running ? '❚❚ Pause' : `▶ ${doing}`);
    missing.hidden = !frame.missing;
    setText(missing, frame.missing ?? '');
    speed.value = String(status.speed);
    first.disabled = back.disabled = status.update === 0;
    last.disabled = status.update >= status.furthest;
    const most = Math.max(1, status.furthest);
    setAttr(slider, 'max', most);
    if (document.activeElement !== slider || !slider.matches(':active')) slider.value = String(status.update);
    setAttr(slider, 'aria-valuetext', `update ${status.update} of ${status.furthest}, ${status.said}`);
    paintRange(slider);
    if (held) setAttr(ticks, 'd', held.map(update => `M${((update / most) * LOSS_WIDTH).toFixed(1)} ${LOSS_HEIGHT}v-4`).join(''));
    paintLosses({ train, test, here, scale, dot, chart }, losses, status, most);
    setText(said, transportText(status));
    problem.hidden = !status.problem;
    const text = status.problem ? `${status.problem.message}|${status.problem.fix}` : '';
    if (text && problem.dataset.text !== text) problem.replaceChildren(h('span', {}, status.problem.message), h('span', {}, `Try ${status.problem.fix}.`));
    problem.dataset.text = text;
  };
  return self;
}

const rightText = (right, count) => (right === null ? '' : `, ${grouped(right)} of ${grouped(count)} right`);

export function transportText(status) {
  const { now, examples } = status;
  const test = now.test === null ? '' : ` · test ${fmt(Number(now.test), 3)}${rightText(now.test_right, examples.test)}`;
  const where = status.per_epoch > 1 ? `update ${grouped(status.update)}, ${status.said}` : `epoch ${grouped(status.update)}`;
  const goal = status.goal === null ? '' : ` → ${grouped(status.goal)}`;
  return `${where}${goal} · loss ${fmt(Number(now.train), 3)}${rightText(now.train_right, examples.train)}${test}`;
}

function paintLosses({ train, test, here, scale, dot }, losses, status, most) {
  const numbers = [...losses.train, ...losses.test].map(Number).filter(x => Number.isFinite(x));
  // What grew without bounds is cut off: the rest would be a line at the bottom.
  const start = Number(losses.train[0]);
  const top = Math.max(1e-9, Math.min(Math.max(...numbers), Number.isFinite(start) && start > 0 ? 4 * start : Infinity));
  const x = update => (update / most) * LOSS_WIDTH;
  const y = loss => LOSS_HEIGHT - (clamp(loss, 0, top) / top) * (LOSS_HEIGHT - 3) - 1.5;
  const path = values => {
    let d = '';
    losses.updates.forEach((update, i) => {
      const value = values[i] === null ? NaN : Number(values[i]);
      if (Number.isFinite(value)) d += `${d ? 'L' : 'M'}${x(update).toFixed(1)} ${y(value).toFixed(2)}`;
    });
    return d;
  };
  setAttr(train, 'd', path(losses.train));
  setAttr(test, 'd', path(losses.test));
  setAttr(here, 'd', `M${x(status.update).toFixed(1)} 0V${LOSS_HEIGHT}`);
  dot.style.left = `${(100 * status.update) / most}%`;
  dot.style.top = `${(100 * y(Number.isFinite(Number(status.now.train)) ? Number(status.now.train) : top)) / LOSS_HEIGHT}%`;
  setText(scale.firstChild, fmt(top, 3));
}
