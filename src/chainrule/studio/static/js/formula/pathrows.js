// The paths from the result to one node: their factors, products and shares. A click lights a path in the graph.

import { h, m, setAttr, setText } from '../dom.js';
import { mathJoin, mathLine, mathOf, paintMath } from '../mathtree.js';
import { fmt, percent } from '../numbers.js';
import { countedPaths, infix, letterMark, sessionReader } from './letters.js';
import { pathMass, pathProduct, strongestPaths } from './paths.js';

const MOST_PATHS = 5, MOST_FACTORS = 7;

// {element, paint, mark, settle}; paint changes texts only, settle also which paths are listed and in which order.
export function pathSection(session, node) {
  const { trace } = session, count = node.paths;
  const list = h('div', {}), heading = h('h3', {}), rest = h('p', { class: 'small', hidden: true });
  const cancel = h('p', { class: 'small', hidden: true }, 'Paths pull both ways and partly cancel: shares are of the sum of magnitudes. Hatched is negative.');
  const element = h('div', { class: 'sec' }, heading, list, rest, cancel);
  let rows = [];

  function settle() {
    const before = new Map(rows.map(row => [row.key, row]));
    const found = strongestPaths(trace, session.numbers.locals, node.id, MOST_PATHS);
    const focused = document.activeElement;
    rows = found.map(({ edges }) => before.get(edgesKey(edges)) ?? pathRow(session, node, edges));
    if (rows.some((row, i) => list.children[i] !== row.element) || rows.length !== list.children.length) {
      list.replaceChildren(...rows.map(row => row.element));
      if (list.contains(focused)) focused.focus();
    }
    paint();
    mark();
  }
  function paint() {
    const { locals, gradients } = session.numbers, gradient = gradients[node.id];
    const mass = pathMass(trace, locals, node.id);
    const tiny = 1e-12 * mass, both = mass - Math.abs(gradient) > tiny;
    let top = 0, sum = 0;
    for (const row of rows) {
      row.product = pathProduct(row.edges, locals);
      top = Math.max(top, Math.abs(row.product));
      sum += row.product;
    }
    for (const row of rows) row.paint({ both, mass, top, alone: count === '1' });
    setText(heading, count === '1' ? 'The path' : count === '0' ? 'No path' : `Paths: their products add up to ${fmt(gradient)}`);
    cancel.hidden = !both || count === '1';
    rest.hidden = count !== null && Number(count) <= rows.length;
    if (!rest.hidden) setText(rest, `${otherPaths(count, rows.length)} ${fmt(gradient - sum)}.`);
  }
  function mark() {
    const lit = session.path?.join();
    for (const row of rows) setAttr(row.element, 'aria-pressed', String(row.key === lit));
  }
  settle();
  return { element, paint, mark, settle };
}

function otherPaths(count, shown) {
  if (count === null || count.length > 15) return `The others, of ${countedPaths(count)}, bring`;
  const more = Number(count) - shown;
  return more === 1 ? '1 more path brings' : `${countedPaths(String(more))} more bring`.replace(' paths more', ' more paths');
}

const edgesKey = edges => edges.map(edge => edge.id).join();

// Where a path is long: its ends.
const shortened = list => (list.length > MOST_FACTORS + 1 ? [...list.slice(0, 3), null, ...list.slice(-3)] : list);

function pathRow(session, node, edges) {
  const { trace } = session, read = sessionReader(session), live = [];
  const stops = [...edges.map(edge => trace.nodes[edge.to]), node];
  const trail = mathLine(...mathJoin(shortened(stops).map(stop => (stop ? letterMark(stop) : m('mo', {}, '…'))), '←'));
  const spokenTrail = shortened(stops).map(stop => stop?.text ?? 'and so on').join(' to ');
  const isLong = edges.length > MOST_FACTORS;
  const factors = isLong ? [] : edges.map(edge => mathOf(['num', `l${edge.id}`, 'factor'], live));
  const product = mathOf(['num', 'c0'], live);
  live.at(-1).ref = 'product';
  const nums = mathLine(...(edges.length > 1 && !isLong ? [...mathJoin(factors, '·'), infix('=')] : []), product);
  const fill = h('i', {}), zero = h('span', { class: 'zero' }), track = h('span', { class: 'bar-track', 'aria-hidden': 'true' }, zero, fill), share = h('span', { class: 'share num' });
  const row = { edges, key: edgesKey(edges), product: 0 };
  row.element = h(
    'button',
    { class: 'path', title: 'Show this path in the graph', onclick: () => session.change({ path: session.path?.join() === row.key ? null : edges.map(edge => edge.id) }) },
    h('span', { class: 'head' }, h('span', { class: 'trail' }, trail), h('span', { class: 'nums' }, nums)),
    track,
    share,
  );
  row.paint = ({ both, mass, top, alone }) => {
    paintMath(live, ref => (ref === 'product' ? row.product : read(ref)), isLong ? 4 : 3);
    track.hidden = share.hidden = alone;
    const part = mass > 0 && Number.isFinite(mass) ? (both ? row.product / mass : Math.abs(row.product) / mass) : NaN;
    const width = top > 0 && Number.isFinite(top) ? (Math.abs(row.product) / top) * (both ? 50 : 100) : 0;
    const isNegative = row.product < 0;
    zero.hidden = !both;
    fill.className = isNegative ? 'neg' : '';
    fill.style.left = `${both ? (isNegative ? 50 - width : 50) : 0}%`;
    fill.style.width = `${width}%`;
    setText(share, Number.isNaN(part) ? '·' : percent(part));
    const spoken = isLong ? `the product of ${edges.length} factors` : edges.map(edge => fmt(session.numbers.locals[edge.id])).join(' times ');
    setAttr(row.element, 'aria-label', `Path ${spokenTrail}: ${spoken}${edges.length > 1 ? ` is ${fmt(row.product)}` : ''}${alone || Number.isNaN(part) ? '' : `, share ${percent(part)}`}`);
  };
  return row;
}
