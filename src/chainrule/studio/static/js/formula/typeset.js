// The formula as mathematics, in letters and with its numbers; its parts know their nodes.

import { h, m } from '../dom.js';
import { mathOf, paintMath } from '../mathtree.js';

const LONG = 2500; // characters of JSON

export function typesetHead(session) {
  const lines = h('div', { class: 'typeset' });
  const more = h('button', { class: 'btn quiet more', type: 'button', hidden: true, 'aria-expanded': 'false' });
  const legend = h(
    'div',
    { class: 'legend', 'aria-hidden': 'true' },
    h('span', {}, h('i', { class: 'key-value' }), 'value'),
    h('span', {}, h('i', { class: 'key-gradient' }), h('span', { class: 'way' }, 'gradient')),
    h('span', {}, h('span', { class: 'key-pill' }, '×2'), 'local derivative'),
  );
  const way = legend.querySelector('.way');
  const element = h('div', { class: 'stage-head' }, h('div', { class: 'typeset-frame' }, lines, more), legend);
  let live = [], parts = new Map(), marked = [], all = false, waiting = 0;

  const nodeAt = event => {
    const part = event.target.closest?.('[data-node]');
    return part ? Number(part.dataset.node) : null;
  };
  lines.addEventListener('pointerover', event => event.pointerType !== 'touch' && session.hover(nodeAt(event)));
  lines.addEventListener('pointerleave', () => session.hover(null));
  lines.addEventListener('click', event => {
    const id = nodeAt(event);
    if (id !== null && session.trace.nodes[id].kind !== 'constant') session.select(id);
  });
  more.addEventListener('click', () => {
    all = !all;
    self.typeset();
  });

  function chunk(...kids) {
    return h('span', { class: 'chunk' }, m('math', { displaystyle: 'true' }, m('mrow', {}, ...kids)));
  }
  function lineOf(line) {
    const { trace } = session, isConstant = trace.nodes[line.node].kind === 'constant';
    const equals = () => m('mo', {}, '=');
    const part = m('mrow', { class: 'of-node', 'data-node': line.node }, mathOf(line.left, live));
    const row = [chunk(part)];
    if (line.letters && !isConstant) row.push(chunk(equals(), mathOf(line.letters, live)));
    if (line.numbers) row.push(chunk(equals(), mathOf(line.numbers, live)));
    row.push(chunk(equals(), m('mrow', { class: 'result' }, mathOf(['num', `v${line.node}`], live))));
    return h('div', { class: 'line' }, row);
  }
  const self = {
    element,
    // A long formula is typeset a moment later, after the graph: that is what one looks at while typing.
    build() {
      clearTimeout(waiting);
      const { lines: found } = session.trace.math;
      const long = found.reduce((sum, line) => sum + JSON.stringify(line.letters ?? '').length, 0) > LONG;
      if (long) waiting = setTimeout(self.typeset, 30);
      else self.typeset();
    },
    typeset() {
      const { lines: found } = session.trace.math;
      live = [];
      lines.replaceChildren(...(all ? found : found.slice(-1)).map(lineOf));
      more.hidden = found.length === 1;
      more.textContent = all ? 'last line' : `all ${found.length} lines`;
      more.setAttribute('aria-expanded', String(all));
      parts = new Map();
      for (const part of lines.querySelectorAll('[data-node]')) {
        const id = Number(part.getAttribute('data-node'));
        if (!parts.has(id)) parts.set(id, []);
        parts.get(id).push(part);
      }
      marked = [];
      self.numbers();
      self.mark();
    },
    numbers: () => paintMath(live, ref => session.numbers.values[Number(ref.slice(1))]),
    // Parts of the selected node, and of the one under the pointer.
    mark() {
      for (const part of marked) part.classList.remove('on', 'hovered');
      marked = [];
      for (const [id, name] of [[session.selected, 'on'], [session.hovered, 'hovered']])
        for (const part of (id !== session.trace.result && parts.get(id)) || []) {
          part.classList.add(name);
          marked.push(part);
        }
      way.textContent = session.mode === 'forward' ? 'tangent' : 'gradient';
    },
  };
  return self;
}
