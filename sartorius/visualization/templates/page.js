'use strict';

// Sorting and filtering of the table.
for (const table of document.querySelectorAll('table[data-sortable]')) {
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  table.querySelectorAll('thead th').forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const up = head.getAttribute('aria-sort') !== 'ascending';
      table.querySelectorAll('th[aria-sort]').forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const rows = [...table.tBodies[0].rows];
      const numeric = !head.classList.contains('text');
      rows.sort((a, b) => {
        const order = numeric ? Number(value(a, column)) - Number(value(b, column)) : value(a, column).localeCompare(value(b, column));
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
const search = document.querySelector('#table-search');
if (search) {
  const rows = [...document.querySelectorAll('table[data-sortable] tbody tr')];
  const count = document.querySelector('#table-count');
  search.closest('.table-tools').hidden = false;
  search.addEventListener('input', () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} images`;
  });
}

// Outlines over the pictures of a run, and the pictures that are enlarged.
document.querySelector('#outlines-switch')?.addEventListener('change', (event) => {
  document.body.classList.toggle('no-outlines', !event.target.checked);
});
for (const picture of document.querySelectorAll('button.picture')) {
  picture.addEventListener('click', () => picture.parentElement.classList.toggle('large'));
}

// Contrast around mid-grey, and filled cells or bare outlines, for all pictures at once.
const slider = document.querySelector('#contrast-slider');
const controls = document.querySelector('.controls');
controls.hidden = !document.querySelector('.card');
slider.addEventListener('input', () => {
  const slope = Number(slider.value);
  for (const channel of document.querySelectorAll('#contrast feFuncR, #contrast feFuncG, #contrast feFuncB')) {
    channel.setAttribute('slope', slope);
    channel.setAttribute('intercept', (1 - slope) / 2);
  }
  // The filter costs time, so it is off where it would change nothing.
  document.body.classList.toggle('contrast', slope !== 1);
});
document.querySelector('#fill-switch').addEventListener('change', (event) => {
  document.body.classList.toggle('outlines-only', !event.target.checked);
});

// The viewer: one picture at a time, as large as the window.
const viewer = document.querySelector('#viewer');
const stage = document.querySelector('#viewer-stage');
const cellLine = document.querySelector('#viewer-cell');
const cards = [...document.querySelectorAll('.card')];
const SVG = 'http://www.w3.org/2000/svg';
let card = null;
let view = 'pred';
let frame = { x: 0, y: 0, width: 1, height: 1 };
let full = {};

function describe(set, number, values) {
  const [area, score, iou, error] = values.split(',');
  const names = { gt: 'Ground-truth cell', pred: 'Prediction' };
  const parts = [`${names[set] ?? set} ${number}`, `${area} px`];
  if (score) parts.push(`score ${score}`);
  if (iou) {
    const other = set === 'gt' ? 'prediction' : 'ground-truth cell';
    parts.push(Number(iou) > 0 ? `best IoU ${iou} with a ${other}` : `overlaps no ${other}`);
  }
  if (error) parts.push(error.replaceAll('-', ' '));
  return parts.join(' · ');
}

// In the page one path holds all cells of a colour; here each becomes its own, so that the pointer can address it.
function cellsOf(use) {
  const group = document.querySelector(use.getAttribute('href')).cloneNode(true);
  group.removeAttribute('id');
  for (const path of group.querySelectorAll('path[data-cells]')) {
    const values = path.dataset.cells.split(' ');
    path.getAttribute('d').split(/(?=M)/).forEach((outline, index) => {
      const cell = document.createElementNS(SVG, 'path');
      cell.setAttribute('class', path.getAttribute('class'));
      cell.style.cssText = path.style.cssText;
      cell.setAttribute('d', outline);
      cell.dataset.set = path.dataset.set;
      const [number, ...rest] = values[index].split(',');
      cell.dataset.text = describe(path.dataset.set, number, rest.join(','));
      path.before(cell);
    });
    path.remove();
  }
  return group;
}

function apply() {
  stage.setAttribute('viewBox', `${frame.x} ${frame.y} ${frame.width} ${frame.height}`);
  const box = stage.getBoundingClientRect();
  const scale = Math.min(box.width / frame.width, box.height / frame.height);
  stage.classList.toggle('close-up', scale > 3);
  document.querySelector('#viewer-zoom').textContent = `${Math.round(scale * 100)} %`;
}

function show() {
  const panel = card.querySelector(`[data-view=${view}]`) ?? card.querySelector('.panel');
  view = panel.dataset.view;
  document.querySelector('#viewer-title').textContent = card.querySelector('h3').textContent;
  document.querySelector('#viewer-note').textContent = card.dataset.note;
  const tabs = [...card.querySelectorAll('.panel')].map((other, index) => {
    const tab = document.createElement('button');
    tab.type = 'button';
    tab.textContent = other.querySelector('b').firstChild.textContent.trim();
    tab.title = `Key ${index + 1}`;
    tab.setAttribute('aria-pressed', other === panel);
    tab.addEventListener('click', () => { view = other.dataset.view; show(); });
    return tab;
  });
  document.querySelector('.viewer-tabs').replaceChildren(...tabs);
  const picture = panel.querySelector('svg');
  // Panels of the same size keep the visible part; one of another size starts whole.
  const [x, y, width, height] = picture.getAttribute('viewBox').split(' ').map(Number);
  if (width !== full.width || height !== full.height) {
    full = { x, y, width, height };
    frame = { ...full };
  }
  const image = document.querySelector(panel.dataset.image ?? card.dataset.image).cloneNode();
  image.removeAttribute('id');
  stage.setAttribute('class', picture.getAttribute('class'));
  stage.replaceChildren(image, ...[...picture.querySelectorAll('use.layer')].map(cellsOf));
  cellLine.replaceChildren(...panel.querySelector('b').cloneNode(true).childNodes);
  apply();
}

function open(chosen, chosenView) {
  card = chosen;
  view = chosenView;
  full = {};
  if (!viewer.open) {
    // The same switches serve the page and the viewer, which covers it.
    document.querySelector('.viewer-tools').before(controls);
    viewer.showModal();
  }
  show();
  stage.focus({ preventScroll: true });
}

function step(by) {
  open(cards[(cards.indexOf(card) + by + cards.length) % cards.length], view);
}

// Zooms about a point of the image, which stays where it is on the screen.
function zoom(factor, at = { x: frame.x + frame.width / 2, y: frame.y + frame.height / 2 }) {
  const width = Math.min(full.width, Math.max(full.width / 40, frame.width / factor));
  const ratio = width / frame.width;
  frame = { x: at.x - (at.x - frame.x) * ratio, y: at.y - (at.y - frame.y) * ratio, width, height: frame.height * ratio };
  move(0, 0);
}

function move(dx, dy) {
  frame.x = Math.min(full.width - frame.width, Math.max(0, frame.x - dx));
  frame.y = Math.min(full.height - frame.height, Math.max(0, frame.y - dy));
  apply();
}

function place(event) {
  const matrix = stage.getScreenCTM().inverse();
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
}

for (const panel of document.querySelectorAll('.panel')) {
  panel.addEventListener('click', () => open(panel.closest('.card'), panel.dataset.view));
}
for (const button of document.querySelectorAll('.open')) {
  button.addEventListener('click', () => open(document.querySelector(button.dataset.card), 'pred'));
}

viewer.addEventListener('close', () => document.querySelector('.bar').append(controls));

const actions = {
  in: () => zoom(1.5),
  out: () => zoom(1 / 1.5),
  fit: () => { frame = { ...full }; apply(); },
  next: () => step(1),
  previous: () => step(-1),
  close: () => viewer.close(),
};
viewer.addEventListener('click', (event) => actions[event.target.dataset?.do]?.());
const fill = document.querySelector('#fill-switch');
const keys = { '+': 'in', '=': 'in', '-': 'out', 0: 'fit', ArrowRight: 'next', ArrowLeft: 'previous' };
viewer.addEventListener('keydown', (event) => {
  if (event.target.type === 'range') return;
  const tab = document.querySelectorAll('.viewer-tabs button')[Number(event.key) - 1];
  if (tab) tab.click();
  else if (keys[event.key]) actions[keys[event.key]]();
  else if (event.key === 'f') fill.click();
  else if (event.key === ' ' && event.target === stage) stage.classList.add('blink');
  else return;
  event.preventDefault();
});
viewer.addEventListener('keyup', () => stage.classList.remove('blink'));

stage.addEventListener('wheel', (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 400), place(event));
}, { passive: false });
function showCell(event) {
  const text = event.target.dataset?.text;
  if (text) cellLine.textContent = text;
}
const fingers = new Map();
stage.addEventListener('pointerdown', (event) => {
  showCell(event);
  fingers.set(event.pointerId, event);
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener('pointermove', (event) => {
  showCell(event);
  const before = fingers.get(event.pointerId);
  if (!before) return;
  if (fingers.size === 2) {
    const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
    const distance = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
    zoom(distance(event) / Math.max(1, distance(before)), place(other));
  } else {
    const from = place(before);
    const to = place(event);
    move(to.x - from.x, to.y - from.y);
  }
  fingers.set(event.pointerId, event);
});
for (const end of ['pointerup', 'pointercancel']) stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
window.addEventListener('resize', () => { if (viewer.open) apply(); });
