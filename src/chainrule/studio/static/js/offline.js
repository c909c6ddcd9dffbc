// A page in a file of its own: shows the trace that the file holds, and asks no server.

import { formulaPage } from './formula/page.js';
import { stillFormulaClient } from './formula/still.js';
import { makeHistory, readHash } from './history.js';
import { modelPage } from './model/page.js';
import { recordedModelClient } from './model/recorded.js';
import { makeShell } from './shell.js';

const KINDS = {
  formula: { page: formulaPage, client: stillFormulaClient },
  model: { page: modelPage, client: recordedModelClient },
};

const held = JSON.parse(document.getElementById('chainrule-trace').textContent);
const kind = held.trace.kind;
const shell = makeShell(document.body, {
  client: KINDS[kind].client(held),
  pages: { [kind]: KINDS[kind].page },
  history: show => makeHistory(show),
  start: kind,
});
// Where the address says nothing, the page shows what was exported.
const toAddress = () => shell.show(location.hash ? readHash() : { page: kind, state: held.state });
window.addEventListener('hashchange', toAddress);
toAddress();
