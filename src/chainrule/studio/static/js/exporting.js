// What is shown, as a file: a dialog that offers its forms, and saves the one that is chosen.

import { h } from './dom.js';
import { saveText } from './saving.js';

// `forms` are [kind, name, what it is]; ask(kind) gives {name, type, content}. Returns a dialog to be shown.
export function savingDialog(forms, { ask, notify }) {
  const close = h('button', { class: 'btn', autofocus: true, onclick: () => dialog.close() }, 'Close');
  const failed = h('p', { class: 'error', role: 'alert', hidden: true });
  const writing = h('p', { class: 'small', role: 'status' });
  let asked = 0;
  const save = kind => async () => {
    const mine = (asked += 1);
    failed.hidden = true;
    writing.textContent = 'Writing …';
    try {
      const found = await ask(kind);
      if (mine !== asked) return;
      saveText(found.name, found.type, found.content);
      notify(`${found.name} is saved.`);
      dialog.close();
    } catch (problem) {
      if (problem instanceof Error) throw problem;
      if (mine !== asked) return;
      failed.textContent = [problem.message, problem.fix].filter(Boolean).join('. ');
      failed.hidden = false;
    } finally {
      if (mine === asked) writing.textContent = '';
    }
  };
  const rows = forms.map(([kind, name, what]) => h('div', { class: 'row export-row' }, h('button', { class: 'btn', onclick: save(kind) }, name), h('span', { class: 'small' }, what)));
  const dialog = h('dialog', { class: 'exports', 'aria-label': 'Export' }, h('h2', {}, 'Export'), ...rows, failed, h('div', { class: 'row spread' }, close, writing));
  // What was asked for and is not there yet is not saved behind a dialog that was closed.
  dialog.addEventListener('close', () => {
    asked += 1;
    writing.textContent = '';
  });
  return dialog;
}
