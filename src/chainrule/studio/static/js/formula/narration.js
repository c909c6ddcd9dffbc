// What happens at an event, in mathematics and in a sentence: for the factor line and for the table of all steps.

import { grouped, plural } from '../dom.js';
import { fmt } from '../numbers.js';
import { edgesInto, edgesOutOf } from './snapshot.js';

const MOST_TERMS = 6;

// Trees of MathML as the trace has them.
const mo = text => ['mo', text];
const word = text => ['mtext', text];
const space = width => ['mspace', { width }];
const row = (...kids) => ['mrow', ...kids];
const inOrange = (...kids) => ['mrow', { class: 'g' }, ...kids];
const result = tree => ['mrow', { class: 'result' }, tree];
const bracketed = tree => row(['mo', { stretchy: 'true', form: 'prefix' }, '('], tree, ['mo', { stretchy: 'true', form: 'postfix' }, ')']);
const number = (ref, factor) => (factor ? ['num', ref, 'factor'] : ['num', ref]);
const nabla = letter => row(['mo', { form: 'prefix', rspace: '0' }, '∂'], letter);
export const partialTree = (above, below) => ['mfrac', nabla(above), nabla(below)];
const braced = (tree, ...label) => ['munder', ['munder', tree, ['mo', { stretchy: 'true' }, '⏟']], ['mrow', { class: 'brace' }, ...label]];
const listed = (trees, sign) => trees.flatMap((tree, i) => (i ? [mo(sign), tree] : [tree]));
const some = list => (list.length > MOST_TERMS ? [...list.slice(0, MOST_TERMS - 1), mo('…')] : list);

// A reader of live numbers: v value, g gradient, l local derivative, c contribution, t tangent of the sweep, a what an
// edge adds to it, p the gradient so far, b what there was before this event.
export function readerOf(numbers, { gradients, before, sweep }) {
  const kinds = {
    v: i => numbers.values[i],
    g: i => numbers.gradients[i],
    l: i => numbers.locals[i],
    c: i => numbers.contributions[i],
    t: i => sweep?.tangents[i],
    a: i => sweep?.added[i],
    p: i => gradients.get(i),
    b: () => before,
  };
  return ref => (typeof ref === 'number' ? ref : kinds[ref[0]](Number(ref.slice(1))));
}

// {hue: 'v', 'g' or '', where, chunks: [[tree, ...], ...] of an equation that may wrap between them, side: [tree, ...],
// say(read): the sentence}. `arrived` is how many contributions the event's node has got so far.
export function narrationOf(trace, event, mode, arrived = 0) {
  return TELLERS[event.t](trace, event, { mode, arrived });
}

const TELLERS = { start: tellStart, value: tellValue, seed: tellSeed, flow: tellFlow, sum: tellSum, tseed: tellSweep, tangent: tellTangent, done: tellDone };

function tellStart(trace) {
  const line = trace.math.lines[trace.math.lines.length - 1];
  const how = trace.edges.length ? 'Play (space) or step (→) to send values forward, then gradients back. Drag any blue number to change it.' : 'There is nothing to differentiate: the formula has no variable that matters.';
  return { hue: '', where: 'ready', chunks: [[line.left], ...(line.letters ? [[mo('='), line.letters]] : [])], say: () => `Inputs are set. ${how}` };
}

function tellValue(trace, { node: id }) {
  const node = trace.nodes[id], edges = edgesInto(trace, id);
  const locals = some(edges).map(edge =>
    Array.isArray(edge) ? edge : row(partialTree(node.letter, trace.nodes[edge.from].letter), mo('='), ...(edge.symbol ? [edge.symbol, mo('=')] : []), number(`l${edge.id}`)),
  );
  return {
    hue: 'v',
    where: `forward · ${node.text}`,
    chunks: [[node.letter], [mo('='), node.definition], [mo('='), node.plugged], [mo('='), result(number(`v${id}`))]],
    side: locals.length ? listed(locals, ',') : null,
    say: () =>
      edges.length
        ? `${node.text} knows only its own inputs, and that is enough for its local derivatives. ${edges[edges.length - 1].because}`
        : `${node.text} contains no variable.`,
  };
}

function tellSeed(trace, { node: id }) {
  const { letter, text } = trace.nodes[id];
  return {
    hue: 'g',
    where: 'turn',
    chunks: [[partialTree(letter, letter)], [mo('='), result(inOrange(['mn', '1']))]],
    say: () => `Now backward. Nudging ${text} by ε moves ${text} by exactly ε, so the gradient starts as 1.`,
  };
}

const PLACES = ['1st', '2nd', '3rd'];
function tellFlow(trace, event, { arrived }) {
  const edge = trace.edges[event.edge];
  const user = trace.nodes[edge.to], node = trace.nodes[edge.from], top = trace.nodes[trace.result];
  const uses = edgesOutOf(trace, edge.from), several = uses.length > 1;
  const twin = uses.filter(other => other.to === edge.to).length > 1;
  const whole = partialTree(top.letter, node.letter);
  const left = several ? ['msub', bracketed(whole), row(word('via\u00a0'), user.letter, ...(twin ? [word(`, ${PLACES[edge.slot] ?? `${edge.slot + 1}th`} use`)] : []))] : whole;
  const local = braced(partialTree(user.letter, node.letter), word('local'), ...(edge.symbol ? [space('.3em'), edge.symbol] : []));
  const missing = uses.length - arrived;
  return {
    hue: 'g',
    where: `backward · ${user.text} → ${node.text}`,
    chunks: [[left], [mo('='), braced(inOrange(partialTree(top.letter, user.letter)), word('upstream')), mo('·'), local], [mo('='), number(`g${edge.to}`, true), mo('·'), number(`l${edge.id}`, true)], [mo('='), result(number(`c${edge.id}`))]],
    side: several ? [node.letter, mo(':'), space('.3em'), ...(arrived > 1 ? [inOrange(number('b'), mo('+'), number(`c${edge.id}`, true), mo('='), number(`p${edge.from}`))] : [inOrange(number(`p${edge.from}`))])] : null,
    say: read =>
      `The ${fmt(read(`g${edge.to}`))} that arrived at ${user.text} goes through the local derivative ${fmt(read(`l${edge.id}`))}. ${edge.because}${several && missing > 0 ? ` ${node.text} is used ${uses.length} times, so it waits for ${plural(missing, 'more contribution')}.` : ''}`,
  };
}

function tellSum(trace, { node: id }) {
  const node = trace.nodes[id], top = trace.nodes[trace.result], uses = edgesOutOf(trace, id);
  const products = some(uses).map(edge => (Array.isArray(edge) ? edge : row(partialTree(top.letter, trace.nodes[edge.to].letter), partialTree(trace.nodes[edge.to].letter, node.letter))));
  const terms = some(uses).map((edge, i) => (Array.isArray(edge) ? edge : number(`c${edge.id}`, i > 0)));
  return {
    hue: 'g',
    where: `gradients add · ${node.text}`,
    chunks: [[partialTree(top.letter, node.letter)], [mo('='), ...listed(products, '+')], [mo('='), ...listed(terms, '+')], [mo('='), result(number(`g${id}`))]],
    say: () => `Gradients add at branches: ${node.text} reaches ${top.text} by ${uses.length} ways, and a nudge to ${node.text} travels along all of them at once.`,
  };
}

const sweepOf = (trace, event, id) => `sweep ${event.sweep + 1} of ${trace.variables.length} · ${trace.nodes[id].text}`;

function tellSweep(trace, event) {
  const node = trace.nodes[event.node], others = trace.variables.length - 1;
  return {
    hue: 'g',
    where: sweepOf(trace, event, event.node),
    chunks: [[partialTree(node.letter, node.letter)], [mo('='), result(inOrange(['mn', '1']))]],
    side: others ? [word(others === 1 ? 'the other input' : 'every other input'), space('.4em'), inOrange(['mn', '0'])] : null,
    say: () => `Forward mode asks one question at a time: what does a nudge to ${node.text} do to everything after it?`,
  };
}

function tellTangent(trace, event) {
  const node = trace.nodes[event.node], wrt = trace.nodes[event.wrt], edges = edgesInto(trace, event.node);
  const products = some(edges).map(edge => (Array.isArray(edge) ? edge : row(partialTree(node.letter, trace.nodes[edge.from].letter), partialTree(trace.nodes[edge.from].letter, wrt.letter))));
  const terms = some(edges).map(edge => (Array.isArray(edge) ? edge : row(number(`l${edge.id}`, true), mo('·'), number(`t${edge.from}`, true))));
  const left = trace.variables.length - 1 - event.sweep;
  const rest = trace.variables.length > 1 ? `, and nothing about the other inputs${left ? `: ${plural(left, 'sweep')} to go` : ''}` : '';
  return {
    hue: 'g',
    where: sweepOf(trace, event, event.node),
    chunks: [[partialTree(node.letter, wrt.letter)], ...(edges.length ? [[mo('='), ...listed(products, '+')], [mo('='), ...listed(terms, '+')]] : []), [mo('='), result(number(`t${event.node}`))]],
    say: () => (event.node === trace.result ? `This sweep found ∂${node.text}/∂${wrt.text}${rest}.` : 'The derivative travels with the value, in the same direction. Zeros are carried along too.'),
  };
}

function tellDone(trace, event, { mode }) {
  const top = trace.nodes[trace.result], inputs = trace.variables.map(id => trace.nodes[id]);
  const { reverse, forward } = trace.costs;
  const numbers = some(inputs).map(node => (Array.isArray(node) ? node : number(`g${node.id}`)));
  const letters = some(inputs).map(node => (Array.isArray(node) ? node : node.letter));
  const one = inputs.length === 1;
  const chunks = one ? [[partialTree(top.letter, inputs[0].letter)], [mo('='), result(number(`g${inputs[0].id}`))]] : inputs.length ? [[['mi', { mathvariant: 'normal' }, '∇'], top.letter], [mo('='), bracketed(row(...listed(numbers, ',')))]] : [[top.letter], [mo('='), number(`v${top.id}`)]];
  const told = {
    reverse: `One sweep gave the gradient for every node at once, with ${plural(reverse.products, 'multiplication')}. ${one ? 'With one input, forward mode costs the same.' : `Forward mode needs ${plural(forward.sweeps, 'sweep')} for the same inputs.`}`,
    forward: `${plural(forward.sweeps, 'sweep')} and ${plural(forward.products, 'multiplication')}. Reverse mode needs 1 sweep and ${grouped(reverse.products)}.`,
  };
  return {
    hue: inputs.length ? 'g' : 'v',
    where: 'done',
    chunks,
    side: inputs.length > 1 ? [word('for\u00a0'), bracketed(row(...listed(letters, ',')))] : null,
    say: () => (trace.edges.length ? told[mode] : `${top.text} is computed. Without a variable there is nothing to differentiate.`),
  };
}
