// The ledger of dynamic programming: every gradient computed once, against each path on its own.

import { grouped, h, setText } from '../dom.js';
import { mathLine } from '../mathtree.js';
import { fmt } from '../numbers.js';
import { partialMark } from './letters.js';

const MOST_REUSED = 4;

export function ledgerPart(session) {
  const rows = { reused: ledgerRow('each gradient once'), separate: ledgerRow('path by path') };
  const says = h('p', { class: 'small' }), used = h('div', { class: 'row reuses' });
  const element = h('section', { class: 'card pad sec ledger', 'aria-label': 'Dynamic programming' }, h('h2', {}, 'Dynamic programming'), h('div', { class: 'counts' }, rows.reused.cells, rows.separate.cells), says, used);
  return {
    element,
    build() {
      const { ledger, nodes, result } = session.trace;
      element.hidden = !ledger || !session.trace.variables.length;
      if (element.hidden) return;
      const reused = Number(ledger.reused), separate = ledger.separate === null ? Infinity : Number(ledger.separate), most = Math.max(reused, separate);
      rows.reused.set(countText(ledger.reused), Number.isFinite(most) ? reused / most : 0);
      rows.separate.set(ledger.separate === null ? 'more than 10³⁰⁰' : countText(ledger.separate), 1);
      const times = separate / reused;
      setText(says, times > 1 ? `Multiplications for all gradients. What arrives at a node is kept and used for everything below it${Number.isFinite(times) ? `: ${fmt(times, 3)} times fewer than one path after another` : ''}.${ledger.reuses.length ? ' Used more than once:' : ''}` : 'Multiplications for all gradients. Here no gradient is used twice, so nothing is saved.');
      used.replaceChildren(...ledger.reuses.slice(0, MOST_REUSED).map(({ node, uses }) => h('button', { class: 'btn', title: `Select ${nodes[node].text}`, 'aria-label': `∂${nodes[result].text}/∂${nodes[node].text}, used ${uses} times`, onclick: () => session.select(node) }, mathLine(partialMark(nodes[result], nodes[node])), h('span', { class: 'num' }, `× ${uses}`))));
    },
  };
}

const countText = count => (String(count).length > 16 ? fmt(Number(count)) : grouped(count));

// A count with its bar among others.
export function ledgerRow(name) {
  const label = h('span', {}, name), fill = h('i', {}), count = h('b', { class: 'num' });
  return {
    cells: [label, h('span', { class: 'bar-track', 'aria-hidden': 'true' }, fill), count],
    set(text, share) {
      setText(count, text);
      fill.style.width = `${share > 0 ? Math.max(0.5, 100 * share) : 0}%`;
    },
  };
}
