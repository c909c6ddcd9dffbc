// What is shown, as a file: a page that works without a server, a figure for a paper, or the data.

import { h } from '../dom.js';
import { saveText } from '../saving.js';

const FORMS = [
  ['html', 'Page', 'one file that works without a server, sliders and steps and all'],
  ['svg', 'SVG figure', 'of this step, for slides, documents and other drawing programs'],
  ['tex', 'TikZ figure', 'of this step, for LaTeX, with the formula\'s own letters'],
  ['json', 'JSON', 'the trace: all numbers, places, letters and words'],
];

// Returns a dialog to be shown; what is written has the page's numbers and step.
export function exportDialog(session, { client, notify, theme }) {
  const close = h('button', { class: 'btn', autofocus: true, onclick: () => dialog.close() }, 'Close');
  const failed = h('p', { class: 'error', role: 'alert', hidden: true });
  const save = kind => async () => {
    failed.hidden = true;
    const { at, mode } = session.state();
    const asked = { text: session.text, at, as: kind, theme: theme() };
    if (mode) asked.mode = mode;
    if (session.step < session.last && kind !== 'html') asked.step = session.step;
    try {
      const found = await client.get('/api/formula/export', asked);
      saveText(found.name, found.type, found.content);
      notify(`${found.name} is saved.`);
      dialog.close();
    } catch (problem) {
      if (problem instanceof Error) throw problem;
      failed.textContent = [problem.message, problem.fix].filter(Boolean).join('. ');
      failed.hidden = false;
    }
  };
  const rows = FORMS.map(([kind, name, what]) => h('div', { class: 'row export-row' }, h('button', { class: 'btn', onclick: save(kind) }, name), h('span', { class: 'small' }, what)));
  const dialog = h('dialog', { class: 'exports', 'aria-label': 'Export' }, h('h2', {}, 'Export'), ...rows, failed, close);
  return dialog;
}
