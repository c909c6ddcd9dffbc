// Formulas that wrap: MathML breaks no lines, so a long formula becomes several short ones that flow like words. Breaks
// are before =, + and − of the outermost level and of its parentheses.

import { h } from '../dom.js';
import { mathOf } from '../mathtree.js';

const FLOW_BREAKS = new Set(['=', '+', '−']);

const flowTag = tree => (Array.isArray(tree) ? tree[0] : '');
const flowKids = tree => tree.slice(1).filter(kid => Array.isArray(kid) || typeof kid === 'string');
const flowClass = tree => (tree[1] && !Array.isArray(tree[1]) && typeof tree[1] === 'object' ? tree[1].class : undefined);
const isTall = tree => Array.isArray(tree) && (flowTag(tree) === 'mfrac' || flowTag(tree) === 'msubsup' || flowKids(tree).some(isTall));

// (2) in an index is set as one word, and parentheses grow only around what is tall.
function tidied(tree) {
  if (!Array.isArray(tree)) return tree;
  const kids = flowKids(tree);
  if (flowTag(tree) === 'mrow' && kids.length === 3 && kids[0][1] === '(' && flowTag(kids[1]) === 'mn') return ['mn', `(${kids[1][1]})`];
  return tree.map((part, i) => (i && Array.isArray(part) ? tidied(part) : part));
}

// The formula as tokens, each with the class of the row that it stands in.
function flowTokens(tree, inherited, tokens) {
  const kids = flowKids(tree);
  const own = flowClass(tree) ?? inherited;
  if (flowTag(tree) !== 'mrow') return tokens.push({ tree, own: flowClass(tree) ?? inherited });
  const fenced = ['(', '['].includes(flowText(kids[0])) && [')', ']'].includes(flowText(kids.at(-1)));
  const tall = fenced && kids.some(kid => flowTag(kid) === 'mrow' || isTall(kid)) && kids.some(isFraction);
  for (const kid of kids) {
    const isFence = fenced && (kid === kids[0] || kid === kids.at(-1));
    flowTokens(isFence ? ['mo', { stretchy: String(tall), form: kid === kids[0] ? 'prefix' : 'postfix' }, flowText(kid)] : kid, own, tokens);
  }
}

const isFraction = tree => Array.isArray(tree) && (flowTag(tree) === 'mfrac' || flowKids(tree).some(isFraction));
const flowText = tree => (flowTag(tree) === 'mo' ? tree.at(-1) : '');

export function flowingMath(tree) {
  const tokens = [];
  flowTokens(tidied(Array.isArray(tree) && flowTag(tree) === 'mrow' ? tree : ['mrow', tree]), undefined, tokens);
  const chunks = [[]];
  tokens.forEach((token, i) => {
    const sign = flowText(token.tree);
    const before = i ? flowText(tokens[i - 1].tree) : '';
    const isInfix = FLOW_BREAKS.has(sign) && i > 0 && !['(', '[', '=', '·', '+', '−'].includes(before);
    if ((sign === '=' || isInfix) && chunks.at(-1).length) chunks.push([]);
    const isBracket = (sign === '(' || sign === ')') && token.tree.length === 2;
    const shown = isInfix || sign === '=' ? ['mo', { form: 'infix' }, sign] : sign === '−' ? ['mo', { form: 'prefix', lspace: '0', rspace: '0' }, sign] : isBracket ? ['mo', { stretchy: 'false', form: sign === '(' ? 'prefix' : 'postfix' }, sign] : token.tree;
    chunks.at(-1).push(token.own ? ['mrow', { class: token.own }, shown] : shown);
  });
  return h('span', { class: 'formula' }, chunks.map(chunk => mathOf(['math', { displaystyle: 'true' }, ...chunk])));
}
