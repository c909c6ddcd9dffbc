// What is selected: a unit, a weight or a bias, with its formulas in numbers for the chosen example.

import { h, setAttr, setText } from '../dom.js';
import { flowingMath } from './flowing.js';
import { shortNumber } from './short.js';
import { fromJson } from '../numbers.js';

// onSelect({layer, unit, into}).
export function networkInspector({ onSelect, notify }) {
  const head = h('div', { class: 'insp-head' });
  const tiles = h('div', { class: 'tiles' });
  const sections = h('div', { class: 'sections' });
  const parts = h('div', { class: 'parts' });
  const notes = h('div', { class: 'small notes' });
  const element = h('section', { class: 'card pad insp', 'aria-label': 'Selection' }, head, tiles, sections, parts, notes);
  let last = 0, waiting = 0, shown = null;
  const paint = () => {
    waiting = 0;
    last = performance.now();
    paintInspector({ head, tiles, sections, parts, notes }, shown, onSelect, notify);
  };
  return {
    element,
    // While training runs, at most three times a second: formulas take longer to typeset than numbers to read.
    update(frame) {
      shown = frame.selected;
      const rest = frame.status.running ? 300 - (performance.now() - last) : 0;
      if (rest <= 0) {
        clearTimeout(waiting);
        paint();
      } else waiting ||= setTimeout(paint, rest);
    },
  };
}

function paintInspector({ head, tiles, sections, parts, notes }, shown, onSelect, notify) {
  if (!shown) return;
  const key = JSON.stringify([shown.kind, shown.layer, shown.unit, shown.into, shown.tiles.map(t => t.title)]);
  if (head.dataset.key !== key) {
    head.dataset.key = key;
    const out = shown.kind === 'weight' || shown.kind === 'bias' ? h('button', { class: 'btn quiet', onclick: () => onSelect({ layer: shown.layer, unit: shown.unit, into: null }) }, '← its unit') : null;
    head.replaceChildren(...[h('h2', { class: 'big' }, flowingMath(shown.symbol.tree)), h('span', { class: 'small' }, shown.title), out].filter(Boolean));
    tiles.replaceChildren(...shown.tiles.map(tile => h('div', { class: `tile ${tile.hue === 'g' ? 'gr' : ''}` }, h('small', {}, tile.title), h('b', {}))));
    parts.replaceChildren();
  }
  shown.tiles.forEach((tile, i) => {
    const x = fromJson(tile.value);
    setText(tiles.children[i].lastChild, shortNumber(x, 8));
    setAttr(tiles.children[i], 'title', String(x));
  });
  const text = JSON.stringify(shown.sections.map(one => one.lines.map(line => line.latex)));
  if (sections.dataset.text !== text) {
    sections.dataset.text = text;
    sections.replaceChildren(...shown.sections.map(one => inspectorSection(one, notify)));
  }
  paintParts(parts, shown, onSelect);
  const said = shown.notes.join(' ');
  if (notes.dataset.text !== said) {
    notes.dataset.text = said;
    notes.replaceChildren(...shown.notes.map(note => h('p', {}, note)));
  }
}

function inspectorSection(one, notify) {
  const latex = one.lines.map(line => line.latex).join(' \\\\\n');
  const copy = h('button', { class: 'btn quiet copy', title: 'Copy as LaTeX', 'aria-label': `Copy “${one.title}” as LaTeX`, onclick: () => copyNetworkText(latex, 'LaTeX', notify) }, 'LaTeX');
  return h('div', { class: 'sec' }, h('div', { class: 'row spread' }, h('h3', {}, one.title), copy), h('div', { class: 'chain' }, one.lines.map(line => flowingMath(line.tree))));
}

export async function copyNetworkText(text, what, notify) {
  try {
    await navigator.clipboard.writeText(text);
    notify(`${what} is copied.`);
  } catch {
    notify('The browser does not allow copying here.');
  }
}

// What each input brings to the sum: rows that stay, with numbers that change.
function paintParts(parts, shown, onSelect) {
  if (!shown.parts.length) return parts.replaceChildren();
  if (parts.querySelectorAll('tbody tr').length !== shown.parts.length) {
    const head = ['from', 'weight', '× value', '= brings', '∂E/∂w'].map(title => h('th', { scope: 'col' }, title));
    const rows = shown.parts.map(part => h('tr', {}, h('th', { scope: 'row' }, h('button', { class: 'link', onclick: event => onSelect({ layer: shown.layer, unit: shown.unit, into: Number(event.currentTarget.dataset.into) }) }, part.name)), ['v', 'v', 'v', 'g'].map(hue => h('td', { class: hue }))));
    const few = shown.parts.length - 1 < shown.parts_of && shown.parts_of > 16;
    parts.replaceChildren(h('h3', {}, few ? `The 16 inputs of ${shown.parts_of} that bring most` : 'Weights of this unit'), h('div', { class: 'table-scroll', tabindex: 0, role: 'region', 'aria-label': 'Weights of this unit' }, h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, rows))));
  }
  const rows = parts.querySelectorAll('tbody tr');
  shown.parts.forEach((part, i) => {
    const cells = rows[i].children;
    const name = cells[0].firstChild;
    setText(name, part.name);
    name.dataset.into = part.into;
    ['weight', 'value', 'brings', 'gradient'].forEach((field, k) => setText(cells[k + 1], field === 'value' && part.into === 0 ? '1' : shortNumber(fromJson(part[field]), 8)));
  });
}
