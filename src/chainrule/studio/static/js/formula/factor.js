// The factor line: where we are, the equation of this step with its numbers, and a sentence that says why.

import { h, m, setAttr, setText } from '../dom.js';
import { mathOf, paintMath } from '../mathtree.js';
import { mathText, rowText } from './mathtext.js';
import { narrationOf, readerOf } from './narration.js';

export function factorLine(session, { announce, isPlaying }) {
  const chip = h('span', { class: 'chip' }), count = h('span', { class: 'num' });
  const equation = h('div', { class: 'equation' }), say = h('p', { class: 'say' });
  const element = h('div', { class: 'factor' }, h('div', { class: 'factor-in' }, h('p', { class: 'kicker' }, chip, count), equation, say));
  let live = [], told = null, spokenAt = '', stepShown = '';

  const current = () => {
    const { trace, snapshot, mode } = session;
    const { event } = snapshot;
    return narrationOf(trace, event, mode, snapshot.partial.get(event.node) ?? 0);
  };
  const read = () => readerOf(session.numbers, session.snapshot);
  return {
    element,
    // Another step or another graph: the equation is built anew.
    step() {
      const { trace, mode, step, last } = session;
      told = current();
      const place = `${mode} ${step}`;
      chip.className = `chip ${told.hue}`;
      setText(chip, told.where);
      setText(count, `step ${step} of ${last}`);
      live = [];
      const chunk = (trees, name) => h('span', { class: `chunk ${name}` }, m('math', { displaystyle: 'true' }, m('mrow', {}, trees.map(tree => mathOf(tree, live)))));
      equation.replaceChildren(...told.chunks.map(trees => chunk(trees, '')), ...(told.side ? [chunk(told.side, 'aside')] : []));
      this.numbers();
      // A reader is told a step once, when it was made and not while all of them run by.
      if (stepShown && stepShown !== place && spokenAt !== place && !isPlaying() && trace) {
        spokenAt = place;
        announce(`${told.where}. ${spoken(told, read())} ${told.say(read())}`);
      }
      stepShown = place;
    },
    numbers() {
      const reader = read();
      paintMath(live, reader);
      setText(say, told.say(reader));
      setAttr(equation, 'data-way', told.hue || null);
    },
    current: () => told,
  };
}

const spoken = (told, read) => `${told.chunks.map(trees => rowText(trees, read)).join(' ')}.${told.side ? ` ${told.side.map(tree => mathText(tree, read)).join(' ')}.` : ''}`;
