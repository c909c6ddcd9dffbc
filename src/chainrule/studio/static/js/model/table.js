// The same numbers as text: for screen readers, for copying, for whoever prefers a table.

import { h } from '../dom.js';
import { fromJson, percent } from '../numbers.js';
import { numberOrDot, rmsText, shapeText } from './sizes.js';

const TABLE_HEAD = ['', 'kind', 'result', 'value', 'gradient', 'gradient of weights', 'update', 'dead', 'finding'];

// One row for each column of the overview, or each box of a graph.
export function modelTable(rows, { updates, findings, onSelect, label, selected }) {
  const cell = (text, hue) => h('td', { class: hue ?? null }, text);
  return h(
    'div',
    { class: 'scroll model-table' },
    h(
      'table',
      { class: 'numbers' },
      h('caption', { class: 'sr' }, label),
      h('thead', {}, h('tr', {}, TABLE_HEAD.map(name => h('th', { scope: 'col' }, name)))),
      h(
        'tbody',
        {},
        rows.map((row, i) => {
          const weights = row.weights ?? [], large = weights.filter(w => w.shape.length > 1);
          const update = weights.map(w => updates[w.path]).filter(x => x != null);
          const found = findings.filter(f => f.columns.includes(i) && row.weights);
          return h(
            'tr',
            { 'aria-current': row.id === selected ? 'true' : null },
            h('th', { scope: 'row' }, h('button', { class: 'where', type: 'button', onclick: () => onSelect(row) }, row.id.startsWith('#') ? row.name : row.id)),
            cell(row.kind),
            cell(shapeText(row.shape)),
            cell(rmsText(row.value), 'v'),
            cell(rmsText(row.gradient), 'g'),
            cell((large.length ? large : weights).map(w => numberOrDot(w.gradient)).join('  '), 'g'),
            cell(update.length ? numberOrDot(Math.max(...update.map(fromJson))) : ''),
            cell(row.units ? percent(row.dead / row.units) : '', row.dead && row.dead === row.units ? 'f' : null),
            cell(found.map(f => `${f.number} ${f.title}`).join(', '), 'f'),
          );
        }),
      ),
    ),
  );
}
