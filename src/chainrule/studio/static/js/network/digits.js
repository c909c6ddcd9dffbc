// The digits: each first unit's weights as a template, the image that is sent through, and the gradient of its loss.

import { h, plural, setAttr, setText } from '../dom.js';
import { fmt, percent } from '../numbers.js';
import { heatBytes, heatOf, heatPaint, heatScale } from './heat.js';

const DIGIT_SIDE = 8;

// onPick(number of the example).
export function networkDigits({ onPick, onSelect }) {
  const picks = h('div', { class: 'picks', role: 'group', 'aria-label': 'Images to send through' });
  const said = h('p', {});
  const image = h('canvas', { role: 'img' });
  const gradient = h('canvas', { role: 'img', 'aria-label': 'Gradient of the loss with respect to each pixel' });
  const grid = h('div', { class: 'digit-grid' });
  const title = h('h2', {});
  const element = h(
    'section',
    { class: 'card pad digits', hidden: true },
    h('div', { class: 'row spread' }, title, h('span', { class: 'small' }, '+ is blue or orange, − is grey')),
    picks,
    h('div', { class: 'digit-now' }, h('figure', {}, image, h('figcaption', { class: 'small' }, 'the image')), h('figure', {}, gradient, h('figcaption', { class: 'small' }, '∂E/∂x: more ink here raises the loss')), said),
    h('div', { class: 'table-scroll', tabindex: 0, role: 'region', 'aria-label': 'Templates' }, grid),
  );
  const self = { element, data: null, frame: null, colours: null, picks, said, image, gradient, grid, title };
  self.setData = data => {
    self.data = data;
    self.gridKey = self.picksKey = '';
    self.pixels = data.pixels ? heatBytes(data.pixels) : null;
  };
  self.themed = colours => {
    self.colours = colours;
    self.value = heatScale(colours.value, colours);
    self.orange = heatScale(colours.gradient, colours);
    self.ink = heatScale(colours.ink, colours);
    self.gridKey = self.picksKey = '';
    if (self.frame) self.update(self.frame);
  };
  self.update = frame => {
    self.frame = frame;
    element.hidden = frame.pictures.kind !== 'picture';
    if (element.hidden || !self.colours || !self.pixels) return;
    paintDigitPicks(self, onPick);
    paintDigitNow(self);
    paintDigitGrid(self, onSelect);
  };
  return self;
}

const digitPixels = (self, i) => Array.from(self.pixels.subarray(64 * i, 64 * i + 64), v => v / self.data.levels);

// One image of each class, and those that are read wrongly now.
function paintDigitPicks(self, onPick) {
  const { data, frame } = self;
  const firsts = data.classes.map((_, c) => data.tests.find(i => data.y[i] === c));
  const wrong = frame.pictures.wrong.filter(i => !firsts.includes(i)).slice(0, 12);
  const all = [...new Set([...firsts, ...wrong, frame.sample.point])];
  const key = all.join();
  if (self.picksKey !== key && !self.picks.contains(document.activeElement)) {
    self.picksKey = key;
    self.picks.replaceChildren(
      ...all.map(i => {
        const canvas = h('canvas', {});
        heatPaint(canvas, DIGIT_SIDE, DIGIT_SIDE, heatOf(digitPixels(self, i), 1), self.ink);
        const isWrong = frame.pictures.wrong.includes(i);
        return h('button', { 'data-point': i, class: isWrong ? 'wrong' : '', 'aria-label': `Image ${i} of a ${data.classes[data.y[i]]}${isWrong ? ', read wrongly' : ''}`, onclick: () => onPick(i) }, canvas);
      }),
    );
  }
  for (const button of self.picks.children) setAttr(button, 'aria-pressed', Number(button.dataset.point) === frame.sample.point);
}

function paintDigitNow(self) {
  const { sample, status, pictures } = self.frame;
  const x = sample.x.map(Number), g = sample.gradient.map(Number);
  heatPaint(self.image, DIGIT_SIDE, DIGIT_SIDE, heatOf(x, 1), self.ink);
  setAttr(self.image, 'aria-label', `Image of a ${sample.y}`);
  heatPaint(self.gradient, DIGIT_SIDE, DIGIT_SIDE, heatOf(g, Math.max(...g.map(Math.abs))), self.orange);
  const values = sample.output.values.map(Number);
  const right = self.data.classes.indexOf(sample.y), best = self.data.classes.indexOf(sample.chosen);
  const how = sample.output.name === 'p' ? k => percent(values[k]) : k => fmt(values[k], 3);
  const read = sample.right ? `read as ${sample.chosen} with ${how(best)}${Number(sample.loss) < 0.2 ? ': little error, so little gradient' : ', which is right'}.` : `read as ${sample.chosen} with ${how(best)}; its true class gets ${how(right)}.`;
  setText(self.said, `A ${sample.y}, ${read} Loss ${fmt(Number(sample.loss), 3)}. ${plural(pictures.wrong_count, 'test image')} of ${status.examples.test} ${pictures.wrong_count === 1 ? 'is' : 'are'} read wrongly.`);
}

function paintDigitGrid(self, onSelect) {
  const { frame, data } = self;
  const isLinear = frame.sizes.length === 2;
  const n = frame.sizes[1];
  const key = `${frame.sizes}`;
  if (self.gridKey !== key) {
    self.gridKey = key;
    setText(self.title, isLinear ? 'Each class’s weights are a template' : 'Each first unit’s weights are a template');
    self.cells = Array.from({ length: n }, (_, k) => ({ name: h('button', { class: 'link', onclick: () => onSelect({ layer: 2, unit: k + 1, into: null }) }), w: h('canvas', {}), bar: h('div', { class: 'probe' }, h('i', {})), d: h('span', { class: 'g num' }), g: h('canvas', {}) }));
    const line = (title, part) => [h('div', { class: 'head small' }, title), ...self.cells.map(c => h('div', { class: 'cell' }, c[part]))];
    self.grid.style.setProperty('--columns', n);
    self.grid.replaceChildren(...line('', 'name'), ...line('template: weights w', 'w'), ...line(isLinear ? 'output' : 'a', 'bar'), ...line('δ', 'd'), ...line('gradient ∂E/∂w = δ · image', 'g'));
  }
  const { w, gw } = frame.weights[0];
  const column = (rows, k) => rows.map(row => Number(row[k]));
  const columns = self.cells.map((_, k) => [column(w, k), column(gw, k)]);
  const top = [0, 1].map(i => Math.max(1e-12, ...columns.map(c => Math.max(...c[i].map(Math.abs)))));
  const row = frame.sample.layers[0];
  const values = (isLinear ? frame.sample.output.values : row.a).map(Number);
  const most = isLinear && frame.sample.output.name === 'p' ? 1 : Math.max(1e-9, ...values.map(Math.abs));
  self.cells.forEach((cell, k) => {
    setText(cell.name, isLinear ? data.classes[k] : `unit ${k + 1}`);
    cell.name.classList.toggle('true', isLinear && data.classes[k] === frame.sample.y);
    heatPaint(cell.w, DIGIT_SIDE, DIGIT_SIDE, heatOf(columns[k][0], top[0]), self.value);
    heatPaint(cell.g, DIGIT_SIDE, DIGIT_SIDE, heatOf(columns[k][1], top[1]), self.orange);
    cell.bar.firstChild.style.height = `${Math.max(2, (100 * Math.abs(values[k])) / most)}%`;
    cell.bar.classList.toggle('negative', values[k] < 0);
    setAttr(cell.bar, 'title', fmt(values[k]));
    setText(cell.d, fmt(Number(row.delta[k]), 2));
  });
}
