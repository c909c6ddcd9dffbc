// The network handed on: its formula with the weights plugged in, a program of chainrule, its data.

import { h } from '../dom.js';
import { flowingMath } from './flowing.js';
import { copyNetworkText } from './inspector.js';
import { saveText } from '../saving.js';

const LONGEST_FORMULA = 6000;

// ask(part) gives what the server says of the network that is shown now; hasFormulas where a Formula page is beside this.
export function networkHanding({ ask, notify, hasFormulas }) {
  const shown = h('div', { class: 'whole' });
  const stale = h('p', { class: 'small' });
  const details = h('details', {}, h('summary', {}, 'Formula of the whole network, with its weights plugged in'), stale, shown);
  const element = h('section', { class: 'card pad handing' }, h('h2', {}, 'Take it with you'), h('div', { class: 'row' }), details);
  const told = async action => {
    try {
      await action();
    } catch (problem) {
      notify([problem.message ?? String(problem), problem.fix].filter(Boolean).join('. '), 6000);
    }
  };
  const save = (name, text) => saveText(name, 'text/plain', text);
  const button = (text, title, action) => h('button', { class: 'btn', title, onclick: () => told(action) }, text);
  const offers = [
    button('Copy formula', 'As text', async () => copyNetworkText((await ask('formula')).text, 'The formula', notify)),
    button('Copy LaTeX', 'For papers', async () => copyNetworkText((await ask('formula')).latex, 'The LaTeX', notify)),
    hasFormulas && button('Open as a formula', 'On the Formula page, where values and gradients flow through every node', async () => openAsFormula(await ask('formula'), notify)),
    button('Python program', 'The network in chainrule, and how it was trained', async () => {
      const found = await ask('program');
      save(found.program.name, found.program.text);
      notify('The program reads its data from network.csv beside it.', 5000);
    }),
    button('Data as CSV', 'All points, with what they are for', async () => {
      const found = await ask('table');
      save(found.name, found.text);
    }),
  ];
  element.children[1].append(...offers.filter(Boolean));
  let at = null;
  const load = () =>
    told(async () => {
      const found = await ask('formula');
      at = found.update;
      shown.replaceChildren(...found.lines.map(line => flowingMath(line.tree)));
      if (!found.lines.length) shown.replaceChildren(h('p', { class: 'small' }, `${found.weights} weights are too many to read here. “Copy formula” has all of them.`));
      stale.textContent = `After update ${found.update}.`;
    });
  details.addEventListener('toggle', () => details.open && load());
  return {
    element,
    reset: () => (at = null),
    update(frame) {
      if (!details.open || frame.status.running || frame.status.goal !== null || at === frame.status.update) return;
      at = frame.status.update;
      load();
    },
  };
}

function openAsFormula(found, notify) {
  if (found.formula.length > LONGEST_FORMULA) return notify(`${found.weights} weights are too many for the Formula page. Choose fewer units.`, 5000);
  const values = Object.entries(found.values).map(([name, value]) => `${name}=${value}`).join(',');
  location.hash = `#/formula?${new URLSearchParams({ f: found.formula, at: values })}`;
}
