// The strip on the first page: precomputed frames, and the network itself once somebody asks for it.
{
  const button = document.querySelector('.strip button[data-script]');
  if (button) button.onclick = () => {
    const live = document.createElement('div'), script = document.createElement('script');
    live.className = 'live';
    script.src = button.dataset.script; script.dataset.page = script.dataset.network = 'digits';
    button.closest('.strip').replaceChildren(live, script);
  };
}
