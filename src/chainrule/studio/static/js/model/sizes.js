// Sizes of tensors as people read them, and scales that span many decades.

import { fmt, fromJson } from '../numbers.js';

export const shapeText = shape => (shape.length ? shape.join('×') : 'one number');
export const rmsOf = size => (size ? fromJson(size.rms) : null);
export const rmsText = (size, digits = 3) => (size ? fmt(fromJson(size.rms), digits) : '·');
export const numberOrDot = (x, digits = 3) => (x == null ? '·' : fmt(fromJson(x), digits));

const COUNT_UNITS = ['', ' k', ' M', ' G', ' T'];
export function shortCount(n) {
  let power = 0;
  while (n >= 1000 && power < COUNT_UNITS.length - 1) {
    n /= 1000;
    power += 1;
  }
  return `${power ? fmt(n, 3) : n}${COUNT_UNITS[power]}`;
}
export const bytesText = n => `${shortCount(n)}B`.replace(/(\d)B/, '$1 B');

// The last part of a path, and what stands before it.
export const lastOfPath = path => path.split('.').at(-1);

// What is strange about a place, in words; '' for nothing.
export function strangeText(place) {
  const found = [];
  if (place.strange) found.push(`${shortCount(place.strange)} values are not finite`);
  if (place.strange_gradients) found.push(`${shortCount(place.strange_gradients)} gradients are not finite`);
  if (place.units && place.dead === place.units) found.push(`all ${place.units} units are 0 for the whole batch`);
  else if (place.dead) found.push(`${place.dead} of ${place.units} units are 0 for the whole batch`);
  return found.join('; ');
}

// A scale over the decades of some positive numbers: {low, high, ticks, at(x) from 0 to 1}; null without any.
export function decadeScale(numbers, { least = 1 } = {}) {
  const logs = numbers.filter(x => x > 0 && Number.isFinite(x)).map(Math.log10);
  if (!logs.length) return null;
  let low = Math.min(...logs), high = Math.max(...logs);
  const missing = least - (high - low);
  if (missing > 0) {
    low -= missing / 2;
    high += missing / 2;
  }
  const room = (high - low) * 0.06;
  low -= room;
  high += room;
  const step = Math.max(1, Math.ceil((high - low) / 4));
  const ticks = [];
  for (let e = Math.ceil(low); e <= high; e += 1) if (e % step === 0) ticks.push(10 ** e);
  return { log: true, low, high, ticks, at: x => Math.min(1, Math.max(0, (Math.log10(x) - low) / (high - low))) };
}

// From 0 to the largest, with round ticks.
export function roundScale(numbers, count = 2, from = 0) {
  const finite = numbers.filter(x => Number.isFinite(x));
  if (!finite.length) return null;
  const low = Math.min(from, ...finite), high = Math.max(...finite, low + 1e-12);
  const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * unit).find(x => x >= rough) ?? rough;
  const ticks = [];
  for (let t = Math.ceil(low / step) * step; t <= high * (1 + 1e-9); t += step) ticks.push(Math.abs(t) < step / 1e6 ? 0 : t);
  return { log: false, low, high, ticks, at: x => (x - low) / (high - low) };
}

export const scaleText = x => fmt(x, 2);

// A lane's width for a number among those of its picture: 1 px for the smallest, 6 for the largest, by decades.
export function laneWidths(numbers) {
  const scale = decadeScale(numbers, { least: 2 });
  return x => (scale && x > 0 ? (Number.isFinite(x) ? 1.1 + 4.4 * scale.at(x) : 6) : 0);
}
