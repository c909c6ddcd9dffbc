// Article 003: the gradient of a chain of layers is a product of matrices, and the order in which they are multiplied
// decides what it costs. Counts are exact, as big integers.

import { grouped, h, m, setAttr, setText } from '../dom.js';
import { mathFraction, mathJoin, mathLine } from '../mathtree.js';
import { fmt } from '../numbers.js';
import { ledgerRow } from './ledger.js';
import { infix } from './letters.js';

const SIZED = ['x', 'z1', 'z2', 'z3'], USUAL_SIZES = [784, 128, 32, 10];
const LARGEST = 1_000_000_000;
// Sizes in each product; 1 is the loss itself.
const FROM_LOSS = [[1, 'z3', 'z2'], [1, 'z2', 'z1'], [1, 'z1', 'x']];
const FROM_INPUT = [['z2', 'z1', 'x'], ['z3', 'z2', 'x'], [1, 'z3', 'x']];

const sizeLetter = name => (name === 'x' ? m('mi', { mathvariant: 'normal', class: 'bold' }, 'x') : m('msub', {}, m('mi', {}, 'z'), m('mn', {}, name[1])));
const sizeMark = name => m('mrow', {}, m('mo', { form: 'prefix', stretchy: 'false' }, '|'), sizeLetter(name), m('mo', { form: 'postfix', stretchy: 'false' }, '|'));
const derivative = (above, below) => mathFraction(m('mrow', {}, m('mo', { form: 'prefix', rspace: '0' }, '∂'), above === 'loss' ? m('mi', {}, 'ℓ') : sizeLetter(above)), m('mrow', {}, m('mo', { form: 'prefix', rspace: '0' }, '∂'), sizeLetter(below)));

const isSize = size => Number.isInteger(size) && size >= 1 && size <= LARGEST;

export function layerSums(session) {
  const sizes = Object.fromEntries(SIZED.map(name => [name, 1]));
  const loss = orderRow('From the loss back', 'This is backpropagation. Article 003 calls it the forwards computation.', FROM_LOSS);
  const input = orderRow('From the input on', 'Article 003 calls it the backwards computation: the input is in every product.', FROM_INPUT);
  const ratio = h('p', { class: 'small', 'aria-live': 'polite' });
  const chain = mathLine(derivative('loss', 'x'), infix('='), ...mathJoin([derivative('loss', 'z3'), derivative('z3', 'z2'), derivative('z2', 'z1'), derivative('z1', 'x')], '·'));
  const fields = SIZED.map(name => h('input', { type: 'number', min: 1, max: LARGEST, step: 1, 'aria-label': `Size of ${name}` }));
  const given = commit => {
    const found = fields.map(field => Number(field.value));
    fields.forEach((field, i) => tellSize(field, isSize(found[i])));
    if (found.every(isSize)) session.change({ layers: found.join() }, { commit });
  };
  for (const field of fields) {
    field.addEventListener('input', () => given(false));
    field.addEventListener('change', () => given(true));
  }
  function read() {
    const written = session.layers.split(',').map(Number);
    const found = written.length === SIZED.length && written.every(isSize) ? written : USUAL_SIZES;
    SIZED.forEach((name, i) => {
      sizes[name] = found[i];
      if (Number(fields[i].value) !== found[i]) fields[i].value = found[i];
      tellSize(fields[i], true);
    });
    paint();
  }
  function paint() {
    const totals = [loss.paint(sizes), input.paint(sizes)];
    const most = totals[0] > totals[1] ? totals[0] : totals[1];
    loss.bar(totals[0], most);
    input.bar(totals[1], most);
    const times = Number(totals[1]) / Number(totals[0]);
    setText(ratio, times > 1 ? `The same gradient, with ${fmt(times, 3)} times as many multiplications from the input on.` : 'With a single input both orders cost the same.');
  }
  let shown = null;
  session.on('trace view', () => {
    if (session.layers === shown) return;
    shown = session.layers;
    read();
  });
  return h('section', { class: 'card pad layer-sums', 'aria-label': 'The same for a chain of layers' }, h('h2', {}, 'The same for a chain of layers'), h('div', { class: 'layer-head' }, h('div', { class: 'wrap' }, chain), h('div', { class: 'sizes' }, fields.map((field, i) => h('label', { class: 'size' }, mathLine(sizeMark(SIZED[i])), field)))), h('div', { class: 'orders' }, loss.element, input.element), ratio);
}

function tellSize(field, isRight) {
  setAttr(field, 'aria-invalid', !isRight && 'true');
  setAttr(field, 'title', isRight ? null : `A whole number from 1 to ${grouped(LARGEST)}`);
}

function orderRow(title, says, products) {
  const factors = [], terms = [], total = m('mn', {}), row = ledgerRow('multiplications');
  const inLetters = mathLine(...mathJoin(products.map(product => m('mrow', {}, ...mathJoin(product.map(name => (name === 1 ? m('mn', {}, '1') : sizeMark(name))), '·'))), '+'));
  const number = (list, name) => {
    const made = m('mn', {});
    list.push([made, name]);
    return made;
  };
  const inNumbers = products.map((product, i) => mathLine(infix(i ? '+' : '='), ...mathJoin(product.map(name => (name === 1 ? m('mn', {}, '1') : number(factors, name))), '·')));
  const summed = products.map((product, i) => mathLine(infix(i ? '+' : '='), number(terms, product)));
  const element = h('div', { class: products === FROM_LOSS ? 'order best' : 'order' }, h('b', {}, title), h('span', { class: 'small' }, says), h('div', { class: 'wrap' }, inLetters), h('div', { class: 'wrap' }, inNumbers), h('div', { class: 'wrap' }, summed, mathLine(infix('='), m('mrow', { class: 'res' }, total))), h('div', { class: 'counts' }, row.cells));
  return {
    element,
    paint(sizes) {
      const size = name => BigInt(name === 1 ? 1 : sizes[name]);
      for (const [made, name] of factors) setText(made, grouped(sizes[name]));
      const worth = product => product.reduce((count, name) => count * size(name), 1n);
      for (const [made, product] of terms) setText(made, grouped(worth(product)));
      const sum = products.reduce((all, product) => all + worth(product), 0n);
      setText(total, grouped(sum));
      return sum;
    },
    bar: (count, most) => row.set(grouped(count), Number(count) / Number(most)),
  };
}
