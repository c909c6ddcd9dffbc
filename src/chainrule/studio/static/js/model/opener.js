// Nothing is open yet, or something is being opened: what there is to choose from, and how far it is.

import { h, setText } from '../dom.js';
import { problemBox } from './doctor.js';

export function openerView({ runs, examples, models }, { onRun, onExample, onModel, error }) {
  const choice = (title, about, onclick) => h('li', {}, h('button', { class: 'choice', type: 'button', onclick }, h('b', {}, title), h('span', { class: 'small' }, about)));
  return h(
    'div',
    { class: 'opener' },
    error && problemBox(error),
    models.length > 0 && h('section', { class: 'card pad' }, h('h2', {}, 'Open'), h('ul', { class: 'choices' }, models.map(model => choice(model.name, model.state === 'ready' ? model.source.kind : model.state, () => onModel(model))))),
    h('section', { class: 'card pad' }, h('h2', {}, 'Examples'), h('p', { class: 'small' }, 'Each goes through one pass forward and back, on data that come with chainrule.'), h('ul', { class: 'choices' }, examples.map(({ name, about }) => choice(name, about, () => onExample(name))))),
    h(
      'section',
      { class: 'card pad' },
      h('h2', {}, 'Runs'),
      runs.length ? h('ul', { class: 'choices' }, runs.map(({ name, begun }) => choice(name, `begun ${new Date(begun * 1000).toLocaleString('en-GB')}`, () => onRun(name)))) : h('p', { class: 'small' }, 'There are none in the folder runs/ here. ', h('code', {}, 'chainrule train digits'), ' makes one.'),
    ),
    h(
      'section',
      { class: 'card pad' },
      h('h2', {}, 'Your own'),
      h('dl', { class: 'facts-list' }, h('dt', {}, 'a run'), h('dd', {}, h('code', {}, 'chainrule studio runs/latest')), h('dt', {}, 'a program'), h('dd', {}, h('code', {}, 'chainrule studio train.py')), h('dt', {}, 'in Python'), h('dd', {}, h('code', {}, 'chainrule.studio.models.examine(model, loss, x, y)'))),
    ),
  );
}

// How far the opening of a model is. It is kept while that changes: a button that is made anew between press and
// release does not hear the click.
export function openingView({ onStop }) {
  const title = h('h2', {}), bar = h('progress', { max: 1, 'aria-label': 'How far it is' }), doing = h('span', { class: 'small', role: 'status' });
  return {
    element: h('section', { class: 'card pad progress' }, title, bar, h('div', { class: 'row spread' }, doing, h('button', { class: 'btn', type: 'button', onclick: onStop }, 'Stop'))),
    update(status) {
      setText(title, `Opening ${status.name}`);
      setText(doing, `${status.doing} …`);
      if (status.share > 0) bar.value = status.share;
      else bar.removeAttribute('value');
    },
  };
}

// What was opened and has no model to show.
export function endedView(status, { onAgain, onOther }) {
  return h(
    'section',
    { class: 'card pad progress' },
    h('h2', {}, status.name),
    status.error ? problemBox(status.error) : h('p', { class: 'small' }, status.state === 'stopped' ? 'It was stopped before there was something to show.' : 'There is no model to show.'),
    onAgain &&
      h(
        'div',
        { class: 'row' },
        status.source.kind !== 'python' && h('button', { class: 'btn', type: 'button', onclick: onAgain }, status.state === 'stopped' ? 'Start again' : 'Try again'),
        onOther && h('button', { class: 'btn quiet', type: 'button', onclick: onOther }, 'Open …'),
      ),
  );
}
