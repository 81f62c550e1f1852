// Runs an explorer in a page without a kernel. The page holds each file of JavaScript once, as inert text; a module made from the text
// works over file:// too, where a module in a file of its own may not be imported.
(() => {
  const host = document.currentScript.parentElement;
  const { name, files, explorer, data, state } = JSON.parse(host.dataset.explorer);
  const number = document.querySelectorAll(`[data-explorer][id^="explorer-${name}"]`).length + 1;
  host.id = `explorer-${name}${number > 1 ? `-${number}` : ""}`;

  const modules = (window.collapseModules ??= new Map());
  if (!modules.has(name)) {
    const texts = files.map((file) => document.querySelector(`script[data-collapse="${file}"]`).textContent);
    modules.set(name, import(URL.createObjectURL(new Blob(texts, { type: "text/javascript" }))));
  }

  const listeners = new Map();
  const model = {
    get: (key) => ({ explorer, data })[key] ?? state[key],
    set: (key, value) => {
      if (state[key] === value) return;
      state[key] = value;
      for (const listener of listeners.get(`change:${key}`) ?? []) listener();
    },
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    off: (event, listener) => listeners.set(event, (listeners.get(event) ?? []).filter((other) => other !== listener)),
    save_changes: () => {},
  };
  const el = host.appendChild(document.createElement("div"));
  modules.get(name).then(
    (module) => module.default.render({ model, el, anchor: host }),
    (error) => {
      el.textContent = `This explorer could not start: ${error.message}`;
      throw error;
    },
  );
})();
