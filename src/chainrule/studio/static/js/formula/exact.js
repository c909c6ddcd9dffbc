// Numbers as they are written by hand: 1/2, −2.5e3, pi/4, 2^(1/2), ∞.

const EXACT_NAMES = { pi: Math.PI, 'π': Math.PI, e: Math.E, inf: Infinity, infinity: Infinity, '∞': Infinity, nan: NaN };
const EXACT_TOKEN = /\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-zπ∞]+)|(\*\*|[-+*/^()]))/iy;

// The number that a text stands for, or null where it is none.
export function exactNumber(text) {
  const tokens = exactTokens(text.replaceAll('−', '-').replace(/^\s*([+-]?\d+),(\d+)\s*$/, '$1.$2'));
  if (!tokens?.length || tokens.length > 100) return null;
  let at = 0;
  const take = (...wanted) => (wanted.includes(tokens[at]) ? tokens[at++] : null);
  const sum = () => {
    let found = product();
    for (let sign = take('+', '-'); sign; sign = take('+', '-')) found = sign === '+' ? found + product() : found - product();
    return found;
  };
  const product = () => {
    let found = signed();
    for (let sign = take('*', '/'); sign; sign = take('*', '/')) found = sign === '*' ? found * signed() : found / signed();
    return found;
  };
  const signed = () => (take('-') ? -signed() : take('+') ? signed() : power());
  const power = () => {
    const base = atom();
    return take('^', '**') ? base ** signed() : base;
  };
  const atom = () => {
    if (typeof tokens[at] === 'number') return tokens[at++];
    if (!take('(')) throw new SyntaxError('a number is missing');
    const found = sum();
    if (!take(')')) throw new SyntaxError('a parenthesis is open');
    return found;
  };
  try {
    const found = sum();
    return at === tokens.length ? found : null;
  } catch (problem) {
    if (problem instanceof SyntaxError) return null;
    throw problem;
  }
}

// Numbers and signs; null where something else is written.
function exactTokens(text) {
  const tokens = [], rest = text.trimEnd();
  EXACT_TOKEN.lastIndex = 0;
  while (EXACT_TOKEN.lastIndex < rest.length) {
    const found = EXACT_TOKEN.exec(rest);
    if (!found) return null;
    const [, number, name, sign] = found;
    if (name !== undefined && !Object.hasOwn(EXACT_NAMES, name.toLowerCase())) return null;
    tokens.push(number !== undefined ? Number(number) : name !== undefined ? EXACT_NAMES[name.toLowerCase()] : sign);
  }
  return tokens;
}
