// The network page in a cell. Which update is shown the kernel knows before the page hears of it: it is no trait, and a
// state from the kernel shows the network as it is.

import { optionsOf, optionsState } from '../network/options.js';
import { AS_IT_IS, networkPage } from '../network/page.js';
import { tableOf, tableState } from '../network/tablestate.js';
import { showInCell } from './cell.js';

// That the first line is no title has to be said; that no lines are left out goes without saying.
const saysNothing = (name, value) => value == null || (value === false && name !== 'titled') || value === '' || (Array.isArray(value) && !value.length);
const plainTable = table => table && Object.fromEntries(Object.entries(table).filter(([name, value]) => !saysNothing(name, value)));

export const networkInCell = place =>
  showInCell(place, async client => {
    const choices = await client.get('/api/network/choices');
    return {
      name: 'network',
      page: networkPage,
      traits: ['options', 'table', 'point', 'selected', 'shows'],
      traitsOf: state => ({
        options: optionsOf(choices, state),
        // With other data it is kept for when it is wanted again.
        table: state.data === 'own' ? plainTable(tableOf(state)) : place.model.get('table'),
        point: Number(state.pt ?? 0),
        selected: (state.sel ?? '2.1').split('.').map(Number),
        shows: state.show ?? 'both',
      }),
      stateOf: ({ options, table, point, selected, shows }, { step = '' }) => ({
        ...optionsState(choices, options),
        ...(options.data === 'own' ? tableState(table) : {}),
        at: AS_IT_IS,
        pt: String(point),
        sel: selected.join('.'),
        show: shows,
        step,
      }),
    };
  });
