// The network page: options, the network drawn, its surface, losses, what is selected, digits, and what to take along.

import { clamp, h } from '../dom.js';
import { networkDiagram } from './diagram.js';
import { networkDigits } from './digits.js';
import { networkExports } from './exports.js';
import { networkHanding } from './handing.js';
import { heatColours } from './heat.js';
import { networkInspector } from './inspector.js';
import { differingOptions, isArticleNetwork, optionDefaults, optionsForData, optionsOf, optionsRow, optionsState, possibleOptions } from './options.js';
import { ownTableDialog, takeTables } from './owntable.js';
import { sampleBar } from './sample.js';
import { openNetwork } from './session.js';
import { networkSurface } from './surface.js';
import { tableOf, tableState } from './tablestate.js';
import { networkTransport } from './transport.js';
import { problemBox } from '../problems.js';

const SHOWS = { both: 'Both', weights: 'Forward', gradients: 'Backward' };
// In place of an update: the one that the network is at.
export const AS_IT_IS = 'now';

export function networkPage({ client, history, announce, theme, notify = announce }) {
  const element = h('div', { class: 'page network' }, h('p', { class: 'small wide', role: 'status' }, 'Making a network …'));
  const page = { client, history, announce, notify, theme, element, parts: null, session: null, state: {}, table: null, options: null, selection: { point: 0, layer: 2, unit: 1, into: null }, show: 'both', stepOf: 'update', asked: 0, replaced: 0, left: null };
  const started = client.get('/api/network/choices').then(
    choices => {
      page.choices = choices;
      page.parts = buildNetworkPage(page);
    },
    problem => element.replaceChildren(problemBox(problem)),
  );
  const step = count => () => page.parts?.transport.step(count);
  const seek = update => () => page.parts && seekNetwork(page, update());
  return {
    help: [
      ['Space', 'train, pause'],
      ['← →', 'one step back, one step forward'],
      ['Home End', 'first update, last update'],
      ['↑ ↓', 'previous unit, next unit'],
      ['n p', 'next example, previous example'],
      ['g', 'weights, gradients or both'],
    ],
    title: 'Network',
    element,
    async restore(state) {
      await started;
      if (!page.parts) return;
      // Back from another page by its tab: what was shown is shown again.
      const shown = page.left && !Object.keys(state).length ? page.left : state;
      page.left = null;
      if (shown !== state) history.replace(shown);
      await restoreNetwork(page, shown);
    },
    leave() {
      page.left = page.session && networkState(page);
      page.asked++; // what was asked for and is not there yet comes too late
      page.session?.close();
      page.session = null;
    },
    themed: () => themeNetwork(page),
    save: () => page.session && page.parts.exports.showModal(),
    twin: () => (page.session ? `/api/network/${page.session.id}/frame` : null),
    keys: {
      ' ': () => page.parts?.transport.toggle(),
      ArrowRight: step(1),
      ArrowLeft: step(-1),
      Home: seek(() => 0),
      End: seek(() => page.parts.transport.furthest),
      ArrowUp: () => nextUnit(page, -1),
      ArrowDown: () => nextUnit(page, 1),
      g: () => page.parts?.show(nextShow(page.show)),
      n: () => page.parts?.sample.next(1),
      p: () => page.parts?.sample.next(-1),
    },
  };
}

const nextShow = show => Object.keys(SHOWS)[(Object.keys(SHOWS).indexOf(show) + 1) % 3];

function buildNetworkPage(page) {
  const { client, choices, notify } = page;
  const send = message => page.session?.send(message);
  const onSelect = selection => selectNetwork(page, selection);
  const onPick = point => selectNetwork(page, { point });
  const error = h('div', { class: 'stage-error', hidden: true });
  const own = ownTableDialog(client, choices.most_bytes, { onUse: table => changeNetwork(page, { ...optionsForData(choices, page.options, 'own'), data: 'own' }, table) });
  const fixed = Boolean(client.recorded);
  const row = optionsRow(choices, {
    fixed,
    onChange: (name, value) => changeNetwork(page, name === 'data' ? optionsForData(choices, page.options, value) : { ...page.options, [name]: value }, name === 'data' ? null : page.table).catch(problem => showNetworkError(page, problem)),
    onOwn: () => own.open(page.table),
  });
  const onWidth = (hidden, n) => row && changeNetwork(page, { ...page.options, layers: page.options.layers.map((w, i) => (i === hidden ? n : w)) }, page.table).catch(problem => showNetworkError(page, problem));
  const hover = h('span', { class: 'small hover' });
  const diagram = networkDiagram({ onSelect, onWidth: fixed ? null : onWidth, onHover: text => (hover.textContent = text) });
  const surface = networkSurface({ onPick });
  const sample = sampleBar({ onPick, chosen: () => page.selection.point });
  const transport = networkTransport(choices, { send, onSeek: update => seekNetwork(page, update), onStepOf: value => commitNetwork(page, { stepOf: value }), recorded: client.recorded, held: client.held?.updates });
  const inspector = networkInspector({ onSelect, notify });
  const digits = networkDigits({ onPick, onSelect });
  const handing = networkHanding({ ask: part => client.get(`/api/network/${page.session.id}/${part}`), notify, hasFormulas: client.served });
  const exports = client.served && networkExports(() => ({ id: page.session.id, address: location.hash, width: diagram.element.clientWidth }), { client, notify, theme: page.theme });
  const shows = h('div', { class: 'seg', role: 'radiogroup', 'aria-label': 'What the lanes show', onkeydown: event => turnShows(event, page) }, Object.entries(SHOWS).map(([key, title]) => h('button', { class: 'btn', role: 'radio', 'data-shows': key, onclick: () => parts.show(key) }, title)));
  const legend = h('div', { class: 'legend small' }, h('span', { class: 'key key-w' }, 'weight'), h('span', { class: 'key key-g' }, 'gradient'), h('span', { class: 'key key-neg' }, 'negative'));
  const own2 = !fixed && h('button', { class: 'btn', onclick: () => own.open(page.table) }, 'Own table…');
  const surfaceCard = h('section', { class: 'card pad surface-card' }, h('h2', {}, 'What the network says'), surface.element);
  const stage = h('section', { class: 'card stage', 'aria-label': 'The network' }, error, h('div', { class: 'stage-head' }, row.element), h('div', { class: 'stage-bar' }, shows, legend, hover, own2), diagram.element, transport.element);
  const side = h('div', { class: 'side' }, surfaceCard, h('section', { class: 'card pad sample-card' }, sample.element), inspector.element);
  page.element.replaceChildren(stage, side, h('div', { class: 'lower one' }, digits.element, handing.element), ...(fixed ? [] : [own.element]), ...(exports ? [exports] : []));
  const parts = { error, row, own, diagram, surface, surfaceCard, sample, transport, inspector, digits, handing, shows, exports };
  parts.show = key => commitNetwork(page, { show: key });
  if (!fixed) document.addEventListener('paste', takeTables(page.element, own));
  page.parts = parts;
  let narrow = false;
  new ResizeObserver(([entry]) => {
    const is = entry.contentRect.width > 0 && entry.contentRect.width < 700;
    if (is !== narrow) transport.dock((narrow = is) ? page.element : null);
  }).observe(page.element);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => themeNetwork(page));
  themeNetwork(page);
  return parts;
}

// Arrows within the group, as in every group of radio buttons.
function turnShows(event, page) {
  const by = { ArrowLeft: 2, ArrowUp: 2, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  event.stopPropagation();
  const keys = Object.keys(SHOWS);
  page.parts.show(keys[(keys.indexOf(page.show) + by) % 3]);
  page.parts.shows.querySelector('[aria-checked=true]').focus();
}

function themeNetwork(page) {
  if (!page.parts) return;
  const colours = heatColours(page.element);
  for (const part of [page.parts.diagram, page.parts.surface, page.parts.digits]) part.themed(colours);
}

function showNetworkError(page, problem) {
  const { error, row } = page.parts;
  error.hidden = !problem;
  const isNone = !page.session;
  const start = isNone && h('button', { class: 'btn main', onclick: () => restoreNetwork(page, {}) }, 'Start with the usual options');
  error.replaceChildren(...(problem ? [problemBox(problem, start)] : []));
  page.element.classList.toggle('none', isNone);
  if (page.options) row.show(page.options, page.data?.kind);
}

// Shows exactly what a state of the address says.
async function restoreNetwork(page, state) {
  const mine = ++page.asked;
  page.state = state;
  const options = optionsOf(page.choices, state);
  const table = tableOf(state, page.table);
  const [layer, unit, into] = (state.sel ?? '').split('.').filter(Boolean).map(Number);
  page.selection = { point: Number(state.pt ?? 0) || 0, layer: layer || 2, unit: unit || 1, into: into ?? null };
  page.show = state.show in SHOWS ? state.show : 'both';
  page.stepOf = state.step === 'epoch' ? 'epoch' : 'update';
  const at = state.at === AS_IT_IS ? null : Number(state.at ?? 0) || 0;
  try {
    await openHere(page, mine, options, table, at);
    if (at === null && mine === page.asked) commitNetwork(page, {});
  } catch (problem) {
    if (mine === page.asked) await openPossible(page, mine, options, table, at, problem);
  }
}

// After options that were refused: a network with what is possible of them, or the usual one, below what was said.
async function openPossible(page, mine, refused, table, at, problem) {
  const usual = optionDefaults(page.choices, page.choices.fields.data.default);
  const { held } = page.client;
  for (const options of held ? [held.options] : [possibleOptions(page.choices, refused), usual]) {
    try {
      await openHere(page, mine, options, table, at);
    } catch {
      continue;
    }
    if (mine !== page.asked) return;
    const changed = differingOptions(page.choices, refused, options);
    const instead = held ? 'Shown is the network of this file.' : changed.length ? `Shown is a network with the usual ${changed.join(', ')}.` : '';
    return showNetworkError(page, { message: problem.message, fix: problem.fix, instead });
  }
  if (mine === page.asked) showNetworkError(page, problem);
}

// A network of these options from the beginning, as a step that can be undone.
async function changeNetwork(page, chosen, table) {
  const options = chosen.init === 'article' && !isArticleNetwork(chosen) ? { ...chosen, init: page.choices.fields.init.default } : chosen;
  const mine = ++page.asked;
  const samePoints = options.data === page.options?.data && options.points === page.options?.points && options.data !== 'own';
  page.selection = { ...page.selection, point: samePoints ? page.selection.point : 0, into: null };
  await openHere(page, mine, options, table, 0);
  if (mine === page.asked) commitNetwork(page, {});
}

async function openHere(page, mine, options, table, at) {
  const session = await openNetwork(page.client, page.session, options, options.data === 'own' ? table : null, {
    onFrame: frame => mine === page.asked && showFrame(page, frame),
    onLost: lost => page.parts.transport.lost(lost),
    onClosed: () => mine === page.asked && restoreNetwork(page, networkState(page)),
  });
  if (mine !== page.asked) return session === page.session || session.close();
  if (page.session !== session) {
    page.session?.close();
    page.frame = null;
  }
  page.session = session;
  page.options = session.options;
  page.table = session.table;
  if (page.data !== session.data) {
    page.data = session.data;
    for (const part of [page.parts.surface, page.parts.sample, page.parts.digits]) part.setData(session.data);
  }
  showNetworkError(page, null);
  page.parts.surfaceCard.hidden = Boolean(session.data.picture);
  page.parts.handing.reset();
  page.parts.transport.setStepOf(page.stepOf);
  const point = clamp(Math.trunc(page.selection.point), 0, session.data.count - 1);
  const clean = fitSelection(session.frame.sizes, { ...page.selection, point });
  page.selection = clean;
  showFrame(page, session.frame);
  session.send({ do: 'select', ...clean });
  if (at !== null && (session.frame.status.update !== at || session.frame.status.goal !== null)) session.send({ do: 'seek', update: at });
  page.history.onChange?.();
}

function fitSelection(sizes, { point, layer, unit, into }) {
  if (!(layer >= 1 && layer <= sizes.length && unit >= 1 && unit <= sizes[layer - 1])) return { point, layer: 2, unit: 1, into: null };
  return { point, layer, unit, into: into !== null && layer > 1 && into >= 0 && into <= sizes[layer - 2] ? into : null };
}

function showFrame(page, frame) {
  const { parts } = page;
  if (frame.error) return page.notify(`${frame.error.message}${frame.error.fix ? `. ${frame.error.fix}` : ''}`, 5000);
  const before = page.frame?.status;
  // On a slow line the frames on the way are left out: the update alone tells that there was a way.
  const moved = before && (before.running || before.goal !== null || before.update !== frame.status.update);
  page.frame = frame;
  parts.diagram.selection = page.selection;
  for (const part of [parts.diagram, parts.surface, parts.sample, parts.transport, parts.inspector, parts.digits, parts.handing]) part.update(frame);
  const busy = frame.status.running || frame.status.goal !== null;
  paintShows(page);
  if (busy && performance.now() - page.replaced > 500) {
    page.replaced = performance.now();
    page.history.replace(networkState(page));
  }
  if (busy) return;
  if (moved) {
    commitNetwork(page, {});
    page.announce(parts.transport.element.querySelector('.said').textContent);
  }
}

function paintShows(page) {
  for (const button of page.parts.shows.children) {
    const on = button.dataset.shows === page.show;
    button.setAttribute('aria-checked', String(on));
    button.tabIndex = on ? 0 : -1;
  }
  page.parts.diagram.show(page.show);
}

function selectNetwork(page, change) {
  page.selection = { ...page.selection, ...change };
  page.parts.diagram.select(page.selection);
  page.session?.send({ do: 'select', ...page.selection });
  commitNetwork(page, {});
}

function nextUnit(page, by) {
  if (!page.frame) return;
  const sizes = page.frame.sizes;
  const all = sizes.flatMap((n, l) => (page.data.picture && !l ? [] : Array.from({ length: n }, (_, k) => [l + 1, k + 1])));
  const at = all.findIndex(([l, k]) => l === page.selection.layer && k === page.selection.unit);
  const [layer, unit] = all[Math.min(all.length - 1, Math.max(0, at + by))];
  selectNetwork(page, { layer, unit, into: null });
  page.parts.diagram.focusSelected();
}

function seekNetwork(page, update) {
  page.session?.send({ do: 'seek', update });
}

function commitNetwork(page, { show = page.show, stepOf = page.stepOf }) {
  page.show = show;
  page.stepOf = stepOf;
  paintShows(page);
  page.history.commit(networkState(page));
}

function networkState(page) {
  const { point, layer, unit, into } = page.selection;
  const status = page.frame?.status;
  const state = page.options ? optionsState(page.choices, page.options) : {};
  if (page.options?.data === 'own' && page.table) Object.assign(state, tableState(page.table));
  const at = status ? (status.goal ?? status.update) : 0;
  if (at) state.at = String(at);
  if (point) state.pt = String(point);
  if (layer !== 2 || unit !== 1 || into !== null) state.sel = [layer, unit, ...(into === null ? [] : [into])].join('.');
  if (page.show !== 'both') state.show = page.show;
  if (page.stepOf !== 'update') state.step = page.stepOf;
  return state;
}
