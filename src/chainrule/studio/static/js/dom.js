// Elements, built one by one: no text is ever read as markup, so whatever a user writes stays text.

const NAMESPACES = {
  html: 'http://www.w3.org/1999/xhtml',
  svg: 'http://www.w3.org/2000/svg',
  math: 'http://www.w3.org/1998/Math/MathML',
};

function element(space, tag, attrs, kids) {
  const made = document.createElementNS(NAMESPACES[space], tag);
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'style') setStyles(made, value);
    else if (name === 'value' || name === 'checked' || name === 'selected') made[name] = value;
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...kids.flat(Infinity).filter(kid => kid != null && kid !== false));
  return made;
}

// Styles as an object, {'--fill': 0.5, width: '3px'}: set by script, which the content-security policy allows.
export function setStyles(target, styles) {
  for (const [name, value] of Object.entries(styles)) target.style.setProperty(name, value);
}

// h('button', {class: 'btn', onclick: f}, 'Play'): an HTML element; s and m the same for SVG and MathML.
export const h = (tag, attrs, ...kids) => element('html', tag, attrs, kids);
export const s = (tag, attrs, ...kids) => element('svg', tag, attrs, kids);
export const m = (tag, attrs, ...kids) => element('math', tag, attrs, kids);

// An id that no other element has: a notebook shows several studios.
let idsGiven = 0;
export const freshId = name => `chainrule-${name}-${(idsGiven += 1)}`;

// Changes an attribute or a text only where it differs, so that nothing is laid out anew for nothing.
export function setAttr(target, name, value) {
  if (value == null || value === false) {
    if (target.hasAttribute(name)) target.removeAttribute(name);
  } else if (target.getAttribute(name) !== String(value)) target.setAttribute(name, value);
}
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
export const plural = (n, noun) => `${grouped(n)} ${noun}${n === 1 ? '' : 's'}`;
export const grouped = n => String(n).replace(/\B(?=(\d{3})+$)/g, ',');
export const wantsLessMotion = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

// A slider's filled part, from where zero is to the thumb.
export function paintRange(range, zero = Number(range.min)) {
  const part = x => clamp((x - range.min) / (range.max - range.min), 0, 1);
  range.style.setProperty('--fill', part(Number(range.value)));
  range.style.setProperty('--zero', part(zero));
}

// Calls f when what is changed now has been drawn, and nothing else waits.
export const afterFrame = f => requestAnimationFrame(() => (window.requestIdleCallback ? requestIdleCallback(f, { timeout: 200 }) : setTimeout(f)));

// Calls f at most once a frame, however often it is asked for.
export function framed(f) {
  let waiting = 0;
  return () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      f();
    });
  };
}
