// An animation plays three times and stops; a button stops it before, or plays it again. Where the reader asks for less motion it waits for the button.
for (const figure of document.querySelectorAll('figure.animation')) {
  const image = figure.querySelector('img'), button = document.createElement('button'), {still, moving} = image.dataset;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  let clock;
  const set = playing => {
    clearTimeout(clock);
    image.src = playing ? `${moving}?${Date.now()}` : still;  // a new address starts it from its first frame
    button.textContent = playing ? 'Stop' : 'Play';
    if (playing) clock = setTimeout(() => set(false), +image.dataset.seconds*1000);
  };
  button.type = 'button'; button.className = 'btn btn-sm btn-outline-primary';
  button.onclick = () => set(button.textContent === 'Play');
  figure.append(button);
  set(!calm);
}
