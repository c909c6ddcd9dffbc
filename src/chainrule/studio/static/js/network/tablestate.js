// A table of one's own in the address. Small ones travel in the link; larger ones stay in this tab.

const LONGEST_TABLE_IN_LINK = 4000;
const rememberedTables = new Map();

export function tableState(table) {
  const state = {};
  if (table.text.length <= LONGEST_TABLE_IN_LINK) state.table = table.text;
  else {
    state.own = String(table.text.length);
    rememberedTables.set(state.own, table);
  }
  if (table.inputs) state.inputs = table.inputs.join('|');
  if (table.label) state.label = table.label;
  if (table.titled != null) state.titled = table.titled ? 'yes' : 'no';
  if (table.skip) state.skip = 'yes';
  return state;
}

// The table of an address, or null; `shown` where this tab does not know it any more.
export function tableOf(state, shown = null) {
  if (!state.table) return state.own ? (rememberedTables.get(state.own) ?? shown) : null;
  return { text: state.table, inputs: (state.inputs ?? '').split('|').filter(Boolean), label: state.label, titled: { yes: true, no: false }[state.titled] ?? null, skip: state.skip === 'yes' };
}
