// The formula page in a cell.

import { formulaPage } from '../formula/page.js';
import { showInCell } from './cell.js';

const WORDS_OF_NUMBERS = ['NaN', 'Infinity', '-Infinity'];

function traitsOfFormula(state) {
  const pairs = (state.at ?? '').split(',').filter(Boolean).map(pair => pair.split('='));
  const values = Object.fromEntries(pairs.map(([name, x]) => [name, WORDS_OF_NUMBERS.includes(x) ? x : Number(x)]));
  return { text: state.f ?? '', values, step: state.step ? Number(state.step) : null, selected: state.select ?? '', mode: state.mode ?? 'reverse' };
}

function stateOfFormula({ text, values, step, selected, mode }) {
  const at = Object.entries(values).map(([name, x]) => `${name}=${x}`);
  return { f: text, at: at.join(','), select: selected, step: step === null ? '' : String(step), mode };
}

export const formulaInCell = place =>
  showInCell(place, client => {
    const { post } = client;
    let read = null; // the last text that the kernel could read
    client.post = async (path, body) => {
      const answer = await post(path, body);
      read = body.text;
      return answer;
    };
    return {
      name: 'formula',
      page: formulaPage,
      traits: ['text', 'values', 'step', 'selected', 'mode'],
      traitsOf: traitsOfFormula,
      stateOf: stateOfFormula,
      isReady: ({ text }) => text === read,
    };
  });
