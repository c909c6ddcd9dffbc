// A formula as a file: a page that works without a server, a figure for a paper, or the data.

import { savingDialog } from '../exporting.js';

const FORMS = [
  ['html', 'Page', 'one file that works without a server, sliders and steps and all'],
  ['svg', 'SVG figure', 'of this step, for slides, documents and other drawing programs'],
  ['tex', 'TikZ figure', 'of this step, for LaTeX, with the formula\'s own letters'],
  ['json', 'JSON', 'the trace: all numbers, places, letters and words'],
];

// Returns a dialog to be shown; what is written has the page's numbers and step.
export function exportDialog(session, { client, notify, theme }) {
  const ask = kind => {
    const { at, mode } = session.state();
    const asked = { text: session.text, at, as: kind, theme: theme() };
    if (mode) asked.mode = mode;
    if (session.step < session.last && kind !== 'html') asked.step = session.step;
    return client.get('/api/formula/export', asked);
  };
  return savingDialog(FORMS, { ask, notify });
}
