// The formula page within a notebook's cell: its questions go to the kernel, and what it shows is the widget's state,
// which Python reads and sets.

import { h } from './dom.js';
import { formulaPage } from './formula/page.js';
import { makeHistory } from './history.js';
import { makeShell } from './shell.js';

// Asks the kernel by messages; answers come back under the number of their question.
function kernelClient(model) {
  const waiting = new Map();
  let asked = 0;
  const onMessage = ({ id, answer, error }) => {
    const question = waiting.get(id);
    if (!question) return;
    waiting.delete(id);
    if (error) question.reject(error);
    else question.resolve(answer);
  };
  const mine = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  const ask = (method, path, given) =>
    new Promise((resolve, reject) => {
      const id = `${mine}-${(asked += 1)}`;
      waiting.set(id, { resolve, reject });
      model.send({ id, method, path, arguments: given ?? {} });
    });
  model.on('msg:custom', onMessage);
  const client = {
    read: null, // the last text that the kernel could read
    get: (path, query) => ask('GET', path, query),
    async post(path, body) {
      const answer = await ask('POST', path, body);
      client.read = body.text;
      return answer;
    },
    leave: () => model.off('msg:custom', onMessage),
  };
  return client;
}

const WIDGET_TRAITS = ['text', 'values', 'step', 'selected', 'mode'];
const WORDS_OF_NUMBERS = ['NaN', 'Infinity', '-Infinity'];

// From the page's state, as an address has it, to the widget's, and back.
function traitsOf(state) {
  const pairs = (state.at ?? '').split(',').filter(Boolean).map(pair => pair.split('='));
  const values = Object.fromEntries(pairs.map(([name, x]) => [name, WORDS_OF_NUMBERS.includes(x) ? x : Number(x)]));
  return { text: state.f ?? '', values, step: state.step ? Number(state.step) : null, selected: state.select ?? '', mode: state.mode ?? 'reverse' };
}
function stateOf(model) {
  const at = Object.entries(model.get('values')).map(([name, x]) => `${name}=${x}`);
  const step = model.get('step');
  return { f: model.get('text'), at: at.join(','), select: model.get('selected'), step: step === null ? '' : String(step), mode: model.get('mode') };
}
const widgetWritten = traits => JSON.stringify(WIDGET_TRAITS.map(name => (name === 'values' ? Object.entries(traits.values).sort() : traits[name])));

// Light or dark as the notebook is: JupyterLab, Notebook and VS Code say so at the body.
function followNotebook(root) {
  const { body } = document;
  const follow = () => {
    const light = body.dataset.jpThemeLight ?? { 'vscode-dark': 'false', 'vscode-light': 'true' }[body.dataset.vscodeThemeKind];
    if (light !== undefined) root.dataset.theme = light === 'true' ? 'light' : 'dark';
  };
  const observer = new MutationObserver(follow);
  observer.observe(body, { attributeFilter: ['data-jp-theme-light', 'data-vscode-theme-kind'] });
  follow();
  return () => observer.disconnect();
}

// What anywidget calls for each place where the widget is shown; gives what undoes it.
export function renderWidget({ model, el }) {
  const root = h('div', { class: 'chainrule' });
  // The notebook would take keys as its commands, and "d", "d" deletes the cell. It looks for this mark from where the
  // focus is upwards, but for its commands there first: so what has the focus bears it.
  root.addEventListener('focusin', event => event.target.setAttribute('data-lm-suppress-shortcuts', 'true'));
  el.append(root);
  const client = kernelClient(model);
  let known = '';
  const toKernel = state => {
    const traits = traitsOf(state);
    if (traits.text !== client.read || widgetWritten(traits) === known) return;
    known = widgetWritten(traits);
    for (const name of WIDGET_TRAITS) model.set(name, traits[name]);
    model.save_changes();
  };
  const shell = makeShell(root, {
    client,
    pages: { formula: formulaPage },
    history: show => makeHistory(show, { address: null, told: toKernel }),
  });
  let planned = false;
  const fromKernel = () => {
    planned = false;
    const now = widgetWritten(Object.fromEntries(WIDGET_TRAITS.map(name => [name, model.get(name)])));
    if (now === known) return;
    known = now;
    shell.show({ page: 'formula', state: stateOf(model) });
  };
  const onChange = () => {
    if (!planned) queueMicrotask(fromKernel); // several may change at once
    planned = true;
  };
  for (const name of WIDGET_TRAITS) model.on(`change:${name}`, onChange);
  const unfollow = followNotebook(root);
  fromKernel();
  return () => {
    for (const name of WIDGET_TRAITS) model.off(`change:${name}`, onChange);
    client.leave();
    unfollow();
    shell.leave();
    root.remove();
  };
}
