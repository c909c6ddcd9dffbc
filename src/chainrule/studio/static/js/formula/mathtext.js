// Formulas as plain text, for tables, for copying and for what is read aloud.

import { asFactor, fmt, inSuperscript } from '../numbers.js';

const SPACED = new Set(['=', '+', '−', '-', '·', '×', '<', '>', '≤', '≥', '≠']);
const AFTER = new Set([',', ':', ';']);

// The text of a tree, or of trees in a row; `read` gives the live numbers.
export function mathText(tree, read) {
  if (typeof tree === 'string') return tree;
  const [tag, ...rest] = tree;
  if (tag === 'num') return rest[1] === 'factor' ? asFactor(numberText(read(rest[0]))) : numberText(read(rest[0]));
  const kids = rest.filter(kid => typeof kid === 'string' || Array.isArray(kid));
  const text = i => mathText(kids[i], read);
  if (tag === 'node') return rowText(rest.slice(1), read);
  if (tag === 'mfrac') return `${closed(text(0))}/${closed(text(1))}`;
  if (tag === 'msup') return powerText(closed(text(0)), text(1));
  if (tag === 'msub' || tag === 'munder') return tag === 'munder' ? text(0) : /^\d$/.test(text(1)) ? `${text(0)}${text(1)}` : /via/.test(text(1)) ? `${text(0)} ${text(1)}` : `${text(0)}_${text(1)}`;
  if (tag === 'msubsup') return powerText(`${text(0)}_${text(1)}`, text(2));
  if (tag === 'msqrt') return `√${closed(rowText(kids, read), true)}`;
  if (tag === 'mspace') return ' ';
  return rowText(kids, read);
}

export const numberText = x => (x === undefined ? '·' : fmt(x));

const closed = (text, always) => (/[ +−·/]/.test(text.slice(1)) && !(text.startsWith('(') && text.endsWith(')')) && !/^∂?\S+$/.test(text) || (always && text.length > 1 && !text.startsWith('(')) ? `(${text})` : text);
const powerText = (base, power) => (/^[\d−-]+$/.test(power) ? base + inSuperscript(power) : `${base}^${closed(power, true)}`);

const APPLY = '\u2061', TIMES = '\u2062'; // what MathML writes between a function and its argument, and between factors
const applied = /(?:^|[^\p{L}])\p{L}{2,}$/u;

// Operators between operands stand free; a sign before its operand does not.
export function rowText(trees, read) {
  let text = '', operand = false;
  for (const tree of trees) {
    const isOperator = Array.isArray(tree) && tree[0] === 'mo';
    const piece = mathText(tree, read);
    if (piece === APPLY || piece === TIMES) continue;
    if (applied.test(text) && operand && /^[\p{L}\d−√]/u.test(piece)) text += ' ';
    if (isOperator && AFTER.has(piece)) {
      text += `${piece} `;
      operand = false;
    } else if (isOperator && operand && SPACED.has(piece)) {
      text += ` ${piece} `;
      operand = false;
    } else if (isOperator && piece === '=') {
      text += '= ';
    } else {
      text += piece;
      operand = !(isOperator && (piece === '(' || SPACED.has(piece)));
    }
  }
  return text;
}
