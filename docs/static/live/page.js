// What the live pages share: the controls, the canvas, and the talk with the worker.
import {noise} from './sampler.js';

export const html = (tag, attributes = {}, ...children) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) k in e ? e[k] = v : e.setAttribute(k, v);
  e.append(...children);
  return e;
};

// Controls: each is an element with a function `read`.
const labelled = (label, input, read, shown = () => '') => {
  const value = html('span', {className: 'value'}), show = () => value.textContent = shown();
  input.addEventListener('input', show); show();
  return {element: html('label', {}, html('span', {}, label, ' ', value), input), read};
};
export function slider(label, min, max, step, value) {
  const input = html('input', {type: 'range', min, max, step});
  input.value = value;
  return labelled(label, input, () => +input.value, () => input.value);
}
export function among(label, values, value) {  // a slider over a list of numbers
  const input = html('input', {type: 'range', min: 0, max: values.length - 1, step: 1});
  input.value = values.indexOf(value);
  const read = () => values[input.value], announce = () => input.setAttribute('aria-valuetext', read());
  input.addEventListener('input', announce); announce();
  return labelled(label, input, read, read);
}
export function number(label, value) {
  const input = html('input', {type: 'number', min: 0, max: 999999, step: 1, required: true});
  input.value = value;
  return labelled(label, input, () => Math.min(999999, Math.max(0, Math.round(+input.value || 0))));
}
export function choice(label, names, value) {
  const input = html('select', {}, ...names.map((name, i) => html('option', {value: i, selected: i === value}, String(name))));
  return labelled(label, input, () => +input.value);
}
export function boxes(label, names, checked) {
  const inputs = names.map((name, i) => html('input', {type: 'checkbox', checked: checked.includes(i), name}));
  const each = inputs.map((input, i) => html('label', {}, input, ' ', String(names[i]).replaceAll('_', ' ')));
  return {element: html('fieldset', {}, html('legend', {}, label), ...each), read: () => inputs.map(i => i.checked)};
}
export const steps = () => among('steps', [2, 4, 5, 8, 10, 20, 25, 40, 50, 100], 10);

// Noise to start from, an image after the other.
export function starts(seeds, size) {
  const out = new Float32Array(seeds.length*size);
  seeds.forEach((seed, j) => out.set(noise(seed, 0, size), j*size));
  return out;
}

// Draw rows of images, each an array of `shape` in [-1, 1], with a pixel between them.
export function draw(canvas, rows, [c, h, w]) {
  canvas.width = rows[0].length*(w + 1) - 1; canvas.height = rows.length*(h + 1) - 1;
  const pen = canvas.getContext('2d');
  rows.forEach((row, r) => row.forEach((image, q) => {
    const pixels = pen.createImageData(w, h), level = i => Math.round((Math.min(1, Math.max(-1, image[i])) + 1)*127.5);
    for (let i = 0; i < h*w; i++) pixels.data.set(Array.from({length: 3}, (_, k) => level(i + (c === 3 ? k*h*w : 0))).concat(255), 4*i);
    pen.putImageData(pixels, q*(w + 1), r*(h + 1));
  }));
}

// network: its name; controls(about): name -> control; request(values, about): y, xT, seeds, steps, eta, w;
// rows(frame, values): rows of images; captions(values): a text per column; description(values): what the canvas shows;
// watch: show each frame as it comes, not the last one only.
export async function live({network, controls, request, rows, captions, description, watch = false}) {
  const root = document.querySelector('.live'), status = html('p', {className: 'status', role: 'status'}), failed = text => {
    status.textContent = text; root.dataset.state = 'failed';
  };
  root.replaceChildren(status);
  status.textContent = 'Loading the network and ONNX Runtime, about 16 MB, kept by the browser ...';
  const began = performance.now();
  const about = await fetch(new URL(`../networks/${network}.json`, import.meta.url)).then(answer => answer.json()).catch(() => null);
  if (!about) return failed('The network could not be loaded.');
  const used = controls(about), canvas = html('canvas', {role: 'img'}), heads = html('div', {className: 'heads', 'aria-hidden': 'true'});
  const film = html('input', {type: 'range', min: 0, max: 0, step: 1}), where = html('span', {className: 'value'});
  const form = html('form', {}, ...Object.values(used).map(c => c.element));
  root.replaceChildren(form, html('div', {className: 'picture'}, heads, canvas), html('label', {className: 'film'}, html('span', {}, 'frame ', where), film), status);

  const worker = new Worker(new URL('worker.js', import.meta.url), {type: 'module'});
  let newest = 0, frames = [], values, current, first = true;
  const images = batch => Array.from({length: current.y.length}, (_, j) => batch.subarray(j*batch.length/current.y.length, (j + 1)*batch.length/current.y.length));
  const show = k => {
    const {t, xt, x0} = frames[k];
    draw(canvas, rows({xt: images(xt), x0: images(x0)}, values), about.shape);
    where.textContent = `${k + 1} of ${current.steps + 1}, t = ${t}`; film.value = k; film.setAttribute('aria-valuetext', where.textContent);
  };
  const redraw = () => {
    values = Object.fromEntries(Object.entries(used).map(([k, c]) => [k, c.read()]));
    current = request(values, about); root.dataset.state = 'busy';
    if (!current.y.length) { status.textContent = 'Choose at least one.'; newest++; return; }
    frames = []; film.max = current.steps; current.since = performance.now();
    const texts = captions(values, about);
    heads.replaceChildren(...texts.map(text => html('span', {}, String(text))));
    heads.parentElement.style.setProperty('--columns', texts.length); canvas.setAttribute('aria-label', description(values, about));
    worker.postMessage({id: ++newest, name: network, ...current});
  };
  worker.onerror = e => failed(`The network could not be started: ${e.message || 'a file of this page could not be loaded'}.`);
  worker.onmessage = ({data}) => {
    if (data.id !== newest) return;
    if (data.error) return failed(`The network could not be run: ${data.error}`);
    const following = +film.value === Math.max(0, frames.length - 1);
    frames.push(data);
    if (watch ? following || frames.length === 1 : !data.t) show(frames.length - 1);
    if (data.t) { if (!first) status.textContent = `t = ${data.t}`; return; }
    const seconds = (performance.now() - (first ? began : current.since))/1000;
    status.textContent = `${current.y.length} ${current.y.length > 1 ? 'images' : 'image'}, ${current.steps} steps, ${seconds.toFixed(2)} s${first ? ' with loading' : ''}`;
    first = false; root.dataset.state = 'done'; root.dataset.seconds = seconds;
  };
  film.addEventListener('input', () => frames.length && show(Math.min(+film.value, frames.length - 1)));
  form.addEventListener('input', redraw);
  form.addEventListener('submit', e => e.preventDefault());
  redraw();
}
export const size = about => about.shape.reduce((a, b) => a*b);
