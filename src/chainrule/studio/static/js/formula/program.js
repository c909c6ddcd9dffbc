// The scalar instructions of a formula, run on float64: what the primitives themselves say they do to one element.
// chainrule.compiler.instructions says what each instruction means; a test compares all of them with NumPy.

import { fromJson } from '../numbers.js';
import { erfOf, erfcOf } from './special.js';

const nearestEven = x => {
  const floor = Math.floor(x);
  const gap = x - floor;
  if (gap !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
};
const floored = (a, b) => {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
};
const sigmoid = x => {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const small = Math.exp(x);
  return small / (1 + small);
};
// IEEE 754 has 1 to any power and −1 to an infinite one as 1, where JavaScript has NaN.
const power = (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b);

const INSTRUCTIONS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: a => -a,
  abs: Math.abs,
  minimum: Math.min,
  maximum: Math.max,
  floor_divide: (a, b) => (b === 0 ? a / b : Math.floor(a / b)),
  remainder: floored,
  power,
  sqrt: Math.sqrt,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  round: nearestEven,
  copysign: (a, b) => (b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a)),
  less: (a, b) => (a < b ? 1 : 0),
  less_equal: (a, b) => (a <= b ? 1 : 0),
  equal: (a, b) => (a === b ? 1 : 0),
  not_equal: (a, b) => (a !== b ? 1 : 0),
  select: (condition, yes, no) => (condition ? yes : no),
  logical_and: (a, b) => (a && b ? 1 : 0),
  logical_or: (a, b) => (a || b ? 1 : 0),
  logical_xor: (a, b) => (!a !== !b ? 1 : 0),
  logical_not: a => (a ? 0 : 1),
  to_number: a => a,
  to_bool: a => (a !== 0 ? 1 : 0),
  exp: Math.exp,
  exp2: x => 2 ** x,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  log2: Math.log2,
  log10: Math.log10,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  atan2: Math.atan2,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  erf: erfOf,
  erfc: erfcOf,
  sigmoid,
  pow: power,
  cbrt: Math.cbrt,
  hypot: Math.hypot,
};

// Prepares `trace.program`; the function it gives fills all registers from the variables' values.
export function makeProgram({ registers, constants, instructions, steps }) {
  const memory = new Float64Array(registers);
  for (const [register, value] of constants) memory[register] = fromJson(value);
  const known = instructions.map(name => {
    if (!INSTRUCTIONS[name]) throw new Error(`this page does not know the instruction ${name}`);
    return INSTRUCTIONS[name];
  });
  const code = Int32Array.from(steps);
  return inputs => {
    memory.set(inputs, 0);
    for (let i = 0; i < code.length; ) {
      const f = known[code[i]];
      const operands = code[i + 2];
      const a = memory[code[i + 3]];
      memory[code[i + 1]] = operands === 1 ? f(a) : operands === 2 ? f(a, memory[code[i + 4]]) : f(a, memory[code[i + 4]], memory[code[i + 5]]);
      i += 3 + operands;
    }
    return memory;
  };
}
