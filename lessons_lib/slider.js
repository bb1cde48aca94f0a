// What a reader sees of a Slider: a row for each control, the picture, its caption. The state is Python's.
const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const position = { range: "valueAsNumber", choice: "selectedIndex", toggle: "checked" }; // the property
const inputs = {
  range: (texts) => make("input", { type: "range", min: 0, max: texts.length - 1 }),
  choice: (texts) => make("select", {}, ...texts.map((text) => make("option", { textContent: text }))),
  toggle: () => make("input", { type: "checkbox" }),
};

function render({ model, el }) {
  const [width, height] = model.get("size");
  const picture = make("img", { width, height });
  const caption = make("figcaption", { ariaLive: "polite" });
  const rows = model.get("controls").map(({ name, kind, texts }) => {
    const input = inputs[kind](texts);
    input.dataset.lmSuppressShortcuts = ""; // or JupyterLab takes keys for commands: x cuts the cell
    input.addEventListener("input", () => {
      model.set("positions", { ...model.get("positions"), [name]: Number(input[position[kind]]) });
      model.save_changes(); // while one is being answered, ipywidgets holds back all but the newest
    });
    const row = [make("label", {}, make("span", { textContent: name }), input)];
    const output = make("output", { ariaLive: "off" }); // the control itself says its value
    if (kind === "range") {
      output.style.minWidth = `${Math.max(...texts.map((text) => text.length))}ch`;
      row.push(output);
    }
    const show = () => {
      const now = model.get("positions")[name];
      input[position[kind]] = now;
      if (kind === "range") output.textContent = input.ariaValueText = texts[now];
    };
    return { show, node: make("div", {}, ...row) };
  });
  const showPositions = () => rows.forEach((row) => row.show());
  const showAnswer = async () => {
    const answer = model.get("answer");
    const url = URL.createObjectURL(new Blob([answer.picture], { type: "image/png" }));
    await make("img", { src: url }).decode(); // until then the old picture stands, with the words that fit it
    const latest = answer === model.get("answer");
    URL.revokeObjectURL(latest ? picture.src : url);
    if (!latest) return;
    Object.assign(picture, { src: url, alt: answer.caption });
    caption.textContent = answer.problem || answer.caption;
  };
  for (const [trait, show] of [["positions", showPositions], ["answer", showAnswer]]) {
    model.on(`change:${trait}`, show);
    show();
  }
  const controls = make("div", { className: "controls" }, ...rows.map((row) => row.node));
  el.append(make("figure", { className: "lessons-slider" }, controls, picture, caption));
  return () => URL.revokeObjectURL(picture.src);
}

export default { render };
