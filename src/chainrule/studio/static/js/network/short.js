// Numbers where there is little room: fewer digits until they fit, at last the nearest power of ten.

import { fmt } from '../numbers.js';

const RAISED_SIGNS = /[⁻⁰¹²³⁴-⁹]/gu;
const shownWidth = text => text.length - 0.5 * (text.match(RAISED_SIGNS)?.length ?? 0);

export function shortNumber(x, room) {
  for (let digits = 3; digits > 0; digits--) {
    const text = fmt(x, digits);
    if (shownWidth(text) <= room || digits === 1) {
      const isTiny = shownWidth(text) > room && Math.abs(x) < 1e-3 && x !== 0;
      return isTiny ? fmt(Math.sign(x) * 10 ** Math.round(Math.log10(Math.abs(x))), 1) : text;
    }
  }
}
