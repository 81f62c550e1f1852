// Runs an explorer in a page without a kernel: its module stands beside this script as inert text, its state in the host's data.
// An address made from the text works over file:// too, where a module in a file of its own may not be imported.
(() => {
  const host = document.currentScript.parentElement;
  const text = host.querySelector("script[type='text/plain']").textContent;
  const modules = (window.collapseModules ??= new Map());
  if (!modules.has(text)) modules.set(text, import(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))));

  const state = JSON.parse(host.dataset.state);
  const listeners = new Map();
  const model = {
    get: (name) => state[name],
    set: (name, value) => {
      if (state[name] === value) return;
      state[name] = value;
      for (const listener of listeners.get(`change:${name}`) ?? []) listener();
    },
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    off: (event, listener) => listeners.set(event, (listeners.get(event) ?? []).filter((other) => other !== listener)),
    save_changes: () => host.setAttribute("data-state", JSON.stringify(state)),
  };
  const el = host.appendChild(document.createElement("div"));
  modules.get(text).then(
    (module) => module.default.render({ model, el }),
    (error) => {
      el.textContent = `This explorer could not start: ${error.message}`;
      throw error;
    },
  );
})();
