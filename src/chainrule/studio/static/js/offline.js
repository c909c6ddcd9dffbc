// A page in a file of its own: shows the trace that the file holds, and asks no server.

import { formulaPage } from './formula/page.js';
import { stillFormulaClient } from './formula/still.js';
import { followAddress, makeHistory, readHash } from './history.js';
import { modelPage } from './model/page.js';
import { recordedModelClient } from './model/recorded.js';
import { networkPage } from './network/page.js';
import { recordedNetworkClient } from './network/recorded.js';
import { makeShell } from './shell.js';

const KINDS = {
  formula: { name: 'formula', page: formulaPage, client: stillFormulaClient },
  model: { name: 'model', page: modelPage, client: recordedModelClient },
  training: { name: 'network', page: networkPage, client: recordedNetworkClient },
};

const held = JSON.parse(document.getElementById('chainrule-trace').textContent);
const { name, page, client } = KINDS[held.trace.kind];
const shell = makeShell(document.body, {
  client: client(held),
  pages: { [name]: page },
  history: show => makeHistory(show),
  start: name,
});
// Where the address says nothing, the page shows what was exported.
followAddress(hash => shell.show(hash ? readHash(hash) : { page: name, state: held.state ?? readHash(held.trace.address).state }));
