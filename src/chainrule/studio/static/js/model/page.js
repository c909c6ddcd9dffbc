// The page of models: a run, a program or a model, by block and down to its primitives, with what the doctor says.

import { grouped, h, plural, setText } from '../dom.js';
import { fmt, fromJson } from '../numbers.js';
import { curvePictures } from './curves.js';
import { doctorCard, doctorDoing, problemBox } from './doctor.js';
import { moduleGraph } from './graph.js';
import { endedView, openerView, openingView } from './opener.js';
import { placeCard } from './place.js';
import { searchField } from './search.js';
import { bytesText, shortCount } from './sizes.js';
import { columnSentence, modelStrips } from './strips.js';
import { modelTable } from './table.js';

const ALL_BLOCKS = '*'; // no module can be called that
const POLL_QUICK = 300, POLL_SLOW = 1000, POLL_CURVES = 2000;
const pathList = text => (text ? text.split(',') : []);
const modelAddress = model => `${model.source.kind}:${model.name}`;

// The state in the address: of (what is open), at (the block that is looked into, * for all of them), open (modules opened in it), sel (the
// selected place), by (what is asked about it), as (table).
export function modelPage({ client, history, announce, notify = () => {} }) {
  const element = h('div', { class: 'page model-page' });
  let state = {}, model = null, trace = null, says = null, graph = null, place = null, shown = 0, timer = 0, turn = 0, graphsAsked = 0, placesAsked = 0;
  let answer = null, busy = false, parts = null, opening = null, curvesVersion = -1, doctorShown = '';
  const isAlone = Boolean(client.recorded || client.alone); // no other model can be opened here
  const api = (end = '') => `/api/models/${model.id}${end}`;

  function commit(change) {
    state = { ...state, ...change };
    history.commit(state);
  }
  const wait = (action, ms) => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
  const root = () => (state.at === ALL_BLOCKS ? '' : (state.at ?? ''));
  const current = was => was === turn;
  const failed = error => notify(`${error.message ?? error}${error.fix ? ` ${error.fix}` : ''}`, 8000);

  async function restore(next) {
    const mine = (turn += 1);
    const before = state;
    state = { ...next };
    if (!model || state.of !== modelAddress(model)) {
      leaveModel();
      await find(mine);
      return;
    }
    poll(mine); // it went on for the view before
    if (!trace?.overview) return;
    settle();
    await paintAll(mine, before);
  }

  function leaveModel() {
    clearTimeout(timer);
    parts?.strips.leave();
    parts?.graph.leave();
    model = trace = says = graph = place = answer = parts = null;
    busy = false;
    shown = 0;
    curvesVersion = -1;
  }

  async function find(mine) {
    let listing;
    try {
      listing = await client.get('/api/models');
    } catch (error) {
      element.replaceChildren(h('div', { class: 'wide' }, problemBox(error)));
      return;
    }
    if (!current(mine)) return;
    const [kind, name] = [state.of?.slice(0, state.of.indexOf(':')), state.of?.slice((state.of?.indexOf(':') ?? 0) + 1)];
    const found = state.of && !isAlone ? listing.models.filter(m => modelAddress(m) === state.of).at(-1) : listing.models.at(-1);
    if (found) follow(found, mine);
    else if (kind === 'example' && listing.examples.some(e => e.name === name)) open({ example: name });
    else if (kind === 'run' && listing.runs.some(r => r.name === name)) open({ run: name });
    else choose(listing, state.of ? { type: 'Closed', message: `${name} is not open in this studio`, fix: `chainrule studio ${kind === 'run' ? `runs/${name}` : name}` } : null);
  }

  function choose(listing, error = null) {
    element.replaceChildren(
      h('h1', { class: 'wide page-title' }, 'Look into a model'),
      h('div', { class: 'wide' }, openerView(listing, { error, onRun: run => open({ run }), onExample: example => open({ example }), onModel: m => (commit({ of: modelAddress(m) }), restore({ of: modelAddress(m) })) })),
    );
  }

  async function open(what) {
    const mine = (turn += 1);
    leaveModel();
    try {
      const status = await client.post('/api/models', what);
      if (!current(mine)) return;
      if (state.of !== modelAddress(status)) commit({ of: modelAddress(status), at: '', open: '', sel: '', by: '' });
      follow(status, mine);
    } catch (error) {
      const listing = await client.get('/api/models').catch(() => ({ runs: [], examples: [], models: [] }));
      if (current(mine)) choose(listing, error);
    }
  }

  function follow(status, mine) {
    model = status;
    if (state.of !== modelAddress(status)) {
      state = { ...state, of: modelAddress(status) };
      history.replace(state);
    }
    poll(mine);
  }

  // Whatever is not answered is asked again a while later.
  async function poll(mine) {
    try {
      await look(mine);
    } catch (error) {
      if (error instanceof Error) throw error;
      if (!current(mine)) return;
      failed(error);
      wait(() => poll(mine), 2 * POLL_SLOW);
    }
  }
  async function look(mine) {
    const status = await client.get(api('/status'));
    if (!current(mine) || !model) return;
    model = status;
    if (status.state === 'ready' || status.state === 'failed' || status.state === 'stopped') {
      if (status.shown !== shown || !trace) {
        shown = status.shown;
        trace = await client.get(api());
        if (!current(mine)) return;
        says = trace.doctor_says;
        trace.overview ? build(mine) : buildWithout(mine);
      } else if (status.doctor === 'working' || says?.state !== status.doctor) {
        says = await client.get(api('/findings'));
        if (!current(mine)) return;
        if (says.state === 'done' && parts) announce(`The doctor is done: ${plural(says.findings.length, 'finding')}.`);
        paintDoctor();
      }
      await readCurves(mine);
      if (status.running || trace.curves.state === 'going on') wait(() => poll(mine), status.running ? POLL_SLOW : POLL_CURVES);
    } else {
      if (!opening?.element.isConnected) element.replaceChildren(h('div', { class: 'wide' }, (opening = openingView({ onStop: stop })).element));
      opening.update(status);
      wait(() => poll(mine), POLL_QUICK);
    }
  }

  const stop = () => client.post(api('/stop'), {}).then(() => poll(turn), failed);
  const again = () =>
    client.post(api('/again'), {}).then(status => {
      leaveModel();
      follow(status, (turn += 1));
    }, failed);

  async function readCurves(mine) {
    if (trace.curves.state === 'going on' || (model.source.kind === 'script' && model.running)) {
      trace.curves = await client.get(api('/curves')).catch(() => trace.curves);
      if (!current(mine)) return;
    }
    if (trace.curves.version !== curvesVersion && parts) paintCurves();
  }

  // Building

  function buildWithout() {
    const curves = h('div', { class: 'plots' });
    parts = null;
    element.replaceChildren(
      h('div', { class: 'wide' }, endedView(model, { onAgain: client.recorded ? null : again, onOther: isAlone ? null : toList }), client.recorded && h('p', { class: 'small' }, client.recorded)),
      ...(Object.keys(trace.curves.series).length ? [h('section', { class: 'card pad wide' }, h('h2', {}, `Training of ${model.name}`), curves)] : []),
    );
    if (curves.isConnected) curvePictures(curves, trace.curves, null);
  }

  function build(mine) {
    parts?.strips.leave();
    parts?.graph.leave();
    const hosts = { strips: h('div', { class: 'strip-host' }), graph: h('div', { class: 'graph-host' }), table: h('div', {}), trail: h('nav', { class: 'trail', 'aria-label': 'Where this is' }), doctor: h('section', { class: 'card pad doctor', 'aria-label': 'Doctor' }), place: h('section', { class: 'card pad place', 'aria-label': 'The selected place' }), curves: h('div', { class: 'plots' }), facts: h('div', { class: 'facts' }), hover: h('span', { class: 'small hover' }), told: h('span', { class: 'small' }), tools: h('div', { class: 'graph-tools row' }) };
    const asTable = h('button', { class: 'btn', type: 'button', title: 'The same numbers as a table', onclick: () => (commit({ as: state.as ? '' : 'table' }), paintTable()) }, 'Table');
    const curvesCard = h('section', { class: 'card pad curves-card' }, h('h2', {}, model.source.kind === 'script' ? 'Loss of each backward pass' : 'Training'), hosts.curves);
    const find = searchField({ search: text => client.get(api('/search'), { text }), onFound: goTo });
    element.replaceChildren(
      h('div', { class: 'wide head' }, hosts.facts, find.element),
      h(
        'div',
        { class: 'model-main' },
        h('section', { class: 'card', 'aria-label': 'The graph by block' }, h('div', { class: 'stage-head' }, h('h2', {}, 'The graph by block, and what flows through it'), hosts.hover, h('div', { class: 'legend' }, legend('val', 'activation'), legend('grad', 'gradient'), legend('find', 'finding'), asTable)), hosts.strips, hosts.table, h('p', { class: 'small reading' }, 'A column is a block. In a healthy network the marks of each row follow a smooth line; a fault is a gap, a cliff or a cross.')),
        h('section', { class: 'card', 'aria-label': 'Inside of a block' }, h('div', { class: 'stage-head' }, hosts.trail, hosts.told, hosts.tools), hosts.graph),
        curvesCard,
      ),
      h('aside', { class: 'side' }, hosts.doctor, hosts.place),
    );
    const onHover = column => setText(hosts.hover, column ? columnSentence(column, []).slice(0, 160) : '');
    const strips = modelStrips(hosts.strips, trace.overview, { onSelect: id => enter(id), onPin: toFinding, onHover });
    const boxes = moduleGraph(hosts.graph, hosts.tools, { onSelect: item => select(item.id), onOpen: item => openIn(item.id), onClose: path => closeIn(path), onEnter: item => enter(item.id) });
    parts = { ...hosts, curvesCard, strips, graph: boxes, asTable, find };
    curvesVersion = -1;
    doctorShown = '';
    if (root() && !isKnown(root())) {
      notify(`${model.name} has no ${state.at}`);
      state = { of: state.of };
      history.replace(state);
    }
    settle();
    paintHead();
    paintDoctor();
    paintCurves();
    paintAll(mine, {});
  }
  function settle() {
    if (!state.at && !state.sel) state.at = firstBlock();
  }
  const legend = (hue, name) => h('span', {}, h('i', { class: hue }), name);
  // The block to look into first: one with a finding, else the first one with parts.
  function firstBlock() {
    const { columns } = trace.overview, found = says.findings.find(f => f.columns.length);
    return (found ? columns[found.columns[0]] : columns.find(c => c.skip) ?? columns.find(c => c.weights.length) ?? columns[0]).id;
  }

  function paintHead() {
    const { head, notes } = trace;
    const fact = (value, name) => h('span', {}, name.startsWith('·') ? name.slice(1) : '', h('b', {}, value), name.startsWith('·') ? '' : ` ${name}`);
    const counted = (n, noun) => fact(grouped(n), plural(n, noun).split(' ')[1]);
    parts.facts.replaceChildren(
      h('h1', {}, model.name),
      counted(head.parameters, 'parameter'),
      counted(head.blocks, 'block'),
      fact(fmt(fromJson(head.loss)), '·loss '),
      head.chance != null ? fact(head.chance_text, '·chance ') : '',
      head.examples ? counted(head.examples, 'example') : '',
      h('span', { class: 'dim work' }, `${shortCount(head.flops)}FLOPs, ${bytesText(head.bytes)}`),
      says.findings.length ? h('b', { class: 'f' }, `▲ ${plural(says.findings.length, 'finding')}`) : '',
      !client.recorded && (model.source.kind === 'run' || model.source.kind === 'example') ? h('button', { class: 'btn quiet', type: 'button', onclick: again, title: 'Open it once more, with its newest weights', 'aria-label': 'Open it once more' }, '↻') : '',
      isAlone ? '' : h('button', { class: 'btn quiet', type: 'button', onclick: toList }, 'Open …'),
      client.recorded ? h('span', { class: 'note-line recorded' }, client.recorded) : '',
      ...notes.map(note => h('span', { class: 'note-line' }, note)),
    );
  }
  async function toList() {
    const mine = (turn += 1);
    leaveModel();
    commit({ of: '', at: '', open: '', sel: '', by: '', as: '' });
    const listing = await client.get('/api/models');
    if (current(mine)) choose(listing);
  }

  async function paintAll(mine, before) {
    if (!parts) return;
    const at = root(), { open: opened = '' } = state;
    parts.strips.select(columnOf(at));
    paintTable();
    paintTrail();
    if (!graph || graph.root !== at || graph.opened.join() !== [...pathList(opened)].sort().join()) await paintGraph(mine);
    const wanted = state.sel || at;
    if (!place || place.at !== wanted || before.sel !== state.sel) await paintPlace(mine, wanted);
    if (!current(mine)) return;
    if (state.by) {
      if (answer?.at !== wanted || answer.by !== state.by) await ask(state.by, false);
    } else if (answer || busy) {
      answer = null;
      busy = false;
      drawPlace();
    }
  }

  const isKnown = at => trace.overview.columns.some(c => c.id === at || at.startsWith(`${c.id}.`) || c.id.startsWith(`${at}.`));
  // The column that a path is in.
  const columnOf = at => trace.overview.columns.filter(c => at === c.id || at.startsWith(`${c.id}.`)).at(-1)?.id ?? null;

  // Of several that are asked for only the last is shown, in whatever order they come. Says whether it was this one.
  async function paintGraph(mine) {
    const asked = (graphsAsked += 1);
    try {
      const found = await client.get(api('/graph'), { root: root(), open: state.open ?? '' });
      if (!current(mine) || asked !== graphsAsked || !parts) return false;
      graph = found;
      parts.graph.show(graph, says.findings);
      parts.graph.select(state.sel ?? '');
      setText(parts.told, `${plural(graph.totals.nodes, 'operation')}, ${grouped(graph.totals.parameters)} parameters · root mean squares`);
      return true;
    } catch (error) {
      if (current(mine)) failed(error);
      return false;
    }
  }

  async function paintPlace(mine, at) {
    const asked = (placesAsked += 1);
    try {
      const found = await client.get(api('/at'), { at });
      if (!current(mine) || asked !== placesAsked || !parts) return;
      place = found;
      answer = null;
      busy = false; // what was asked about another place is not answered here
      drawPlace();
    } catch (error) {
      if (current(mine)) failed(error);
    }
  }
  const drawPlace = () =>
    parts && place &&
    placeCard(parts.place, place, {
      by: state.by,
      answer,
      busy,
      onAsk: by => ask(by, true),
      isOpen: place.at === root(),
      onEnter: () => enter(place.at),
      onOpen: place.type === 'group' && place.at !== root() && !pathList(state.open).includes(place.at) && graph?.items.some(i => i.id === place.at) ? () => openIn(place.at) : null,
    });

  async function ask(by, step) {
    const mine = turn, { at } = place;
    if (step) commit({ by });
    busy = true;
    answer = null;
    drawPlace();
    const found = await client.get(api('/why'), { at, by }).catch(error => ({ at, by, error }));
    if (!current(mine) || place?.at !== at || state.by !== by) return;
    busy = false;
    answer = found;
    drawPlace();
    announce((found.text ?? found.error?.message ?? '').split('\n')[0]);
  }

  function paintTrail() {
    const at = root(), pieces = at.split('.');
    const known = pieces.map((_, i) => pieces.slice(0, i + 1).join('.'));
    const crumbs = at ? known.filter((path, i) => i === known.length - 1 || !/^(layers|stages|blocks)$/.test(pieces[i])) : [];
    const columns = trace.overview.columns, i = columns.findIndex(c => c.id === columnOf(at));
    const step = by => h('button', { class: 'btn icon quiet', type: 'button', 'aria-label': by < 0 ? 'Previous block' : 'Next block', disabled: !columns[i + by], onclick: () => enter(columns[i + by].id) }, by < 0 ? '‹' : '›');
    parts.trail.replaceChildren(
      step(-1),
      h('button', { class: 'crumb', type: 'button', onclick: () => enter('') }, 'all blocks'),
      ...crumbs.flatMap((path, k) => [h('span', { class: 'dim', 'aria-hidden': 'true' }, '›'), k === crumbs.length - 1 ? h('h2', {}, path.slice((crumbs[k - 1]?.length ?? -1) + 1)) : h('button', { class: 'crumb', type: 'button', onclick: () => enter(path) }, path.slice((crumbs[k - 1]?.length ?? -1) + 1))]),
      step(1),
    );
  }

  function paintTable() {
    const on = state.as === 'table';
    parts.asTable.setAttribute('aria-pressed', on ? 'true' : 'false');
    element.querySelector('.strip-host').hidden = on;
    parts.table.replaceChildren(on ? modelTable(trace.overview.columns, { updates: says.updates, findings: says.findings, onSelect: row => enter(row.id), label: 'Blocks of the model', selected: columnOf(root()) }) : '');
  }

  function paintDoctor() {
    if (!parts) return;
    // What stays the same is left alone: who presses it while the doctor works is heard.
    const found = JSON.stringify([says.state, says.error, says.raised, says.findings, says.updates, says.state === 'done' && says.losses.length]);
    if (found === doctorShown) {
      const doing = parts.doctor.querySelector('.doctor-works [role=status]');
      if (doing) setText(doing, doctorDoing(says));
      return;
    }
    doctorShown = found;
    doctorCard(parts.doctor, says, { onWhere: toFinding, onStop: stop });
    parts.strips.pin(says.findings);
    parts.strips.update(says.updates);
    if (graph) parts.graph.show(graph, says.findings);
    paintHead();
    paintTable();
  }

  function paintCurves() {
    curvesVersion = trace.curves.version;
    parts.curvesCard.hidden = !Object.keys(trace.curves.series).length;
    if (!parts.curvesCard.hidden) curvePictures(parts.curves, trace.curves, trace.head.chance == null ? null : fromJson(trace.head.chance));
  }

  // Going about

  function enter(at) {
    if (at === root() && !state.sel) return;
    commit({ at: at || ALL_BLOCKS, open: '', sel: '', by: '' });
    paintAll(turn, {});
  }
  function select(sel) {
    commit({ sel, by: '' });
    parts.graph.select(sel);
    paintPlace(turn, sel);
  }
  async function openIn(path) {
    // A recording has each module opened with those around it, not with others beside it.
    const others = pathList(state.open).filter(other => !client.recorded || path.startsWith(`${other}.`));
    commit({ open: [...others, path].sort().join() });
    if (!(await paintGraph(turn))) return;
    const first = graph.items.find(item => !item.outside && (item.group ?? item.id).startsWith(path));
    if (first) parts.graph.focus(first.id);
    announce(`${path} is open: ${plural(graph.items.length, 'box')}.`.replace('boxs', 'boxes'));
    drawPlace();
  }
  async function closeIn(path) {
    commit({ open: pathList(state.open).filter(other => other !== path && !other.startsWith(`${path}.`)).join() });
    if (!(await paintGraph(turn))) return;
    parts.graph.focus(path);
    drawPlace();
  }
  // To a module, parameter or node: its column is looked into, what is around it is opened, and it is selected.
  async function goTo(id) {
    const found = await client.get(api('/at'), { at: id }).catch(failed);
    if (!found || !parts) return;
    const column = columnOf(found.trail.at(-1) ?? id) ?? '';
    const around = found.trail.filter(path => (column ? path.startsWith(`${column}.`) : true) && path !== found.id);
    commit({ at: column || ALL_BLOCKS, open: around.join(), sel: found.id === column ? '' : found.id, by: '' });
    await paintAll(turn, {});
    parts?.graph.focus(state.sel);
  }
  async function toFinding(finding) {
    const target = finding.nodes[0] ?? finding.groups[0];
    if (target) await goTo(target);
    const card = parts?.doctor.querySelector(`[data-finding="${finding.number}"]`);
    for (const other of parts?.doctor.querySelectorAll('.finding') ?? []) other.classList.toggle('current', other === card);
    card?.scrollIntoView({ block: 'nearest' });
  }
  const beside = by => () => {
    const columns = trace?.overview?.columns ?? [], next = columns[columns.findIndex(c => c.id === columnOf(root())) + by];
    if (next && parts) enter(next.id);
  };

  // The width of a cell in a notebook changes without that of the window.
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (entry.contentRect.width === width || !parts || !trace || element.hidden) return;
    width = entry.contentRect.width;
    cancelAnimationFrame(parts.frame);
    parts.frame = requestAnimationFrame(() => parts && paintCurves());
  }).observe(element);
  return {
    help: [
      ['← →', 'along columns and cards'],
      ['o c', 'open a card, close it'],
      ['w', 'why this gradient'],
      ['/', 'find a module or parameter'],
    ],
    title: 'Model',
    element,
    restore,
    leave() {
      turn += 1;
      clearTimeout(timer);
      leaveModel();
    },
    twin: () => (model ? api() : '/api/models'),
    keys: { ArrowLeft: beside(-1), ArrowRight: beside(1), '/': () => parts?.find.focus(), w: () => place && ask('why', true), Escape: () => state.sel && enter(root()) },
  };
}
