// The live page: which page is shown follows the address; what is global (theme, help, undo) lives here.

import { serverClient } from './client.js';
import { followAddress, makeHistory, readHash } from './history.js';
import { formulaPage } from './formula/page.js';
import { modelPage } from './model/page.js';
import { networkPage } from './network/page.js';
import { makeShell } from './shell.js';

const shell = makeShell(document.body, {
  client: serverClient,
  pages: { formula: formulaPage, network: networkPage, model: modelPage },
  history: show => makeHistory(show),
});
followAddress(hash => shell.show(readHash(hash)));
