// A network as a file, with its training as it is now: it is not trained again.

import { savingDialog } from '../exporting.js';

const NETWORK_FORMS = [
  ['html', 'Page', 'one file in which the training can be rewound without a server'],
  ['svg', 'SVG figure', 'the network as it is now, for slides, documents and other drawing programs'],
  ['tex', 'TikZ figure', 'the network as it is now, for LaTeX'],
  ['json', 'JSON', 'the trace: the training at many updates, with all numbers and formulas'],
];

// what() says which network is shown, and how: {id, address, width}.
export function networkExports(what, { client, notify, theme }) {
  const ask = kind => {
    const { id, address, width } = what();
    return client.get(`/api/network/${id}/export`, { as: kind, address, theme: theme(), width });
  };
  return savingDialog(NETWORK_FORMS, { ask, notify });
}
