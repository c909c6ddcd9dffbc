// The model page in a cell.

import { modelPage } from '../model/page.js';
import { showInCell } from './cell.js';

const pathsOf = text => (text ?? '').split(',').filter(Boolean);

export const modelInCell = place =>
  showInCell(place, () => ({
    name: 'model',
    page: modelPage,
    traits: ['at', 'opened', 'selected', 'asked', 'as_table'],
    traitsOf: state => ({ at: state.at ?? '', opened: pathsOf(state.open), selected: state.sel ?? '', asked: state.by ?? '', as_table: state.as === 'table' }),
    // Which model is open is no trait: there is one alone.
    stateOf: (traits, { of = '' }) => ({ of, at: traits.at, open: traits.opened.join(), sel: traits.selected, by: traits.asked, as: traits.as_table ? 'table' : '' }),
  }));
