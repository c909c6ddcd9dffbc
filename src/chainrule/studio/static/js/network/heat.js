// Heat maps: + is the hue, 0 the paper, − charcoal; never a second hue for a sign.

import { h } from '../dom.js';

// Bytes from base64.
export function heatBytes(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// Whole numbers of 16 bits from base64, and the bytes of the same numbers.
export const heatFine = text => new Int16Array(heatBytes(text).buffer);
export const heatCoarse = fine => Uint8Array.from(fine, x => Math.round((x / 32767 + 1) * 127.5));

// The colours of the theme that is shown now, as [r, g, b]. Asked for again when the theme changes.
export function heatColours(root) {
  const probe = h('span', { hidden: true });
  root.append(probe);
  const read = name => {
    probe.style.color = `var(${name})`;
    const parts = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
    return getComputedStyle(probe).color.startsWith('color(') ? parts.slice(0, 3).map(x => Math.round(255 * x)) : parts.slice(0, 3);
  };
  const names = { value: '--val-line', gradient: '--grad-line', paper: '--surface', charcoal: '--edge', ink: '--ink', faint: '--ink-3', line: '--line', hairline: '--edge' };
  const found = Object.fromEntries(Object.entries(names).map(([name, variable]) => [name, read(variable)]));
  probe.remove();
  return found;
}

const heatPacked = ([r, g, b], a = 255) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
const heatMixed = (a, b, k) => a.map((x, i) => Math.round(x + (b[i] - x) * k));

// 256 colours for bytes from −1 (0) over 0 (127.5) to 1 (255).
export function heatScale(plus, colours, strength = 1) {
  const scale = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const t = i / 127.5 - 1;
    scale[i] = heatPacked(heatMixed(colours.paper, t > 0 ? plus : colours.charcoal, Math.abs(t) * strength));
  }
  return scale;
}

// The levels of several classes: paper to hue in equal steps, alternating so that neighbours differ.
export function heatClasses(count, colours) {
  return Array.from({ length: count }, (_, i) => heatMixed(i % 2 ? colours.charcoal : colours.paper, colours.value, count < 2 ? 0.5 : (i % 2 ? 0.15 : 0) + (0.75 * i) / (count - 1)));
}

const heatImages = new WeakMap();

// Paints bytes into a canvas of w × h pixels, whose size on screen the style sheet gives.
export function heatPaint(canvas, width, height, bytes, scale) {
  let kept = heatImages.get(canvas);
  if (!kept || kept.image.width !== width || kept.image.height !== height) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d');
    const image = context.createImageData(width, height);
    kept = { context, image, pixels: new Uint32Array(image.data.buffer) };
    heatImages.set(canvas, kept);
  }
  const { context, image, pixels } = kept;
  if (typeof scale === 'function') for (let i = 0; i < pixels.length; i++) pixels[i] = heatPacked(scale(bytes[i], i));
  else for (let i = 0; i < pixels.length; i++) pixels[i] = scale[bytes[i]];
  context.putImageData(image, 0, 0);
}

// Numbers as bytes of a scale: size is what ±1 stands for.
export function heatOf(values, size) {
  const bytes = new Uint8Array(values.length);
  const by = size > 0 && Number.isFinite(size) ? size : 1;
  values.forEach((x, i) => (bytes[i] = Math.round((Math.max(-1, Math.min(1, x / by)) + 1) * 127.5)));
  return bytes;
}

export const heatCss = ([r, g, b], a = 1) => `rgb(${r} ${g} ${b} / ${a})`;
