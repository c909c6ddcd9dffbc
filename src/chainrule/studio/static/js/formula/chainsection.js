// The chain rule at one node: in letters, and with its numbers, which follow the sliders.

import { h, m, plural, setText } from '../dom.js';
import { mathLine, mathOf, paintMath } from '../mathtree.js';
import { infix, inHue, letterMark, numberLatex, partialLatex, partialMark, sessionReader } from './letters.js';
import { edgesOutOf } from './snapshot.js';

const MOST_USES = 6;

// {element, paint}, or null at the result and where nothing leads from the node to it.
export function chainSection(session, node) {
  const { trace } = session, result = trace.nodes[trace.result];
  const all = edgesOutOf(trace, node.id), uses = all.slice(0, MOST_USES), left = all.length - uses.length;
  if (!all.length) return null;
  const read = sessionReader(session), live = [];
  const user = edge => trace.nodes[edge.to];
  const direct = all.every(edge => edge.to === trace.result);
  const letters = uses.map((edge, i) => mathLine(infix(i ? '+' : '='), inHue('g', partialMark(result, user(edge))), m('mspace', { width: '0.12em' }), partialMark(user(edge), node)));
  const numbers = uses.map((edge, i) => mathLine(infix(i ? '+' : '='), mathOf(['num', `g${edge.to}`, 'factor'], live), infix('·'), mathOf(['num', `l${edge.id}`, 'factor'], live)));
  const more = () => left > 0 && h('span', { class: 'small' }, `+ ${plural(left, 'more use')}`);
  const total = mathLine(infix('='), inHue('res', mathOf(['num', `g${node.id}`], live)));
  const leftSide = () => mathLine(partialMark(result, node));
  const copied = h('span', { class: 'small', role: 'status' });
  const copy = h('button', { class: 'btn quiet tiny', title: 'Copy the chain rule as LaTeX', onclick: () => copyText(chainLatex(session, node, all), copied) }, 'LaTeX');
  const element = h(
    'div',
    { class: 'sec' },
    h('div', { class: 'row spread' }, h('h3', {}, 'Chain rule'), h('span', { class: 'row tight' }, copied, copy)),
    h('div', { class: 'chain' }, !direct && h('div', { class: 'wrap' }, leftSide(), letters, more()), h('div', { class: 'wrap' }, direct && leftSide(), numbers, more(), total)),
    node.kind !== 'variable' && all.length > 1 && h('p', { class: 'small' }, mathLine(letterMark(node)), ` is used ${all.length} times: what comes back adds up.`),
  );
  return { element, paint: () => paintMath(live, read) };
}

export function chainLatex(session, node, uses = edgesOutOf(session.trace, node.id)) {
  const { trace, numbers } = session, result = trace.nodes[trace.result];
  const letters = uses.map(edge => `${partialLatex(result, trace.nodes[edge.to])} ${partialLatex(trace.nodes[edge.to], node)}`);
  const plugged = uses.map(edge => `${numberLatex(numbers.gradients[edge.to], { factor: true })} \\cdot ${numberLatex(numbers.locals[edge.id], { factor: true })}`);
  const inLetters = uses.every(edge => edge.to === trace.result) ? [] : [letters.join(' + ')];
  return [partialLatex(result, node), ...inLetters, plugged.join(' + '), numberLatex(numbers.gradients[node.id])].join(' = ');
}

// Says in `told` whether it was copied; where the browser forbids it, shows the text to be copied by hand.
async function copyText(text, told) {
  try {
    await navigator.clipboard.writeText(text);
    setText(told, 'copied');
    setTimeout(() => setText(told, ''), 2000);
  } catch {
    const field = h('input', { type: 'text', readonly: true, value: text, 'aria-label': 'LaTeX' });
    told.replaceChildren(field);
    field.select();
  }
}
