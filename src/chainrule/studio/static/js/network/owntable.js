// A table of one's own: chosen, dropped or pasted; which columns are inputs and which is learned.

import { grouped, h, plural } from '../dom.js';

const TABLE_EXAMPLE = 'height, width, kind\n12, 3.5, tulip\n30, 8, rose\n…';

// onUse(table) with {text, inputs, label, titled, skip}; it gives a promise, which fails with what is wrong.
export function ownTableDialog(client, most, { onUse }) {
  const text = h('textarea', { rows: 7, spellcheck: 'false', placeholder: TABLE_EXAMPLE, 'aria-label': 'The table as text', 'aria-describedby': 'own-table-error' });
  const file = h('input', { type: 'file', accept: '.csv,.tsv,.txt,text/csv,text/plain', 'aria-label': 'File' });
  const titled = h('select', {}, h('option', { value: '' }, 'by its look'), h('option', { value: 'yes' }, 'names the columns'), h('option', { value: 'no' }, 'is an example'));
  const first = h('select', {}), second = h('select', {}), label = h('select', {});
  const skip = h('input', { type: 'checkbox' });
  const said = h('p', { class: 'small', 'aria-live': 'polite' });
  const error = h('div', { class: 'error', role: 'alert', id: 'own-table-error', hidden: true });
  const use = h('button', { class: 'btn main' }, 'Use this table');
  const close = h('button', { class: 'btn' }, 'Cancel');
  const columns = h('div', { class: 'own-columns', hidden: true }, h('label', {}, 'first input', first), h('label', {}, 'second input', second), h('label', {}, 'learn', label), h('label', { class: 'own-skip' }, skip, 'leave out lines that cannot be used'));
  const dialog = h(
    'dialog',
    { class: 'own-table', 'aria-label': 'Your own table' },
    h('h2', {}, 'Your own table'),
    h('p', { class: 'small' }, 'A CSV file with one example on each line: one or two columns of numbers to learn from, and one to learn. It stays on this machine.'),
    h('div', { class: 'row' }, file, h('label', { class: 'row small' }, 'The first line', titled)),
    text,
    said,
    columns,
    error,
    h('div', { class: 'row' }, use, close),
  );
  let found = null, asked = 0;
  const fail = problem => {
    error.replaceChildren(h('span', {}, problem.message), ...(problem.fix ? [h('span', {}, `What helps: ${problem.fix}.`)] : []));
    error.hidden = false;
  };
  // What the text box shall not even show.
  const refuse = problem => {
    if (!dialog.open) dialog.showModal();
    text.value = file.value = '';
    look();
    fail(problem);
  };
  const chosen = () => ({ '': null, yes: true, no: false })[titled.value];
  async function look(keep = null) {
    const mine = ++asked;
    error.hidden = true;
    use.disabled = true;
    if (!text.value.trim()) {
      columns.hidden = true;
      said.textContent = '';
      return;
    }
    try {
      const answer = await client.post('/api/network/table', { text: text.value, titled: chosen() });
      if (mine !== asked) return;
      found = answer;
      showColumns(keep);
      await tryColumns();
    } catch (problem) {
      if (mine !== asked) return;
      columns.hidden = true;
      said.textContent = '';
      fail(problem);
    }
  }
  // Whether the columns that are chosen can be learned from is said before they are used.
  async function tryColumns() {
    const mine = ++asked;
    error.hidden = true;
    use.disabled = true;
    const inputs = [first.value, second.value].filter(Boolean);
    if (!inputs.length) return fail({ message: 'there is no column of numbers to learn from', fix: 'bring one or two columns of numbers, and one to learn' });
    try {
      const { problem } = await client.post('/api/network/table', { text: text.value, titled: chosen(), inputs, label: label.value, skip: skip.checked });
      if (mine !== asked) return;
      if (problem) fail(problem);
      use.disabled = Boolean(problem);
    } catch (problem) {
      if (mine === asked) fail(problem);
    }
  }
  function showColumns(keep) {
    const option = c => h('option', { value: c.name }, `${c.name}${c.numeric ? '' : ' (text)'}: ${c.examples.join(', ')}`);
    const numeric = found.columns.filter(c => c.numeric || c.different > 2);
    first.replaceChildren(...numeric.map(option));
    second.replaceChildren(h('option', { value: '' }, 'none'), ...numeric.map(option));
    label.replaceChildren(...found.columns.map(option));
    const { inputs, label: learned } = keep?.inputs ? keep : found.suggestion;
    first.value = inputs[0] ?? numeric[0]?.name ?? '';
    second.value = inputs[1] ?? '';
    label.value = learned;
    columns.hidden = false;
    said.textContent = `${plural(found.lines, 'example')}, ${plural(found.columns.length, 'column')}, separated by ${found.delimiter}${found.titled ? '; the first line names the columns' : ''}.`;
  }
  let typing;
  text.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => look(), 200);
  });
  titled.addEventListener('change', () => look());
  for (const control of [first, second, label, skip]) control.addEventListener('change', tryColumns);
  file.addEventListener('change', () => file.files[0] && self.openFile(file.files[0]));
  close.addEventListener('click', () => dialog.close());
  use.addEventListener('click', async () => {
    error.hidden = true;
    use.disabled = true;
    try {
      await onUse({ text: text.value, inputs: [first.value, second.value].filter(Boolean), label: label.value, titled: chosen(), skip: skip.checked });
      dialog.close();
    } catch (problem) {
      fail(problem);
    }
    use.disabled = false;
  });
  const self = {
    element: dialog,
    async openFile(file) {
      try {
        self.open(await readTable(file, most));
      } catch (problem) {
        refuse(problem);
      }
    },
    open(table = null) {
      if (!dialog.open) dialog.showModal();
      const problem = typeof table === 'string' && tooLarge(new Blob([table]).size, most);
      if (problem) return refuse(problem);
      if (typeof table === 'string') text.value = table;
      else if (table) {
        text.value = table.text;
        skip.checked = Boolean(table.skip);
        titled.value = table.titled == null ? '' : table.titled ? 'yes' : 'no';
      }
      file.value = '';
      look(typeof table === 'string' ? null : table);
      text.focus();
    },
  };
  use.disabled = true;
  return self;
}

const tooLarge = (size, most) => (size > most ? { message: `the table has ${grouped(size)} bytes, more than ${grouped(most)}`, fix: 'bring fewer lines: some hundred are enough to see a small network learn' } : null);

// A file as text; throws {message, fix} where it is none, or too large to be looked at. What is no UTF-8 is read as Windows writes it: most tables that are not UTF-8 come from there.
export async function readTable(file, most) {
  const start = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
  const isWide = (start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0xfe && start[1] === 0xff);
  if (!isWide && start.includes(0)) throw { message: 'this file is not a text table', fix: 'save the table as CSV: text with one example on each line' };
  const problem = tooLarge(file.size, isWide ? 2 * most : most);
  if (problem) throw problem;
  const bytes = await file.arrayBuffer();
  if (start[0] === 0xff && start[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (start[0] === 0xfe && start[1] === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

// Files that are dropped on an element, and tables that are pasted where no text field is.
export function takeTables(element, { open, openFile }) {
  const over = isOver => element.classList.toggle('drop', isOver);
  const hasFile = event => [...(event.dataTransfer?.items ?? [])].some(item => item.kind === 'file');
  element.addEventListener('dragover', event => {
    if (!hasFile(event)) return;
    event.preventDefault();
    over(true);
  });
  element.addEventListener('dragleave', event => element.contains(event.relatedTarget) || over(false));
  element.addEventListener('drop', event => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    over(false);
    openFile(event.dataTransfer.files[0]);
  });
  return event => {
    const target = event.target;
    const pasted = event.clipboardData?.getData('text/plain') ?? '';
    // In a notebook other cells take what is pasted there.
    if (!element.isConnected || element.hidden || !element.closest('.chainrule').contains(target) || target.closest?.('input, textarea, dialog') || !/\S[^\n]*\n[^\n]*\S/.test(pasted)) return;
    event.preventDefault();
    open(pasted);
  };
}
