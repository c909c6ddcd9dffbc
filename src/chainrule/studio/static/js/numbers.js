// Numbers as people read them: the same texts as chainrule.explain.numbers gives, which a test compares.

export const MINUS = '−';
const RAISED = { '-': '⁻', '−': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };

export const inSuperscript = digits => [...digits].map(c => RAISED[c]).join('');

const trimmed = text => {
  const short = text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text;
  return short === '-0' || short === '' ? '0' : short;
};

// Python rounds what lies exactly between two texts to the even digit, JavaScript away from 0: such a number is moved to
// where both agree.
function halfToEven(x, digits) {
  if (!Number.isInteger(x * 2 ** 20)) return x; // no number with a longer binary fraction ends in a decimal 5 so soon
  const [mantissa] = Math.abs(x).toExponential(24).replace('.', '').split('e');
  const isTie = /^50*$/.test(mantissa.slice(digits));
  return isTie && Number(mantissa[digits - 1]) % 2 === 0 ? x * (1 - 2 ** -52) : x;
}

// Mantissa and power of ten (null where there is none) of a finite number.
export function numberParts(x, digits = 4) {
  if (x === 0) return ['0', null];
  const rounded = halfToEven(x, digits).toExponential(digits - 1);
  const size = Math.abs(Number(rounded));
  if (!(size >= 1e-3 && size < 1e5)) {
    const [mantissa, power] = rounded.split('e');
    return [trimmed(mantissa), Number(power)];
  }
  if (Number.isInteger(x)) return [String(x), null];
  const lead = Math.floor(Math.log10(Math.abs(x))), decimals = Math.max(0, digits - 1 - lead);
  return [trimmed(halfToEven(x, lead + 1 + decimals).toFixed(Math.min(100, decimals))), null];
}

// 4 significant digits, a true minus sign, 9.77·10⁻⁵ outside of 10⁻³ to 10⁵.
export function fmt(x, digits = 4) {
  if (Number.isNaN(x)) return 'NaN';
  if (!Number.isFinite(x)) return x > 0 ? '∞' : `${MINUS}∞`;
  const [mantissa, power] = numberParts(x, digits);
  if (power === null) return mantissa.replace('-', MINUS);
  const tenth = inSuperscript(String(power));
  const text = mantissa === '1' ? `10${tenth}` : mantissa === '-1' ? `-10${tenth}` : `${mantissa}·10${tenth}`;
  return text.replace('-', MINUS);
}

// A factor or a later term of a sum: in parentheses where it would not stand alone.
export const isLoose = text => text.startsWith(MINUS) || text.includes('·');
export const asFactor = text => (isLoose(text) ? `(${text})` : text);
export const percent = share => `${fmt(100 * share, 3)} %`;

// JSON has no NaN and no infinities: they come as words.
const WORDS = { NaN, Infinity, '-Infinity': -Infinity };
export const fromJson = x => (typeof x === 'string' ? WORDS[x] : x);
export const toJson = x => (Number.isFinite(x) ? x : String(x));
