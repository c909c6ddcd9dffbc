// Sweeps against the number of inputs, both axes logarithmic: where this formula is, and where ResNet-152 is.

import { grouped, h, plural, s, setAttr } from '../dom.js';

export const RESNET_152 = 60_192_808; // parameters
const DECADES_SHOWN = 8;

export function billChart() {
  const svg = s('svg', { class: 'plot bill', role: 'img' }), element = h('div', { class: 'bill-frame' }, svg);
  let inputs = 0, room = null;
  function draw() {
    if (!room?.width || !inputs) return;
    const { width, height } = room, u = height / 138;
    const left = 38 * u, right = 14 * u, top = 14 * u, bottom = 24 * u;
    const toX = n => left + (Math.log10(n) / DECADES_SHOWN) * (width - left - right);
    const toY = n => height - bottom - (Math.log10(n) / DECADES_SHOWN) * (height - top - bottom);
    const text = (x, y, said, anchor = 'start', style = null) => s('text', { x, y, 'text-anchor': anchor, class: style }, said);
    const dot = (n, sweeps, style) => s('circle', { class: style, cx: toX(n), cy: toY(sweeps), r: 4.5 * u });
    const line = (style, n, sweeps) => s('line', { class: style, x1: toX(1), y1: toY(1), x2: toX(n), y2: toY(sweeps) });
    const end = 10 ** DECADES_SHOWN, here = Math.min(inputs, end);
    setAttr(svg, 'viewBox', `0 0 ${width} ${height}`);
    setAttr(svg, 'aria-label', `Sweeps against inputs: forward mode needs as many sweeps as there are inputs, ${plural(inputs, 'sweep')} here and ${grouped(RESNET_152)} for ResNet-152; reverse mode always 1`);
    svg.replaceChildren(
      ...[1, 1e4, 1e8].flatMap((n, i) => [s('line', { class: 'axis', x1: left, x2: width - right, y1: toY(n), y2: toY(n) }), text(left - 7 * u, toY(n) + 4 * u, ['1', '10⁴', '10⁸'][i], 'end'), text(toX(n), height - 6 * u, ['1 input', '10⁴', '10⁸'][i], ['start', 'middle', 'end'][i])]),
      line('fw', end, end),
      line('rv', end, 1),
      text(toX(2e4), toY(2e4) - 10 * u, 'forward: n sweeps', 'end', 'halo'),
      text(toX(1e6), toY(1) - 9 * u, 'reverse: 1 sweep', 'end', 'halo'),
      dot(here, here, 'fwd'),
      dot(here, 1, 'rev'),
      dot(RESNET_152, RESNET_152, 'fwd'),
      dot(RESNET_152, 1, 'rev'),
      text(toX(RESNET_152) - 11 * u, toY(RESNET_152) + 4 * u, 'ResNet-152', 'end', 'halo'),
    );
  }
  new ResizeObserver(([entry]) => {
    room = entry.contentRect;
    draw();
  }).observe(element);
  return {
    element,
    show(n) {
      inputs = n;
      element.hidden = !n;
      draw();
    },
  };
}
