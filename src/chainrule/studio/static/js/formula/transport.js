// Play, step, and the score of all events: a cell for each, blue while values go forward, orange while gradients go back.

import { clamp, h, m, plural, setAttr, setText } from '../dom.js';
import { mathOf } from '../mathtree.js';
import { narrationOf } from './narration.js';

const MOST_CELLS = 200;
const MOST_LETTERS = 30;
const SPEEDS = [[0.5, '½ ×'], [1, '1 ×'], [2, '2 ×'], [4, '4 ×']];

export function transportBar(session, player, { onTable }) {
  const cells = h('div', { class: 'cells', 'aria-hidden': 'true' });
  const scrub = h('input', { type: 'range', min: 0, step: 1, 'aria-label': 'Step' });
  const toLeft = h('span', {}, 'values forward →'), toRight = h('span', {});
  const stops = h('p', { class: 'stop-list' });
  const icon = (label, title, sign, act) => h('button', { class: 'btn icon', type: 'button', title, 'aria-label': label, onclick: act }, sign);
  const first = icon('First step', 'First step (Home)', '⇤', () => player.to(0));
  const back = icon('Step back', 'Step back (←)', '←', () => player.to(session.step - 1));
  const play = h('button', { class: 'btn play', type: 'button', title: 'Play or pause (Space)', onclick: player.toggle });
  const next = icon('Step', 'Step (→)', '→', player.next);
  const last = icon('Last step', 'Last step (End)', '⇥', () => player.to(Infinity));
  const count = h('span', { class: 'num count' });
  const speed = h('select', { 'aria-label': 'Speed', title: 'Speed', onchange: () => session.change({ speed: Number(speed.value) }) }, SPEEDS.map(([value, text]) => h('option', { value }, text)));
  const modes = ['reverse', 'forward'].map(mode => h('button', { class: 'btn', type: 'button', role: 'radio', 'data-mode': mode, onclick: () => setMode(mode) }, mode === 'reverse' ? 'Reverse' : 'Forward'));
  const segments = h('div', { class: 'seg', role: 'radiogroup', 'aria-label': 'Mode', onkeydown: turn, onmousedown: event => event.preventDefault() }, modes);
  const constants = h('input', { type: 'checkbox', onchange: () => session.change({ constants: constants.checked }) });
  const table = h('button', { class: 'btn steps', type: 'button', 'aria-expanded': 'false', title: 'All steps as a table, to read and to copy', onclick: onTable }, 'Steps');
  const bar = h('div', { class: 'transport', role: 'group', 'aria-label': 'Transport' }, h('div', { class: 'score' }, cells, scrub, h('div', { class: 'score-labels', 'aria-hidden': 'true' }, toLeft, toRight)), h('div', { class: 'row buttons' }, first, back, play, next, last, count));
  const options = h('div', { class: 'row options' }, speed, segments, h('label', { class: 'row small' }, constants, 'constants'), table);
  const element = h('div', { class: 'controls' }, bar, options, stops);
  let events = [], filled = -1;
  const letters = [];

  function setMode(mode) {
    if (mode === session.mode) return;
    player.pause();
    session.change({ mode });
  }
  // Arrows turn the switch once it has the focus, which only the keyboard gives it: after a click they step.
  function turn(event) {
    if (!/^Arrow/.test(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const other = modes.find(button => button.dataset.mode !== session.mode);
    if (other.disabled) return;
    setMode(other.dataset.mode);
    other.focus();
  }
  scrub.addEventListener('input', () => {
    player.pause();
    session.go(Number(scrub.value));
  });
  scrub.addEventListener('change', () => session.write(true));
  scrub.addEventListener('pointerdown', event => {
    if (!event.shiftKey) return;
    event.preventDefault();
    const box = cells.getBoundingClientRect();
    const at = Math.floor(clamp((event.clientX - box.left) / box.width, 0, 0.999) * (events.length - 1)) + 1;
    const { node } = events[at] ?? {};
    if (node !== undefined) session.toggleBreakpoint(node);
  });

  const SIGNS = { sum: '+', done: '∎', seed: '1' };
  const cellLetter = event => SIGNS[event.t] ?? JSON.stringify(session.trace.nodes[event.node].letter);
  const cellText = event => SIGNS[event.t] ?? m('math', {}, mathOf(session.trace.nodes[event.node].letter));
  // Cells are kept: an edit changes their number and their hues, seldom what they say.
  function buildCells() {
    const few = events.length - 1 <= MOST_LETTERS, none = events.length - 1 > MOST_CELLS;
    element.classList.toggle('plain', none);
    const wanted = none ? [] : events.slice(1);
    while (cells.children.length > wanted.length) cells.lastChild.remove();
    wanted.forEach((event, i) => {
      const name = `cell${event.t === 'value' ? '' : ' back'}${event.t === 'seed' || event.t === 'tseed' ? ' turn' : ''}`;
      const cell = cells.children[i] ?? cells.appendChild(h('span', {}));
      if (cell.className !== name) cell.className = name;
      const letter = few ? cellLetter(event) : '';
      if (letters[i] === letter) return;
      letters[i] = letter;
      cell.replaceChildren(...(few ? [cellText(event)] : []));
    });
    letters.length = wanted.length;
    filled = 0;
  }
  return {
    element,
    table,
    // Another list of events.
    build() {
      const { trace, mode } = session;
      if (events === session.events) return;
      events = session.events;
      buildCells();
      scrub.max = session.last;
      const seed = events.findIndex(event => event.t === 'seed' || event.t === 'tseed');
      element.style.setProperty('--turn', seed < 0 ? 1 : (seed - 1) / Math.max(1, session.last));
      setText(toRight, mode === 'reverse' ? '← gradients back, all at once' : `derivatives forward →, ${plural(trace.variables.length, 'sweep')}, one for each input`);
      modes[1].disabled = !trace.events.forward;
      setAttr(modes[1], 'title', trace.events.forward ? null : 'Forward mode has too many steps here: one sweep for each input');
    },
    paint() {
      const { step, trace } = session, end = session.last;
      if (Number(scrub.value) !== step) scrub.value = step;
      scrub.style.setProperty('--at', end ? step / end : 0);
      const { event, partial } = session.snapshot;
      setAttr(scrub, 'aria-valuetext', `step ${step} of ${end}: ${narrationOf(trace, event, session.mode, partial.get(event.node) ?? 0).where}`);
      const kids = cells.children;
      for (let i = Math.min(filled, step); i < Math.min(Math.max(filled, step), kids.length); i += 1) kids[i].classList.toggle('on', i < step);
      filled = step;
      setText(count, `${step} / ${end}`);
      setText(play, player.playing ? '❚❚ Pause' : step === end ? '↻ Replay' : '▶ Play');
      first.disabled = back.disabled = step === 0;
      next.disabled = last.disabled = step === end;
      for (const button of modes) {
        const chosen = button.dataset.mode === session.mode;
        setAttr(button, 'aria-checked', String(chosen));
        button.tabIndex = chosen ? 0 : -1;
      }
      constants.checked = session.constants;
      speed.value = String(session.speed);
      paintStops(trace);
    },
  };
  function paintStops(trace) {
    const names = [...session.breakpoints].filter(name => trace.nodes.some(node => node.name === name));
    const marked = new Set(names);
    [...cells.children].forEach((cell, i) => {
      const { node } = events[i + 1];
      const stop = node !== undefined && marked.has(trace.nodes[node].name);
      if (cell.classList.contains('stops') !== stop) cell.classList.toggle('stops', stop);
    });
    stops.hidden = !names.length;
    setText(stops, names.length ? `Playing stops at ${names.join(', ')}. (b or Shift+click on a node changes that.)` : '');
  }
}
