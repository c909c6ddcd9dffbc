// The formula bar: a field that is read while one types, what is wrong with it, and examples one click away.

import { freshId, h, setAttr } from '../dom.js';

const PAUSE_MS = 800; // after which what was typed is a step of undo

// `fixed` says why no other formula can be read, where that is so.
export function formulaBar(session, { fixed = null } = {}) {
  const ids = { field: freshId('formula'), error: freshId('formula-error') };
  const field = h('textarea', { id: ids.field, rows: 1, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', 'aria-describedby': ids.error, wrap: 'off', readonly: Boolean(fixed) });
  const frame = h('div', { class: 'field' }, h('label', { for: ids.field }, 'formula'), field);
  const error = h('div', { class: 'error', id: ids.error, role: 'alert', hidden: true });
  const examples = fixed ? h('p', { class: 'small fixed' }, fixed) : h('div', { class: 'examples', role: 'group', 'aria-label': 'Examples' });
  const element = h('section', { class: 'bar wide', 'aria-label': 'Formula' }, frame, examples, error);
  let typed = false, pause = 0;

  const pills = (fixed ? [] : session.examples).map(example =>
    h('button', { class: 'btn', type: 'button', 'aria-pressed': 'false', title: example.text, onclick: () => session.open(example) }, h('span', { class: 'num' }, example.name), h('small', {}, example.source)),
  );
  examples.append(...pills);

  const lines = () => field.value.split('\n').length;
  function openness() {
    const open = document.activeElement === field && lines() > 1;
    frame.classList.toggle('open', open);
    field.rows = open ? Math.min(14, lines()) : 1;
  }
  const settled = () => {
    clearTimeout(pause);
    if (typed && !session.error) session.write(true);
    typed = false;
  };
  const read = async () => {
    await session.read(field.value, session.inputs, { commit: false });
    clearTimeout(pause);
    pause = setTimeout(settled, PAUSE_MS);
  };
  field.addEventListener('input', () => {
    typed = true;
    openness();
    read();
  });
  field.addEventListener('focus', openness);
  field.addEventListener('blur', () => {
    settled();
    openness();
    field.scrollTop = 0;
    field.scrollLeft = 0;
  });
  field.addEventListener('keydown', event => {
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      settled();
    } else if (event.key === 'Escape') field.blur();
  });
  session.focusFormula = () => {
    field.focus();
    field.select();
  };

  function paintError() {
    const problem = session.error;
    frame.classList.toggle('bad', Boolean(problem));
    setAttr(field, 'aria-invalid', problem ? 'true' : null);
    error.hidden = !problem;
    error.replaceChildren();
    if (!problem) return;
    const [sentence] = problem.message.split('\n');
    const kept = session.trace ? ' The graph below still shows the last formula that worked.' : '';
    error.append(h('p', {}, h('b', {}, `${capital(sentence)}.`), kept), ...(Number.isInteger(problem.at) ? [caretUnder(session.text, problem.at)] : []), ...(problem.fix ? [h('p', { class: 'fix' }, `${capital(problem.fix)}.`)] : []));
  }
  function paintExamples() {
    const shown = exampleShown(session);
    pills.forEach((pill, i) => setAttr(pill, 'aria-pressed', String(session.examples[i] === shown)));
  }
  function paint() {
    if (!typed && field.value !== session.text) field.value = session.text;
    openness();
    paintExamples();
  }
  session.on('error', paintError);
  session.on('trace', paint);
  session.on('error', () => session.error && !typed && paint());
  return element;
}

// A sentence begins with a capital; a formula or a command is written as it is.
const capital = text => (/^[a-z]+ /.test(text) && !text.startsWith('chainrule ') ? text.charAt(0).toUpperCase() + text.slice(1) : text).replace(/\.$/, '');

// The example that is shown: of those with the same text the one whose values these are.
function exampleShown(session) {
  const same = session.examples.filter(example => example.text === session.text);
  const exact = same.find(example => Object.entries(example.values).every(([name, value]) => session.inputs[name] === value));
  return exact ?? same[0] ?? null;
}

// The line with the mistake and a caret under its character. Python counts characters, a page counts halves of some.
function caretUnder(text, at) {
  const characters = [...text];
  const start = at ? characters.lastIndexOf('\n', at - 1) + 1 : 0;
  const end = characters.indexOf('\n', start);
  const line = characters.slice(start, end < 0 ? characters.length : end);
  const from = Math.max(0, at - start - 60);
  const before = (from ? '…' : '') + line.slice(from, at - start).join('');
  const after = line.slice(at - start, at - start + 60).join('') + (line.length > at - start + 60 ? '…' : '');
  return h('pre', { 'aria-hidden': 'true' }, `${before}${after}\n`, h('span', { class: 'unseen' }, before), '^');
}
