// Starts a live page, or says why it cannot run here. A plain script, because from a file no module would load.
{
  const root = document.querySelector('.live'), {src, dataset: {page, network}} = document.currentScript;
  const instead = 'The lessons show the same in pictures.';
  const say = text => {
    const status = document.createElement('p');
    status.className = 'status'; status.setAttribute('role', 'status'); status.textContent = text;
    root.replaceChildren(status); root.dataset.state = 'failed';
  };
  const lacking =
    location.protocol === 'file:' ? 'This page has to come from a web server: run "make docs-serve" and open the address that it prints.' :
    network !== 'none' && typeof WebAssembly !== 'object' ? `This browser has no WebAssembly, or it is switched off, so no network can run here. ${instead}` :
    typeof Worker !== 'function' ? `This browser has no workers, so no network can run here. ${instead}` : '';
  if (lacking) say(lacking);
  else {
    // The worker loads the network beside the page, which has a second's work of its own first.
    if (network !== 'none') {
      globalThis.prepared = new Worker(new URL('worker.js', src), {type: 'module'});
      globalThis.prepared.postMessage({load: network});
    }
    import(`./${page}.js`).catch(error => say(`This page could not be started: ${error.message}. ${instead}`));
  }
}
