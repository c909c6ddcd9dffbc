// MathML from JSON trees: ["mfrac", {attributes}, child, ...], where a child is a tree, a text, or a live number.
//
// ["num", "v3"] stands for the value of node 3, ["num", "g3", "factor"] for its gradient within a product, l5 and c5 for
// the local derivative of edge 5 and what it contributes, a plain number for itself. ["node", 3, child, ...] marks what
// belongs to node 3. A live formula keeps its elements: new numbers change texts, nothing is built anew.

import { m, setText } from './dom.js';
import { MINUS, numberParts } from './numbers.js';

const TAGS = new Set(['math', 'mrow', 'mi', 'mn', 'mo', 'mtext', 'mspace', 'mfrac', 'msqrt', 'mroot', 'msub', 'msup', 'msubsup', 'munder', 'mover', 'munderover', 'mtable', 'mtr', 'mtd', 'mstyle', 'mpadded']);
const ATTRIBUTES = new Set(['mathvariant', 'stretchy', 'form', 'lspace', 'rspace', 'width', 'displaystyle', 'class', 'accent', 'accentunder', 'columnalign', 'title']);

// The elements of a tree; live numbers are collected in `live`, if given, for paintMath.
export function mathOf(tree, live = []) {
  if (typeof tree === 'string') return document.createTextNode(tree);
  const [tag, ...rest] = tree;
  if (tag === 'num') return liveNumber(rest[0], rest[1], live);
  if (tag === 'node') {
    const made = m('mrow', { class: 'of-node', 'data-node': rest[0] });
    made.append(...rest.slice(1).map(kid => mathOf(kid, live)));
    return made;
  }
  if (!TAGS.has(tag)) throw new Error(`no MathML element is called ${tag}`);
  const hasAttributes = rest.length && !Array.isArray(rest[0]) && typeof rest[0] === 'object';
  const made = m(tag, {});
  if (hasAttributes) for (const [name, value] of Object.entries(rest[0])) if (ATTRIBUTES.has(name)) made.setAttribute(name, value);
  made.append(...rest.slice(hasAttributes ? 1 : 0).map(kid => mathOf(kid, live)));
  return made;
}

const HUES = { v: 'v', g: 'g', c: 'g', t: 'g' };

function liveNumber(ref, style, live) {
  const made = m('mrow', { class: typeof ref === 'string' ? HUES[ref[0]] : null });
  const entry = { element: made, ref, style, shown: undefined };
  if (typeof ref === 'number') paintNumber(entry, ref);
  else live.push(entry);
  return made;
}

// What a number is made of: a shape, and the texts that fill it. A number that changes seldom changes its shape.
function numberShape(x, digits) {
  if (Number.isNaN(x)) return ['i', 'NaN'];
  const sign = x < 0 ? '-' : '';
  if (!Number.isFinite(x)) return [`${sign}i`, '∞'];
  const [mantissa, power] = numberParts(Math.abs(x), digits);
  if (power === null) return [mantissa === '0' ? 'n' : `${sign}n`, mantissa];
  const raised = power < 0 ? '^-' : '^';
  return mantissa === '1' ? [`${sign}${raised}`, String(Math.abs(power))] : [`${sign}n${raised}`, mantissa, String(Math.abs(power))];
}

function numberTree(shape, texts) {
  const minus = () => m('mo', { form: 'prefix' }, MINUS);
  const left = [...texts];
  const kids = shape.startsWith('-') ? [minus()] : [];
  if (shape.includes('i')) kids.push(m('mi', {}, left.shift()));
  if (shape.includes('n')) kids.push(m('mn', {}, left.shift()));
  if (shape.includes('^')) {
    if (shape.includes('n')) kids.push(m('mo', {}, '·'));
    const power = m('mn', {}, left.shift());
    kids.push(m('msup', {}, m('mn', {}, '10'), shape.endsWith('-') ? m('mrow', {}, minus(), power) : power));
  }
  return kids;
}

function paintNumber(entry, x, digits = 4) {
  if (Object.is(entry.shown, x)) return;
  entry.shown = x;
  const { element, style } = entry;
  const [shape, ...texts] = numberShape(x, digits);
  if (entry.shape === shape) {
    texts.forEach((text, i) => setText(entry.slots[i], text)); // the usual case while a slider is dragged
    return;
  }
  entry.shape = shape;
  const kids = numberTree(shape, texts);
  const wrap = style === 'factor' && (kids.length > 1 || kids[0].localName === 'msup');
  element.replaceChildren(...(wrap ? [m('mo', { form: 'prefix', stretchy: 'false' }, '('), ...kids, m('mo', { form: 'postfix', stretchy: 'false' }, ')')] : kids));
  // The slots are the elements whose texts change: the mantissa or the word, and the digits of the power.
  const [first] = kids.filter(kid => kid.localName === 'mn' || kid.localName === 'mi');
  const power = kids.find(kid => kid.localName === 'msup')?.lastChild;
  entry.slots = [first, power?.localName === 'mrow' ? power.lastChild : power].filter(Boolean);
}

// Writes the numbers that `read(ref)` gives into live numbers; undefined leaves a dot.
export function paintMath(live, read, digits = 4) {
  for (const entry of live) {
    const x = read(entry.ref);
    if (x === undefined) {
      if (entry.shown !== undefined || !entry.element.firstChild) entry.element.replaceChildren(m('mo', {}, '·'));
      entry.shown = entry.shape = undefined;
    } else paintNumber(entry, x, digits);
  }
}

// Elements in a row with an operator between them.
export const mathJoin = (list, operator) => list.flatMap((kid, i) => (i ? [m('mo', { form: 'infix' }, operator), kid] : [kid]));
export const mathLine = (...kids) => m('math', { displaystyle: 'true' }, ...kids);
export const mathFraction = (above, below) => m('mfrac', {}, above, below);
export function mathPartial(above, below) {
  const d = () => m('mo', { form: 'prefix', rspace: '0' }, '∂');
  return mathFraction(m('mrow', {}, d(), above), m('mrow', {}, d(), below));
}
