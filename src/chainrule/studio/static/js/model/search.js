// A field that finds modules and parameters by a part of their name.

import { h } from '../dom.js';

export function searchField({ search, onFound }) {
  let asked = 0, timer = 0, at = -1;
  const list = h('ul', { class: 'matches', role: 'listbox', id: 'model-matches', 'aria-label': 'Found', hidden: true });
  const field = h('input', { type: 'search', class: 'finder-field', placeholder: 'Find a module or parameter', role: 'combobox', 'aria-label': 'Find a module or parameter', 'aria-expanded': 'false', 'aria-controls': 'model-matches', 'aria-autocomplete': 'list', autocomplete: 'off', spellcheck: 'false' });
  const element = h('div', { class: 'finder' }, field, list);

  function close() {
    asked += 1; // what is still looked for is not wanted any more
    clearTimeout(timer);
    list.hidden = true;
    field.setAttribute('aria-expanded', 'false');
    field.removeAttribute('aria-activedescendant');
  }
  function mark(to) {
    const options = list.querySelectorAll('[role=option]');
    if (!options.length) return;
    at = (to + options.length) % options.length;
    options.forEach((option, i) => option.setAttribute('aria-selected', i === at ? 'true' : 'false'));
    field.setAttribute('aria-activedescendant', options[at].id);
    options[at].scrollIntoView({ block: 'nearest' });
  }
  function choose(id) {
    close();
    field.value = '';
    onFound(id);
  }
  async function look() {
    const mine = (asked += 1), text = field.value.trim();
    if (!text) return close();
    const found = await search(text).catch(() => null);
    if (mine !== asked || !found) return;
    at = -1;
    list.replaceChildren(...found.matches.map((match, i) => h('li', { role: 'option', id: `model-match-${i}`, 'aria-selected': 'false', onpointerdown: event => (event.preventDefault(), choose(match.id)) }, h('span', {}, match.id), h('span', { class: 'dim' }, match.kind || match.type))), found.matches.length < found.count || !found.count ? h('li', { class: 'dim', role: 'presentation' }, found.count ? `and ${found.count - found.matches.length} more` : `nothing is called ${text}`) : '');
    list.hidden = false;
    field.setAttribute('aria-expanded', 'true');
  }
  field.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(look, 80);
  });
  field.addEventListener('blur', close);
  field.addEventListener('keydown', event => {
    const options = [...list.querySelectorAll('[role=option]')];
    if (event.key === 'ArrowDown') mark(at + 1);
    else if (event.key === 'ArrowUp') mark(at - 1);
    else if (event.key === 'Enter') {
      const option = options[Math.max(0, at)];
      if (!option || list.hidden) return;
      choose(option.firstChild.textContent);
    } else if (event.key === 'Escape') close();
    else return;
    event.preventDefault();
  });
  return { element, focus: () => field.focus() };
}
