// A page of the studio within a notebook's cell: its questions go to the kernel, and what it shows is the widget's state,
// which Python reads and sets.

import { h } from '../dom.js';
import { makeHistory } from '../history.js';
import { makeShell } from '../shell.js';
import { kernelClient } from './kernel.js';

// Light or dark as the notebook is: JupyterLab, Notebook and VS Code say so at the body.
function followNotebook(root, shell) {
  const { body } = document;
  const follow = () => {
    const light = body.dataset.jpThemeLight ?? { 'vscode-dark': 'false', 'vscode-light': 'true' }[body.dataset.vscodeThemeKind];
    if (light === undefined) return;
    root.dataset.theme = light === 'true' ? 'light' : 'dark';
    shell.themed();
  };
  const observer = new MutationObserver(follow);
  observer.observe(body, { attributeFilter: ['data-jp-theme-light', 'data-vscode-theme-kind'] });
  follow();
  return () => observer.disconnect();
}

// Traits as one text, by which they are compared.
const sorted = (_, value) => (value && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value);
const written = (names, traits) => JSON.stringify(names.map(name => traits[name]), sorted);

const UNHEARD = {
  silent: 'The kernel of this chainrule page does not answer. It runs a cell, and answers after that; or it has ended: then run the cell again.',
  ended: 'The kernel of this chainrule page has ended. Run its cell again.',
};

// What anywidget calls for each place where the widget is shown; gives what undoes it. `wanted(client)` says which page
// it is and how the page's state, as an address has it, becomes the widget's traits and back: {name, page, traits,
// traitsOf(state), stateOf(traits, state that is shown), isReady(traits)}.
export async function showInCell({ model, el }, wanted) {
  const root = h('div', { class: 'chainrule' });
  // The notebook would take keys as its commands, and "d", "d" deletes the cell. It looks for this mark from where the
  // focus is upwards, but for its commands there first: so what has the focus bears it.
  root.addEventListener('focusin', event => event.target.setAttribute('data-lm-suppress-shortcuts', 'true'));
  const unheard = h('p', { class: 'unheard', role: 'status', hidden: true });
  root.append(unheard);
  el.append(root);
  const onSilence = why => {
    unheard.hidden = !why;
    unheard.textContent = UNHEARD[why] ?? '';
  };
  const client = { ...kernelClient(model, onSilence), alone: true };
  const { name, page, traits, traitsOf, stateOf, isReady = () => true } = await wanted(client);
  let known = '', shown = {};
  const toKernel = state => {
    shown = state;
    const found = traitsOf(state);
    if (!isReady(found) || written(traits, found) === known) return;
    known = written(traits, found);
    for (const one of traits) model.set(one, found[one]);
    model.save_changes();
  };
  const shell = makeShell(root, {
    client,
    pages: { [name]: page },
    history: show => makeHistory(show, { address: null, told: toKernel }),
    start: name,
  });
  let planned = false;
  const fromKernel = () => {
    planned = false;
    const found = Object.fromEntries(traits.map(one => [one, model.get(one)]));
    if (written(traits, found) === known) return;
    known = written(traits, found);
    shell.show({ page: name, state: stateOf(found, shown) });
  };
  const onChange = () => {
    if (!planned) queueMicrotask(fromKernel); // several may change at once
    planned = true;
  };
  for (const one of traits) model.on(`change:${one}`, onChange);
  const unfollow = followNotebook(root, shell);
  fromKernel();
  return () => {
    for (const one of traits) model.off(`change:${one}`, onChange);
    unfollow();
    shell.leave();
    client.leave();
    root.remove();
  };
}
