// All steps as a table: for screen readers, for reading at leisure, and for copying.

import { h } from '../dom.js';
import { rowText } from './mathtext.js';
import { narrationOf, readerOf } from './narration.js';

const PHASES = { start: 'start', value: 'forward', seed: 'turn', flow: 'backward', sum: 'backward', tseed: 'sweep', tangent: 'sweep', done: 'end' };

// Rows [step, phase, node, equation] of every event.
export function stepRows(session) {
  const { trace, numbers, mode, events } = session;
  const gradients = new Map(), arrived = new Map();
  let sweep = null;
  return events.map((event, step) => {
    let before = 0;
    if (event.t === 'seed') gradients.set(event.node, 1);
    else if (event.t === 'tseed') sweep = numbers.tangents(event.node);
    else if (event.t === 'flow') {
      arrived.set(event.node, (arrived.get(event.node) ?? 0) + 1);
      before = gradients.get(event.node) ?? 0;
      gradients.set(event.node, before + numbers.contributions[event.edge]);
    }
    const told = narrationOf(trace, event, mode, arrived.get(event.node) ?? 0);
    const read = readerOf(numbers, { gradients, before, sweep });
    return [String(step), PHASES[event.t], event.node === undefined ? '' : trace.nodes[event.node].text, told.chunks.map(trees => rowText(trees, read)).join(' ')];
  });
}

export function stepTable(session, { notify }) {
  const body = h('tbody', {});
  const copy = h('button', { class: 'btn', type: 'button', onclick: copyRows }, 'Copy');
  const element = h(
    'section',
    { class: 'step-table', 'aria-label': 'All steps', hidden: true },
    h('div', { class: 'row spread' }, h('h2', {}, 'All steps'), copy),
    h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Table of all steps' }, h('table', {}, h('thead', {}, h('tr', {}, ['step', 'phase', 'node', 'equation'].map(name => h('th', { scope: 'col' }, name)))), body)),
  );
  let rows = [], timer = 0;

  async function copyRows() {
    const text = [['step', 'phase', 'node', 'equation'], ...stepRows(session)].map(row => row.join('\t')).join('\n');
    try {
      await navigator.clipboard.writeText(text);
      notify('The steps are copied, one a line, with tabs between columns.');
    } catch {
      notify('This browser does not let a page copy: select the table and copy it.');
    }
  }
  function build() {
    if (element.hidden || !session.trace) return;
    rows = stepRows(session);
    const trs = [...body.children];
    while (trs.length > rows.length) trs.pop().remove();
    rows.forEach((row, i) => {
      if (!trs[i]) {
        trs[i] = h('tr', { 'data-step': i, onclick: () => session.go(i, { commit: true }) }, row.map((_, k) => h(k ? 'td' : 'th', k ? {} : { scope: 'row' })));
        body.append(trs[i]);
      }
      row.forEach((text, k) => {
        const cell = trs[i].children[k];
        if (cell.textContent !== text) cell.textContent = text;
      });
    });
    mark();
  }
  function mark() {
    if (element.hidden) return;
    for (const row of body.querySelectorAll('[aria-current]')) row.removeAttribute('aria-current');
    body.children[session.step]?.setAttribute('aria-current', 'step');
  }
  return {
    element,
    toggle() {
      element.hidden = !element.hidden;
      build();
      return !element.hidden;
    },
    // Numbers change often: the table follows a moment later.
    later() {
      clearTimeout(timer);
      if (!element.hidden) timer = setTimeout(build, 150);
    },
    build,
    mark,
  };
}
