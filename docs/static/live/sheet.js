// A canvas that one draws on with a mouse, a finger, a pen or the keys.
import {html} from './page.js';

document.head.append(html('link', {rel: 'stylesheet', href: new URL('canvas.css', import.meta.url).href}));
export const button = (text, act) => html('button', {type: 'button', className: 'btn btn-sm btn-outline-primary', onclick: act}, text);

// The square canvas of side by side cells in an element; dab(x, y) marks a place, spacing() is the greatest distance between two
// dabs of one line, done() is called after each piece of a line.
export function sheet(canvas, label, dab, spacing, done) {
  const side = canvas.width, mark = html('span', {className: 'brush', hidden: true}), brush = [side/2, side/2];
  let last;
  canvas.tabIndex = 0; canvas.classList.add('paint');
  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-label', `${label} Arrow keys move the brush, the space bar marks.`);
  const lineTo = (x, y) => {
    const [a, b] = last ?? [x, y], n = Math.max(1, Math.ceil(Math.hypot(x - a, y - b)/spacing()));
    for (let k = 1; k <= n; k++) dab(a + (x - a)*k/n, b + (y - b)*k/n);
    last = [x, y];
    done();
  };
  const cell = e => {
    const box = canvas.getBoundingClientRect();
    return [(e.clientX - box.left)/box.width*side, (e.clientY - box.top)/box.height*side];
  };
  canvas.addEventListener('pointerdown', e => {
    if (e.button) return;
    e.preventDefault(); canvas.focus({preventScroll: true}); canvas.setPointerCapture(e.pointerId);
    last = undefined; lineTo(...cell(e));
  });
  canvas.addEventListener('pointermove', e => {
    if (!canvas.hasPointerCapture(e.pointerId)) return;
    const all = e.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [e]) lineTo(...cell(one));
  });
  canvas.addEventListener('keydown', e => {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
    if (!move && e.key !== ' ') return;
    e.preventDefault(); mark.hidden = false;
    if (move) for (const d of [0, 1]) brush[d] = Math.min(side, Math.max(0, brush[d] + move[d]*side/28));
    else { last = undefined; lineTo(...brush); }
    mark.style.left = `${brush[0]/side*100}%`; mark.style.top = `${brush[1]/side*100}%`;
  });
  canvas.addEventListener('blur', () => mark.hidden = true);
  return html('div', {className: 'sheet'}, canvas, mark);
}
