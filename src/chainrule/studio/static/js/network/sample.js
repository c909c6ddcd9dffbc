// The example that is sent through: which one, what the network says of it, and buttons to the next.

import { grouped, h, setText } from '../dom.js';
import { fmt, percent } from '../numbers.js';

// onPick(number of the example); chosen() is the one that was picked last, of which there may be no frame yet, or none.
export function sampleBar({ onPick, chosen }) {
  const title = h('h2', {});
  const said = h('p', { class: 'small' });
  const button = (text, label, by) => h('button', { class: 'btn icon', 'aria-label': label, title: label, onclick: () => self.next(by) }, text);
  const element = h('div', { class: 'sample' }, h('div', { class: 'row spread' }, title, h('div', { class: 'row tight' }, button('‹', 'Previous example (p)', -1), button('›', 'Next example (n)', 1))), said);
  const self = { element, data: null };
  self.setData = data => (self.data = data);
  self.next = by => {
    if (self.data) onPick((chosen() + by + self.data.count) % self.data.count);
  };
  self.update = frame => {
    const { sample } = frame;
    setText(title, `Example ${grouped(sample.point + 1)} of ${grouped(self.data.count)}${sample.test ? ', for testing' : ''}`);
    setText(said, sampleText(sample, self.data));
  };
  return self;
}

function sampleText(sample, data) {
  const loss = `Its loss is ${fmt(Number(sample.loss), 3)}.`;
  const values = sample.output.values.map(Number);
  if (data.kind === 'numbers') return `It should be ${fmt(Number(sample.y))}; the network says ${fmt(values[0])}. ${loss}`;
  const k = data.classes.indexOf(sample.chosen);
  const sure = sample.output.name === 'p' ? percent(values.length === 1 ? (k ? values[0] : 1 - values[0]) : values[k]) : `ŷ = ${fmt(values.length === 1 ? values[0] : values[k], 3)}`;
  return `${data.target === 'y' ? 'Class' : data.picture ? 'A' : `${data.target}:`} ${sample.y}, read as ${sample.chosen} (${sure}): ${sample.right ? 'right' : 'wrong'}. ${loss}`;
}
