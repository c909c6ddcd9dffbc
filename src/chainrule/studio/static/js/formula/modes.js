// Forward mode beside reverse mode: what each sweeps over, what it costs, and why networks are trained in reverse.

import { grouped, h, plural, setAttr, setText } from '../dom.js';
import { fmt } from '../numbers.js';
import { billChart, RESNET_152 } from './bill.js';
import { ledgerPart } from './ledger.js';
import { layerSums } from './layersums.js';
import { sweepPicture } from './sweeppicture.js';

const MOST_PICTURES = 5, SMALL_FROM = 4;

export function modesPanel(session) {
  const cards = { forward: modeCard(session, 'forward', 'Forward', 'one sweep for each input'), reverse: modeCard(session, 'reverse', 'Reverse', 'one sweep for all inputs') };
  const says = h('p', { class: 'small' }), chart = billChart(), ledger = ledgerPart(session);
  const card = h(
    'section',
    { class: 'card pad modes-panel', 'aria-label': 'Forward mode beside reverse mode' },
    h('h2', {}, 'Forward mode beside reverse mode'),
    h('div', { class: 'modes', role: 'group', 'aria-label': 'Mode' }, cards.forward.element, cards.reverse.element),
    chart.element,
    says,
  );
  session.follow('trace', () => {
    const { costs, variables } = session.trace;
    const most = Math.max(costs.forward.products, costs.reverse.products);
    for (const card of Object.values(cards)) card.build(most);
    says.replaceChildren(...comparison(costs, variables.length));
    chart.show(variables.length);
    ledger.build();
    mark();
  });
  const mark = () => Object.values(cards).forEach(card => card.mark());
  session.follow('view', mark);
  return h('div', { class: 'modes-group' }, card, ledger.element, layerSums(session));
}

function modeCard(session, mode, title, under) {
  const pictures = h('span', { class: 'thumbs' }), sweeps = h('b', { class: 'num' }), sweepNoun = h('span', {}), products = h('b', { class: 'num' }), fill = h('i', {});
  const element = h(
    'button',
    { class: 'mode', 'data-mode': mode, onclick: () => session.change({ mode }) },
    h('b', {}, title),
    h('span', { class: 'small' }, under),
    pictures,
    h('span', { class: 'counts' }, sweepNoun, h('span'), sweeps, h('span', {}, 'multiplications'), h('span', { class: 'bar-track', 'aria-hidden': 'true' }, fill), products),
  );
  let shown = [];
  return {
    element,
    build(most) {
      const { costs, variables, events, nodes } = session.trace, cost = costs[mode];
      const small = variables.length > SMALL_FROM;
      const from = mode === 'forward' ? variables.slice(0, MOST_PICTURES) : [session.trace.result];
      shown = variables.length ? from.map(id => sweepPicture(session.trace, id, { backward: mode === 'reverse', wide: mode === 'reverse' && small })) : [];
      const left = mode === 'forward' ? variables.length - from.length : 0;
      pictures.replaceChildren(...shown, ...(left > 0 ? [h('span', { class: 'small more' }, `… ${grouped(left)} more`)] : []));
      setText(sweepNoun, cost.sweeps === 1 ? 'sweep' : 'sweeps');
      setText(sweeps, grouped(cost.sweeps));
      setText(products, grouped(cost.products));
      fill.style.width = `${most ? Math.max(1, (100 * cost.products) / most) : 0}%`;
      element.disabled = !events[mode];
      setAttr(element, 'title', events[mode] ? `Play the graph in ${mode} mode (m)` : `Too many steps to be played: ${plural(cost.sweeps, 'sweep')} over ${plural(nodes.length, 'node')}`);
    },
    mark() {
      const now = session.mode === mode, { event } = session.snapshot;
      setAttr(element, 'aria-pressed', String(now));
      shown.forEach((picture, k) => picture.classList.toggle('now', now && (mode === 'forward' ? event.sweep === k : ['seed', 'flow', 'sum'].includes(event.t))));
    },
  };
}

function comparison({ forward, reverse }, inputs) {
  if (!inputs) return ['Without a variable there is nothing to differentiate by.'];
  if (inputs === 1) return ['With one input both modes do the same work; only the direction differs.'];
  const skips = forward.nonzero_products !== null && forward.nonzero_products < forward.products ? ` Even if forward mode skips the zeros, it needs ${grouped(forward.nonzero_products)}.` : '';
  const times = forward.products / reverse.products;
  const lead = inputs === 3 ? 'Thrice the work' : `${fmt(times, 3)} times the work`;
  return [
    h('b', { class: 'lead' }, `${lead}: `),
    `${grouped(inputs)} inputs take ${grouped(inputs)} sweeps forward against 1 in reverse, ${grouped(forward.products)} multiplications against ${grouped(reverse.products)}.${skips} ResNet-152 has ${grouped(RESNET_152)} parameters: as many sweeps, or one.`,
  ];
}
