// What is known of the selected place, and why its gradient is as it is.

import { grouped, h } from '../dom.js';
import { fmt, fromJson, percent } from '../numbers.js';
import { problemBox } from './doctor.js';
import { bytesText, numberOrDot, shapeText, shortCount, strangeText } from './sizes.js';

const PLACE_QUESTIONS = [
  ['why', 'Why?', 'why the gradient has its value'],
  ['layer', 'Layers', 'what goes through each layer and past it'],
  ['branch', 'Branches', 'where the gradient divides'],
  ['sample', 'Examples', 'what each example adds'],
];

export function placeCard(host, place, { by, answer, busy, onAsk, onOpen, onEnter, isOpen }) {
  const register = (name, size, hue) =>
    h(
      'div',
      { class: `register ${hue}` },
      h('span', {}, name),
      h('b', { title: size ? String(size.rms) : '' }, size ? fmt(fromJson(size.rms), 4) : '·'),
      h('small', {}, size ? `mean ${fmt(fromJson(size.mean), 3)}` : 'none reaches it'),
    );
  const elements = place.shape.reduce((a, b) => a * b, 1);
  const facts = [
    ['shape', `${shapeText(place.shape)} ${place.dtype ?? ''}`],
    ['exact zeros', `${percent(place.value.zeros / Math.max(1, elements))} of the values${place.gradient ? `, ${percent(place.gradient.zeros / Math.max(1, elements))} of the gradient` : ''}`],
    place.units > 0 && ['dead units', `${grouped(place.dead)} of ${grouped(place.units)}`],
    place.nodes > 0 && ['in it', `${grouped(place.nodes)} operations, ${grouped(place.parameters)} parameters`],
    place.flops > 0 && ['work', `${shortCount(place.flops)} FLOPs, ${bytesText(place.bytes)} of values`],
    place.source && ['line', `${place.source.file.split(/[\\/]/).at(-1)}:${place.source.line}  ${place.source.text}`],
  ].filter(Boolean);
  const strange = strangeText(place);
  const kids = [
    h('div', { class: 'row spread' }, h('h2', { class: 'place-name' }, place.path ?? place.at), h('span', { class: 'small' }, place.kind || (place.type === 'parameter' ? 'parameter' : ''))),
    h('div', { class: 'registers' }, register('value', place.value, 'v'), register('gradient', place.gradient, 'g')),
    h('p', { class: 'small' }, 'root mean square of the result, and of the gradient of the loss for it'),
    strange && h('p', { class: 'f strange' }, `▲ ${strange}`),
    h('dl', { class: 'facts-list' }, facts.map(([name, text]) => [h('dt', {}, name), h('dd', {}, text)])),
    place.weights.length > 0 && weightTable(place.weights),
    place.type === 'group' && h('div', { class: 'row' }, !isOpen && h('button', { class: 'btn', type: 'button', onclick: onEnter }, 'Look into it'), onOpen && h('button', { class: 'btn', type: 'button', onclick: onOpen }, 'Open in place')),
    h('div', { class: 'seg ask', role: 'radiogroup', 'aria-label': 'What to ask' }, PLACE_QUESTIONS.map(([key, name, title]) => h('button', { class: 'btn', type: 'button', role: 'radio', 'aria-checked': by === key ? 'true' : 'false', title, onclick: () => onAsk(key) }, name))),
    h('div', { class: 'answer', role: 'status' }, busy ? h('span', { class: 'small' }, 'both passes are looked at …') : answer ? answerView(answer) : h('span', { class: 'small' }, 'Ask why this gradient is as it is, or where it comes from.')),
  ];
  host.replaceChildren(...kids.filter(Boolean));
}

function weightTable(weights) {
  const most = 12, known = weights.some(w => w.update != null);
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'numbers' },
      h('thead', {}, h('tr', {}, ['parameter', 'shape', 'size', 'gradient', known && 'update'].filter(Boolean).map(name => h('th', { scope: 'col' }, name)))),
      h(
        'tbody',
        {},
        weights.slice(0, most).map(w => h('tr', {}, h('th', { scope: 'row' }, w.path.split('.').slice(-2).join('.')), h('td', {}, shapeText(w.shape)), h('td', { class: 'v' }, numberOrDot(w.value)), h('td', { class: 'g' }, numberOrDot(w.gradient)), known && h('td', {}, numberOrDot(w.update)))),
      ),
    ),
    weights.length > most && h('p', { class: 'small' }, `and ${weights.length - most} more`),
  );
}

function answerView(answer) {
  if (answer.error) return problemBox(answer.error);
  if (answer.by !== 'why') return sharesView(answer);
  const { data } = answer;
  const rows = [['seen', data.seen], ['cause', data.explanation], data.source && ['line', `${data.source.file.split(/[\\/]/).at(-1)}:${data.source.line}  ${data.source.text}`], ...data.evidence.map(line => ['evidence', line]), data.proof && ['proof', `with ${data.proof.change}: ${data.proof.after}`], ...data.others.map(line => ['also', line]), data.remedy && ['remedy', data.remedy]].filter(Boolean);
  return h('div', {}, h('h3', { class: data.cause === 'none' ? '' : 'f' }, answer.text.split('\n')[0]), h('dl', { class: 'facts-list' }, rows.map(([name, text]) => [h('dt', {}, name), h('dd', {}, text)])));
}

// Shares as bars from 0, hatched where they work against the others.
function sharesView({ data, text }) {
  const most = 14;
  const splits = data.splits.filter(split => !split.inner).slice(0, most);
  const bar = share => {
    const part = share.fraction ?? 0;
    const fill = h('i', { class: part < 0 ? 'share-bar minus' : 'share-bar' });
    fill.style.width = `${Math.min(100, 100 * Math.abs(part))}%`;
    return h('div', { class: 'share' }, h('span', { class: 'share-name' }, share.name), h('span', { class: 'share-track' }, fill), h('span', { class: 'g' }, share.fraction == null ? '·' : percent(share.fraction)));
  };
  const shown = data.by === 'sample' || data.by === 'path' ? splits.map(split => ({ ...split, shares: [...split.shares].sort((a, b) => Math.abs(fromJson(b.value)) - Math.abs(fromJson(a.value))).slice(0, most) })) : splits;
  return h(
    'div',
    {},
    h('h3', {}, text.split('\n')[0]),
    shown.map(split => h('div', { class: 'split' }, split.name && h('h4', {}, split.name, split.detail ? h('span', { class: 'dim' }, ` ${split.detail}`) : null), split.shares.map(bar))),
    data.splits.length > shown.length && h('p', { class: 'small' }, `and ${data.splits.length - shown.length} more places: see the JSON`),
    data.notes.map(note => h('p', { class: 'small' }, note)),
  );
}
