// Options of a network: from the address and back, and the row in which they are chosen.

import { h, setText } from '../dom.js';
import { fmt } from '../numbers.js';

const OPTION_MAIN = ['data', 'layers', 'activation', 'loss', 'optimizer', 'rate', 'batch'];
const OPTION_MORE = ['points', 'noise', 'tests', 'decay', 'init', 'biases', 'seed'];

// What each option is where the address does not say: as it suits the data.
export function optionDefaults(choices, data) {
  const usual = Object.fromEntries(Object.entries(choices.fields).map(([name, field]) => [name, field.default]));
  return { ...usual, ...(choices.fields.data.named[data]?.defaults ?? {}), data };
}

const optionText = value => (Array.isArray(value) ? value.join('-') || 'none' : typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value));

function readOption(field, text) {
  const type = field.schema.type;
  if (type === 'array') return text === 'none' ? [] : text.split('-').map(Number);
  if (type === 'boolean') return text !== 'no';
  return type === 'string' ? text : Number(text);
}

// Options of an address. What is no option there is left to the server to refuse.
export function optionsOf(choices, state) {
  const data = state.data ?? choices.fields.data.default;
  const options = optionDefaults(choices, data);
  for (const [name, field] of Object.entries(choices.fields)) if (state[name] !== undefined) options[name] = readOption(field, state[name]);
  return options;
}

// Options with what is usual in place of each that is not possible: links are written by hand too.
export function possibleOptions(choices, options) {
  const data = Object.hasOwn(choices.fields.data.named, options.data) ? options.data : choices.fields.data.default;
  const usual = optionDefaults(choices, data);
  const possible = Object.fromEntries(Object.entries(choices.fields).map(([name, field]) => [name, fitsSchema(field.schema, options[name]) ? options[name] : usual[name]]));
  const { kind } = choices.fields.data.named[data];
  if (kind && !choices.fields.loss.named[possible.loss].for.includes(kind)) possible.loss = usual.loss;
  if (possible.init === 'article' && !isArticleNetwork(possible)) possible.init = choices.fields.init.default;
  return possible;
}

export const isArticleNetwork = options => options.data === 'article' && options.layers.join() === '2' && !options.biases;

function fitsSchema({ type, enum: named, minimum = -Infinity, maximum = Infinity, items, maxItems }, value) {
  if (type === 'string') return named.includes(value);
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'array') return value.length <= maxItems && value.every(one => fitsSchema(items, one));
  return Number.isFinite(value) && value >= minimum && value <= maximum && (type === 'number' || Number.isInteger(value));
}

// What people call the options in which two networks differ.
export const differingOptions = (choices, a, b) => Object.entries(choices.fields).filter(([name]) => optionText(a[name]) !== optionText(b[name])).map(([, field]) => field.title);

// The part of an address: only what differs from what suits the data.
export function optionsState(choices, options) {
  const usual = optionDefaults(choices, options.data);
  const state = {};
  for (const name of Object.keys(choices.fields)) {
    const text = optionText(options[name]);
    if (name === 'data' ? options.data !== choices.fields.data.default : text !== optionText(usual[name])) state[name] = text;
  }
  return state;
}

// The options that a choice of data brings: those that were chosen stay where they fit.
export function optionsForData(choices, options, data) {
  const before = optionDefaults(choices, options.data);
  const after = optionDefaults(choices, data);
  const special = ['article', 'digits'].some(name => [data, options.data].includes(name));
  const kept = special ? ['seed'] : ['activation', 'optimizer', 'rate', 'decay', 'seed', 'tests', 'batch'];
  for (const name of kept) if (optionText(options[name]) !== optionText(before[name])) after[name] = options[name];
  return after;
}

// The row of controls. `onChange(name, value)` is called with each choice, `onOwn()` where own data is asked for. `fixed`
// says that nothing can be chosen.
export function optionsRow(choices, { onChange, onOwn, fixed }) {
  const controls = {};
  const control = name => {
    const field = choices.fields[name];
    const made = name === 'layers' ? optionLayers(field, onChange) : field.schema.type === 'boolean' ? optionFlag(name, onChange) : field.named ? optionNamed(name, field, onChange, onOwn) : optionNumber(name, field, onChange);
    controls[name] = made;
    return h(name === 'layers' ? 'div' : 'label', { class: `knob knob-${name}`, title: field.note }, h('span', {}, field.title), made.element);
  };
  const element = h(
    fixed ? 'fieldset' : 'div',
    { class: 'knobs', disabled: fixed, 'aria-label': fixed ? 'Options of this network' : null },
    h('div', { class: 'knobs-main' }, OPTION_MAIN.map(control)),
    h('details', { class: 'knobs-more' }, h('summary', {}, 'More options'), h('div', { class: 'knobs-main' }, OPTION_MORE.map(control))),
  );
  return {
    element,
    show(options, kind) {
      for (const [name, one] of Object.entries(controls)) one.show(options[name], options, kind);
    },
  };
}

function optionNamed(name, field, onChange, onOwn) {
  const entries = Object.entries(field.named);
  const choose = event => {
    const value = event.target.value;
    if (value === 'own') {
      event.target.value = event.target.dataset.shown ?? 'moons';
      onOwn();
    } else onChange(name, value);
  };
  const element = h('select', { onchange: choose }, entries.map(([key, one]) => h('option', { value: key, title: one.note }, one.title)));
  if (name === 'data') element.append(h('option', { value: 'own-shown', hidden: true }, 'own table'));
  return {
    element,
    show(value, options, kind) {
      element.value = value === 'own' ? 'own-shown' : value;
      element.dataset.shown = element.value;
      for (const option of element.options) {
        const one = field.named[option.value];
        if (name === 'loss') option.hidden = option.disabled = one.for.every(k => k !== kind) && option.value !== value;
        if (name === 'init' && option.value === 'article') option.hidden = option.disabled = options.data !== 'article';
      }
    },
  };
}

// Numbers: those that are usual, the one that is shown, and any other by typing.
function optionNumber(name, field, onChange) {
  const other = 'other…';
  const select = h('select', {});
  const input = h('input', { type: 'number', min: field.schema.minimum, max: field.schema.maximum, step: field.schema.type === 'integer' ? 1 : 'any', hidden: true, 'aria-label': field.title });
  const said = value => (name === 'batch' && value === 0 ? 'all' : name === 'tests' ? `${fmt(100 * value, 3)} %` : fmt(value));
  select.addEventListener('change', () => {
    if (select.value !== other) return onChange(name, Number(select.value));
    select.hidden = true;
    input.hidden = false;
    input.value = select.dataset.shown;
    input.focus();
    input.select();
  });
  const done = () => {
    if (input.hidden) return;
    input.hidden = true;
    select.hidden = false;
    select.value = select.dataset.shown;
    const value = Number(input.value);
    if (input.value !== '' && String(value) !== select.dataset.shown) onChange(name, value);
  };
  input.addEventListener('change', done);
  input.addEventListener('blur', done);
  input.addEventListener('keydown', event => event.key === 'Enter' && done());
  const element = h('span', { class: 'number' }, select, input);
  return {
    element,
    show(value) {
      const values = [...new Set([...field.usual, value])].sort((a, b) => a - b);
      const key = values.join();
      if (select.dataset.values !== key) {
        select.replaceChildren(...values.map(x => h('option', { value: String(x) }, said(x))), h('option', {}, other));
        select.dataset.values = key;
      }
      select.value = select.dataset.shown = String(value);
    },
  };
}

function optionFlag(name, onChange) {
  const element = h('input', { type: 'checkbox', onchange: event => onChange(name, event.target.checked) });
  return { element: h('span', { class: 'flag' }, element), show: value => (element.checked = value) };
}

// How many hidden layers; how many units each has is chosen above its column.
function optionLayers(field, onChange) {
  let widths = [];
  const most = field.schema.maxItems;
  const fewer = h('button', { class: 'btn icon', 'aria-label': 'One hidden layer less', onclick: () => onChange('layers', widths.slice(0, -1)) }, '−');
  const more = h('button', { class: 'btn icon', 'aria-label': 'One hidden layer more', onclick: () => onChange('layers', [...widths, widths.at(-1) ?? 4]) }, '+');
  const shown = h('output', { 'aria-live': 'off' });
  return {
    element: h('div', { class: 'stepper', role: 'group', 'aria-label': field.title }, fewer, shown, more),
    show(value) {
      widths = value;
      setText(shown, value.length > 3 && new Set(value).size === 1 ? `${value.length} × ${value[0]}` : value.join(' · ') || 'none');
      shown.title = value.join(' · ');
      fewer.disabled = !value.length;
      more.disabled = value.length >= most;
    },
  };
}
