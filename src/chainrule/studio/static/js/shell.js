// The frame around the pages: brand, tabs, undo, theme, help, what a screen reader is told.

import { h, s } from './dom.js';

const THEMES = { light: 'dark', dark: 'light' };
const KEYS = [
  ['t', 'light or dark'],
  ['Ctrl+Z, Ctrl+Y', 'undo, redo'],
  ['?', 'this list'],
];

const brandMark = () => s('svg', { viewBox: '0 0 26 20', 'aria-hidden': 'true' }, s('path', { class: 'to', d: 'M2 6h20m-5-4 5 4-5 4' }), s('path', { class: 'fro', d: 'M24 14H4m5-4-5 4 5 4' }));

// Builds the frame into `root` and returns {show({page, state})}. `pages` are functions by name; a page is made when it
// is first shown. Where the document is not ours, as in a notebook, its title, address and ids are left alone.
export function makeShell(root, { client, pages, history: historyOf, start = 'formula' }) {
  const made = {};
  let current = null;
  const ours = root === document.body;
  const told = h('div', { class: 'sr', 'aria-live': 'polite' });
  const notice = h('div', { class: 'notice', role: 'status', hidden: true });
  const main = h(ours ? 'main' : 'div', { class: 'main', id: ours ? 'main' : null, tabindex: -1 });
  const announce = text => {
    told.textContent = text;
  };
  let noticeTimer;
  const notify = (text, ms = 2500) => {
    notice.textContent = text;
    notice.hidden = !text;
    clearTimeout(noticeTimer);
    if (ms) noticeTimer = setTimeout(() => (notice.hidden = true), ms);
  };
  const history = historyOf(found => show(found, true));
  const shownTheme = () => root.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  const theme = () => {
    root.dataset.theme = THEMES[shownTheme()];
    if (ours) localStorageSet('chainrule-theme', root.dataset.theme);
    made[current]?.themed?.();
  };
  const help = helpDialog(() => [...(made[current]?.help ?? []), ...KEYS]);
  const undo = h('button', { class: 'btn icon quiet roomy', title: 'Undo (Ctrl+Z)', 'aria-label': 'Undo', onclick: history.undo }, '↶');
  const redo = h('button', { class: 'btn icon quiet roomy', title: 'Redo (Ctrl+Shift+Z)', 'aria-label': 'Redo', onclick: history.redo }, '↷');
  const json = h('a', { class: 'btn quiet roomy', target: '_blank', rel: 'noopener', title: 'What this page shows, as JSON' }, '{ } JSON');
  history.onChange = () => {
    undo.disabled = !history.canUndo;
    redo.disabled = !history.canRedo;
    const twin = client.served && made[current]?.twin?.();
    json.hidden = !twin;
    if (twin) json.href = twin;
    save.hidden = !(client.served && made[current]?.save);
  };
  const save = h('button', { class: 'btn quiet roomy', title: 'As a page, a figure or data', onclick: () => made[current].save() }, 'Export');
  const link = history.hasAddress && h('button', { class: 'btn quiet roomy', onclick: () => copyLink(notify, client.served ? 'while this studio runs' : 'where this file is') }, 'Copy link');
  const narrow = [['Undo', undo], ['Redo', redo], ['{ } JSON', json], ['Export', save], ['Copy link', link]].filter(([, one]) => one);
  const more = h('dialog', { class: 'more', 'aria-label': 'More' });
  const showMore = () => {
    const offers = narrow.filter(([, one]) => !one.hidden && !one.disabled);
    more.replaceChildren(...offers.map(([name, one]) => h('button', { class: 'btn', onclick: () => (more.close(), one.click()) }, name)), h('button', { class: 'btn', onclick: () => more.close() }, 'Close'));
    more.showModal();
  };
  const tabs = Object.keys(pages).length > 1 && h('nav', { class: 'tabs', 'aria-label': 'Pages' });
  const studio = h(
    'div',
    { class: 'studio' },
    ours && h('a', { class: 'skip', href: '#main', onclick: event => (event.preventDefault(), main.focus()) }, 'To the page'),
    h(
      'header',
      { class: 'top' },
      h(ours ? 'a' : 'div', { class: 'brand', href: ours ? `#/${start}` : null, 'aria-label': ours ? 'chainrule studio' : null }, brandMark(), h('b', {}, 'chainrule'), h('span', {}, 'studio')),
      tabs,
      h(
        'div',
        { class: 'actions' },
        undo,
        redo,
        json,
        save,
        link,
        h('button', { class: 'btn icon quiet narrow', title: 'More', 'aria-label': 'More', onclick: showMore }, '⋯'),
        h('button', { class: 'btn icon quiet', title: 'Light or dark (t)', 'aria-label': 'Light or dark', onclick: theme }, '◐'),
        h('button', { class: 'btn icon quiet', title: 'Keys (?)', 'aria-label': 'Keys', onclick: help.open }, '?'),
      ),
    ),
    main,
    told,
    notice,
    help.element,
    more,
  );
  root.append(studio);
  const remembered = ours && localStorageGet('chainrule-theme');
  if (remembered in THEMES) root.dataset.theme = remembered;

  function make(name) {
    const page = pages[name]({ client, history: history.of(name), announce, notify, theme: shownTheme });
    page.element.hidden = true;
    main.append(page.element);
    return page;
  }
  function show({ page: wanted, state }, fromHistory = false) {
    const name = wanted in pages ? wanted : start;
    if (current !== name) {
      made[current]?.leave();
      if (made[current]) made[current].element.hidden = true;
      current = name;
      made[name] ??= make(name);
      made[name].element.hidden = false;
    }
    if (ours) document.title = `${made[name].title} · chainrule studio`;
    for (const tab of tabs ? tabs.children : []) tab.setAttribute('aria-current', tab.dataset.page === name ? 'page' : 'false');
    if (!fromHistory) history.open(name, state);
    history.settle(made[name].restore(state));
    history.onChange();
  }
  if (tabs) for (const name of Object.keys(pages)) tabs.append(h('a', { href: `#/${name}`, 'data-page': name, onclick: event => (event.currentTarget.href = history.lastOf(name)) }, name[0].toUpperCase() + name.slice(1)));
  const keys = { t: theme, '?': help.open };
  studio.addEventListener('keydown', event => onKey(event, keys, made[current]?.keys ?? {}, history));
  if (ours) document.addEventListener('keydown', event => event.target === document.body && onKey(event, keys, made[current]?.keys ?? {}, history));
  return { show, announce, themed: () => made[current]?.themed?.(), leave: () => made[current]?.leave() };
}

function onKey(event, keys, pageKeys, history) {
  const target = event.target;
  const inText = target.matches?.('input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]');
  const combined = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (combined && (key === 'z' || key === 'y') && !inText) {
    event.preventDefault();
    (key === 'y' || event.shiftKey ? history.redo : history.undo)();
    return;
  }
  if (inText || combined || target.closest?.('dialog')) return;
  const isSlider = target.matches?.('input[type=range]');
  if (isSlider && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  const onButton = target.matches?.('button, a, summary, [role=tab], input');
  if (onButton && (event.key === ' ' || event.key === 'Enter')) return;
  const name = event.altKey ? `Alt+${event.key}` : event.key;
  const action = pageKeys[name] ?? keys[name];
  if (action) {
    event.preventDefault();
    action(event);
  }
}

// The keys of the page that is shown, and those of all pages.
function helpDialog(keys) {
  const list = h('dl', {});
  const close = h('button', { class: 'btn', autofocus: true }, 'Close');
  const element = h('dialog', { 'aria-label': 'Keys' }, h('h2', {}, 'Keys'), list, close);
  close.addEventListener('click', () => element.close());
  return {
    element,
    open() {
      list.replaceChildren(...keys().flatMap(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)]));
      element.showModal();
    },
  };
}

async function copyLink(notify, until) {
  try {
    await navigator.clipboard.writeText(location.href);
    notify(`The link is copied. It shows this view again ${until}.`);
  } catch {
    notify(`Copy it from the address bar: ${location.href}`, 8000);
  }
}

// Storage may be forbidden, as in a file that was opened from a disk: then the theme is not remembered.
function localStorageGet(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
function localStorageSet(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}
