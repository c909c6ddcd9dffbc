// Letters of nodes, derivatives of one by another, and numbers in formulas that follow a session.

import { grouped, m } from '../dom.js';
import { mathLine, mathOf, mathPartial } from '../mathtree.js';
import { fmt, numberParts } from '../numbers.js';

export const letterMark = node => mathOf(node.letter);
export const letterMath = node => mathLine(letterMark(node));
export const partialMark = (above, below) => mathPartial(letterMark(above), letterMark(below));
export const infix = sign => m('mo', { form: 'infix' }, sign);
export const inHue = (hue, ...kids) => m('mrow', { class: hue }, ...kids);

// Reads the live numbers of formulas: v3 and g3 of a node, l5 and c5 of an edge.
export function sessionReader(session) {
  return ref => {
    const { numbers } = session, id = Number(ref.slice(1));
    return { v: numbers.values, g: numbers.gradients, l: numbers.locals, c: numbers.contributions }[ref[0]][id];
  };
}

// A count that may be a text of many digits, or null where nobody counted that far.
export function countedPaths(count) {
  if (count === null) return 'more than 10³⁰⁰ paths';
  if (count === '1') return '1 path';
  return `${count.length > 21 ? fmt(Number(count)) : grouped(count)} paths`;
}

// LaTeX of ∂a/∂b, and of a number.
export const partialLatex = (above, below) => `\\frac{\\partial ${above.latex}}{\\partial ${below.latex}}`;
export function numberLatex(x, { factor = false } = {}) {
  if (Number.isNaN(x)) return '\\mathrm{NaN}';
  if (!Number.isFinite(x)) return x < 0 ? '(-\\infty)' : '\\infty';
  const [mantissa, power] = numberParts(x);
  const text = power === null ? mantissa : mantissa === '1' ? `10^{${power}}` : `${mantissa} \\cdot 10^{${power}}`;
  return factor && (text.startsWith('-') || text.includes('cdot')) ? `\\left(${text}\\right)` : text;
}
