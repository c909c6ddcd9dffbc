// The error function, which browsers do not have.

const TWO_BY_ROOT_PI = 2 / Math.sqrt(Math.PI);

// Maclaurin's series with Kummer's transformation, all terms positive; good to the last digits for |x| < 3.
function series(x) {
  let term = x, sum = x;
  for (let n = 1; n < 200 && Math.abs(term) > 1e-17 * Math.abs(sum); n += 1) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return TWO_BY_ROOT_PI * Math.exp(-x * x) * sum;
}

// The continued fraction of erfc for x >= 2, from its far end. Source: NIST DLMF 7.9.1.
function fraction(x) {
  let tail = x;
  for (let k = 120; k >= 1; k -= 1) tail = x + k / 2 / tail;
  return (Math.exp(-x * x) / Math.sqrt(Math.PI)) / tail;
}

export function erfOf(x) {
  if (Number.isNaN(x)) return NaN;
  return Math.abs(x) < 2 ? series(x) : Math.sign(x) * (1 - fraction(Math.abs(x)));
}
export function erfcOf(x) {
  if (Number.isNaN(x)) return NaN;
  if (x < 0.5) return 1 - erfOf(x);
  return x < 2 ? 1 - series(x) : fraction(x);
}
