// How the training went: small pictures over the same steps, read again while it goes on.

import { h, s } from '../dom.js';
import { fmt, fromJson } from '../numbers.js';
import { roundScale, decadeScale, scaleText } from './sizes.js';

const TRAINING_PLOTS = [
  { name: 'Loss', series: ['loss', 'held-out loss'], wide: true },
  { name: 'Accuracy', series: ['train accuracy', 'held-out accuracy'] },
  { name: 'Learning rate', series: ['learning rate'] },
  { name: 'Gradient', series: ['gradient'], more: 'root mean square' },
  { name: 'Update over weight', series: ['update ratio'], more: 'median' },
];
const PLOT_HEIGHT = 148, PLOT_LOWER = 20;

const knownPoints = ({ x, y }) => x.map((step, i) => [step, fromJson(y[i])]);

// Fills `host`; `chance` is drawn as a dotted line under the loss.
export function curvePictures(host, curves, chance) {
  const others = Object.keys(curves.series).filter(name => !TRAINING_PLOTS.some(p => p.series.includes(name)) && name !== 'train loss');
  const plots = [...TRAINING_PLOTS, ...others.map(name => ({ name, series: [name] }))].filter(plot => plot.series.some(name => curves.series[name]));
  host.replaceChildren(...plots.map(plot => trainingFigure(plot, curves, plot.name === 'Loss' ? chance : null, host)), ...trainingFindings(curves.found));
}

// What the monitor of the run said meanwhile; the plum lines of the pictures stand at the same steps.
function trainingFindings(found) {
  if (!found.length) return [];
  const rows = found.slice(-8).map(f => [h('dt', { class: 'f' }, `step ${fmt(f.step)}`), h('dd', {}, h('b', {}, `${f.kind.replaceAll('_', ' ')} in ${f.where}`), ` ${f.cause}`)]);
  return [h('div', { class: 'found-list' }, h('h3', {}, 'Found while it was trained'), h('dl', { class: 'facts-list' }, rows))];
}

function trainingFigure(plot, curves, chance, host) {
  const lines = plot.series.filter(name => curves.series[name]).map(name => ({ name, points: knownPoints(curves.series[name]) }));
  const readout = h('span', { class: 'small readout' });
  const latest = lines.map(({ name, points }) => `${name} ${fmt(points.at(-1)[1])}`).join(', ');
  readout.textContent = latest;
  const figure = h('figure', { class: `plot${plot.wide ? ' wide' : ''}` }, h('figcaption', { class: 'row spread' }, h('h3', {}, plot.name, plot.more ? h('span', { class: 'dim' }, ` ${plot.more}`) : null, lines.length > 1 ? lines.map(({ name }, k) => h('span', { class: `line-key n${k}` }, name)) : null), readout));
  const width = Math.max(180, plot.wide || host.clientWidth < 560 ? host.clientWidth : host.clientWidth / 2 - 8);
  const unit = parseFloat(getComputedStyle(host).fontSize) / 15, height = PLOT_HEIGHT * unit, left = 52 * unit;
  const values = lines.flatMap(line => line.points.map(p => p[1])), finite = values.filter(Number.isFinite);
  const positive = finite.length > 0 && finite.every(x => x > 0);
  const scale = positive && Math.max(...finite) / Math.min(...finite) > 30 ? decadeScale(finite) : roundScale(chance == null ? finite : [...finite, chance], 3, plot.name === 'Accuracy' || !positive ? Math.min(0, ...finite) : 0);
  const steps = lines.flatMap(line => line.points.map(p => p[0])), first = Math.min(...steps), last = Math.max(...steps, first + 1);
  const X = step => left + ((step - first) / (last - first)) * (width - left - 10), Y = y => 6 + (1 - scale.at(y)) * (height - PLOT_LOWER * unit - 10);
  const svg = s('svg', { class: 'plot-picture', width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${plot.name} from step ${first} to ${last}: ${latest}` });
  if (scale) {
    for (const tick of scale.ticks) svg.append(s('path', { class: 'rule', d: `M${left} ${Y(tick)}H${width - 10}` }), s('text', { class: 'strip-more', x: left - 6, y: Y(tick) + 4, 'text-anchor': 'end' }, scaleText(tick)));
    if (chance != null && scale.at(chance) >= 0 && scale.at(chance) <= 1) svg.append(s('path', { class: 'chance', d: `M${left} ${Y(chance)}H${width - 10}` }), s('text', { class: 'strip-more', x: width - 12, y: Y(chance) + (Y(chance) < 18 ? 13 : -4), 'text-anchor': 'end' }, 'chance'));
    lines.forEach((line, k) => svg.append(...trainingLine(line, k, X, Y, height - PLOT_LOWER * unit)));
  }
  for (const found of curves.found) svg.append(s('path', { class: 'found', d: `M${X(found.step)} 4V${height - PLOT_LOWER * unit}` }, s('title', {}, `${found.kind} in ${found.where}`)));
  svg.append(s('text', { class: 'strip-more', x: left, y: height - 4 }, `step ${fmt(first)}`), s('text', { class: 'strip-more', x: width - 10, y: height - 4, 'text-anchor': 'end' }, `step ${fmt(last)}`));
  const cursor = s('path', { class: 'cursor', visibility: 'hidden' });
  svg.append(cursor);
  svg.addEventListener('pointermove', event => {
    const step = first + ((event.offsetX - left) / (width - left - 10)) * (last - first);
    const near = lines.map(({ name, points }) => ({ name, at: points.reduce((best, p) => (Math.abs(p[0] - step) < Math.abs(best[0] - step) ? p : best)) }));
    cursor.setAttribute('d', `M${X(near[0].at[0])} 4V${height - PLOT_LOWER * unit}`);
    cursor.setAttribute('visibility', 'visible');
    readout.textContent = `step ${fmt(near[0].at[0])}: ${near.map(({ name, at }) => `${name} ${fmt(at[1])}`).join(', ')}`;
  });
  svg.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    readout.textContent = latest;
  });
  figure.append(svg);
  return figure;
}

// A line that is broken where numbers are not finite; there a cross stands at the axis.
function trainingLine({ points }, k, X, Y, low) {
  const made = [];
  let d = '', open = false;
  for (const [x, y] of points) {
    if (Number.isFinite(y)) {
      d += `${open ? 'L' : 'M'}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`;
      open = true;
    } else {
      made.push(s('path', { class: 'cross', d: `M${X(x) - 4} ${low - 8}l8 8m0 -8l-8 8` }));
      open = false;
    }
  }
  made.unshift(s('path', { class: `curve n${k}`, d }));
  if (k && points.length < 120) made.push(...points.filter(p => Number.isFinite(p[1])).map(([x, y]) => s('circle', { class: `curve-dot n${k}`, cx: X(x), cy: Y(y), r: 2.6 })));
  return made;
}
