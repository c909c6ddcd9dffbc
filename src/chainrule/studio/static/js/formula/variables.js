// The variables: a letter that selects, a slider, the exact number, the gradient.

import { framed, h, paintRange, plural, setAttr, setText } from '../dom.js';
import { MINUS, fmt } from '../numbers.js';
import { exactNumber } from './exact.js';
import { letterMath } from './letters.js';

const MOST_ROWS = 40;

export function variablesPanel(session) {
  const list = h('div', { class: 'vars', role: 'group', 'aria-label': 'Variables' });
  const gradientHead = h('span', {});
  const problem = h('p', { class: 'error', role: 'alert', hidden: true });
  const more = h('button', { class: 'btn quiet', hidden: true, onclick: () => ((all = true), build()) });
  const reset = h('button', { class: 'btn quiet', title: 'The values that the formula came with', onclick: () => setAll(session, start.values, 'reset') }, 'Reset');
  const round = h('button', { class: 'btn quiet', title: 'Each value to two digits', onclick: () => setAll(session, rounded(session.inputs)) }, 'Round');
  const element = h(
    'section',
    { class: 'card pad variables-panel', 'aria-label': 'Variables' },
    h('div', { class: 'row spread' }, h('h2', {}, 'Variables'), h('div', { class: 'row tight' }, round, reset)),
    h('div', { class: 'var-row var-head', 'aria-hidden': 'true' }, h('span'), h('span'), h('span', {}, 'value'), gradientHead),
    list,
    more,
    problem,
  );
  const start = { text: null, values: {} };
  let rows = new Map(), all = false;
  const complain = text => {
    setText(problem, text);
    problem.hidden = !text;
  };

  function build() {
    const { variables, trace } = session;
    if (start.text !== session.text) {
      start.text = session.text;
      start.values = { ...session.inputs, ...session.examples.find(one => one.text === session.text)?.values };
      all = false;
    }
    const shown = all ? variables : variables.filter((node, i) => i < MOST_ROWS || node.id === session.along?.id);
    const before = rows;
    rows = new Map();
    for (const node of shown) {
      const like = JSON.stringify([node.letter, node.range, node.data]);
      const kept = before.get(node.name);
      const row = kept?.like === like ? kept : variableRow(session, node, complain);
      rows.set(node.name, Object.assign(row, { id: node.id, like }));
    }
    const focused = document.activeElement;
    const made = [...rows.values()].map(row => row.element);
    if (made.length !== list.children.length || made.some((row, i) => list.children[i] !== row)) {
      list.replaceChildren(...made);
      if (list.contains(focused)) focused.focus();
    }
    more.hidden = shown.length === variables.length;
    setText(more, `Show all ${plural(variables.length, 'variable')}`);
    setText(gradientHead, `∂${trace.nodes[trace.result].text}/∂·`);
    element.hidden = !variables.length;
    complain('');
    paint();
  }
  function paint() {
    for (const row of rows.values()) row.paint();
    mark();
  }
  function mark() {
    for (const row of rows.values()) setAttr(row.name, 'aria-pressed', String(session.selected === row.id));
    reset.disabled = Object.entries(start.values).every(([name, value]) => Object.is(session.inputs[name], value));
  }
  session.on('trace', build);
  session.on('numbers', framed(paint));
  session.on('view', () => (session.along && !rows.has(session.along.name) ? build() : mark()));
  return element;
}

function variableRow(session, node, complain) {
  const row = { value: undefined, gradient: undefined };
  let [low, high] = node.range;
  const name = h('button', { class: 'name', title: `Select ${node.text}`, 'aria-label': `Select ${node.text}`, onclick: () => session.select(row.id) }, letterMath(node));
  const slider = h('input', { type: 'range', 'aria-label': node.text });
  const field = h('input', { type: 'text', inputmode: 'decimal', autocomplete: 'off', spellcheck: 'false', 'aria-label': `${node.text}, exact value` });
  const gradient = h('span', { class: node.data ? 'gradient off' : 'gradient' });
  row.name = name;
  row.element = h('div', { class: 'var-row', 'data-name': node.name }, h('span', { class: 'who' }, name, node.data && h('span', { class: 'tag', title: 'Data: it is given, not learned' }, 'data')), slider, field, gradient);

  let wanted = null;
  const give = framed(() => {
    if (wanted === null) return;
    session.setVariable(node.name, wanted, { done: false });
    wanted = null;
  });
  slider.addEventListener('input', () => {
    wanted = Number(slider.value);
    give();
  });
  slider.addEventListener('change', () => {
    wanted = null;
    session.setVariable(node.name, Number(slider.value));
  });
  const written = () => {
    const number = exactNumber(field.value);
    setAttr(field, 'aria-invalid', number === null && 'true');
    complain(number === null ? `${node.text}: ${field.value ? `“${field.value.slice(0, 40)}” is no number` : 'a number is missing'}; write one such as −1.5, 1/2 or pi/4.` : '');
    if (number !== null) session.setVariable(node.name, number);
    row.value = undefined;
  };
  field.addEventListener('change', written);
  field.addEventListener('focus', () => (field.value = exactText(session.inputs[node.name], 17)));
  field.addEventListener('blur', () => {
    if (field.getAttribute('aria-invalid')) return;
    row.value = undefined;
    row.paint();
  });
  field.addEventListener('keydown', event => {
    if (event.key === 'Enter') written();
    if (event.key === 'Escape') {
      setAttr(field, 'aria-invalid', null);
      complain('');
      field.value = exactText(session.inputs[node.name], 17);
    }
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      event.preventDefault();
      const step = (event.key === 'ArrowUp' ? 1 : -1) * Number(slider.step) * (event.shiftKey ? 10 : 1);
      const next = Number((session.inputs[node.name] + step).toPrecision(12));
      session.setVariable(node.name, next);
      field.value = exactText(next, 17);
    }
  });

  const stretch = value => {
    if (Number.isFinite(value) && Math.abs(value) > Math.max(-low, high)) {
      high = reachFor(value);
      low = -high;
    }
    setAttr(slider, 'min', low);
    setAttr(slider, 'max', high);
    setAttr(slider, 'step', (high - low) / 200);
  };
  row.paint = () => {
    const value = session.inputs[node.name], slope = session.numbers.gradients[row.id];
    if (!Object.is(row.value, value)) {
      row.value = value;
      stretch(value);
      // A hand that holds it is ahead of what is painted: set back, it would give that value when it lets go.
      if (!slider.matches(':active')) slider.value = Number.isNaN(value) ? 0 : value;
      slider.classList.toggle('lost', !Number.isFinite(value));
      paintRange(slider, 0);
      if (document.activeElement !== field || field.getAttribute('aria-invalid')) {
        setAttr(field, 'aria-invalid', null);
        field.value = exactText(value);
      }
      setAttr(field, 'title', `${value}; also 1/2, pi/4, 1e−3, inf`);
    } else if (Object.is(row.gradient, slope)) return;
    row.gradient = slope;
    setText(gradient, fmt(slope));
    setAttr(gradient, 'title', node.data ? `${slope}: ${node.text} is data, so no step changes it` : slope);
    setAttr(slider, 'aria-valuetext', `${node.text} = ${fmt(value)}, gradient ${fmt(slope)}`);
  };
  return row;
}

// As a hand would write it, with a true minus sign; all digits where it is about to be changed.
const exactText = (x, digits = 6) => (Number.isFinite(x) ? String(Number(x.toPrecision(digits))).replaceAll('-', MINUS) : fmt(x));

// A round number well beyond a value, for the end of its slider.
export function reachFor(value) {
  const least = Math.abs(value) * 1.25, power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map(k => k * power).find(reach => reach >= least) ?? least;
}

function setAll(session, values) {
  const changed = Object.entries(values).filter(([name, value]) => name in session.inputs && !Object.is(session.inputs[name], value));
  changed.forEach(([name, value], i) => session.setVariable(name, value, { done: i === changed.length - 1 }));
}
const rounded = inputs => Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, Number.isFinite(x) ? Number(x.toPrecision(2)) : x]));
