// Draws, asks the model while drawing, shows its answer, and sends what people say about it as Seldon feedback.
const SIDE = 28, SIZE = 280, PAUSE = 60, NOISE = 16;
const get = (id) => document.getElementById(id);
const show = (problem) => { get("problem").textContent = problem; };
const drawing = get("drawing"), ink = drawing.getContext("2d", { willReadFrequently: true });
let last = null, at = null, asking = false, changed = false;

function element(name, content, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(content);
  return made;
}

// As the data set was made: cut to what is there, its longer side 28 pixels, centred on black; null where nothing is.
function shrink() {
  const { data } = ink.getImageData(0, 0, SIZE, SIZE), seen = new ImageData(SIDE, SIDE);
  let left = SIZE, top = SIZE, right = 0, bottom = 0;
  for (let i = 0; i < SIZE * SIZE; i++) {
    if (data[4 * i] === 0) continue;
    const x = i % SIZE, y = Math.floor(i / SIZE);
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), y];
  }
  const size = Math.max(right - left, bottom - top, SIDE - 1) + 1;
  const unit = size / SIDE, cell = (at) => Math.floor(at / unit);
  const start = (low, high) => Math.round(low - unit * Math.round((size - 1 - high + low) / unit / 2));
  const cut = ink.getImageData(start(left, right), start(top, bottom), size, size).data;
  const sums = Array(SIDE * SIDE).fill(0), counts = [...sums];
  for (let i = 0; i < size * size; i++) {
    const target = cell(Math.floor(i / size)) * SIDE + cell(i % size);
    sums[target] += cut[4 * i];
    counts[target] += 1;
  }
  const values = sums.map((sum, i) => Math.round(sum / counts[i]));
  values.forEach((value, i) => seen.data.set([value, value, value, 255], 4 * i));
  get("seen").getContext("2d").putImageData(seen, 0, 0);
  return left < SIZE ? values : null;
}

async function post(path, message) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(message) };
  const answer = await fetch(path, options).catch(() => { throw new Error("The server does not answer."); });
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  throw new Error(body?.status?.info ?? `The server answers ${answer.status} ${answer.statusText}`);
}

async function update() {
  changed = true;
  if (asking) return;
  asking = true;
  while (changed) {
    await new Promise((done) => setTimeout(done, PAUSE));
    changed = false;
    last = await predict().catch((error) => show(error.message));
    get("verdict").disabled = !last;
  }
  asking = false;
}

async function predict() {
  const values = shrink();
  get("thanks").textContent = "";
  if (!values) return answered([], [], {});
  const request = { data: { names: ["pixels"], tensor: { shape: [SIDE, SIDE], values } } };
  const response = await post("../predictions", request);
  answered(response.data.names, response.data.tensor.values, response.meta.tags);
  return { request, response };
}

function answered(names, values, tags) {
  const best = values.indexOf(Math.max(...values));
  show("");
  if (!get("bars").rows.length) names.forEach(addClass);
  [...get("bars").rows].forEach((row, i) => {
    row.classList.toggle("best", i === best);
    row.querySelector("i").style.width = `${100 * (values[i] ?? 0)}%`;
    row.cells[2].textContent = i in values ? `${(100 * values[i]).toFixed(1)} %` : "";
  });
  const strange = String(tags.outlier) === "true" ? "It does not look like the clothes that the model knows." : "";
  get("top").replaceChildren(names[best] ?? "Draw something to wear.", element("small", strange));
  if (best < 0) return;
  get("model").textContent = `${tags.model_name}, version ${tags.model_version ?? "not registered"}`;
  const facts = Object.entries(tags).map(([name, value]) => [element("dt", name), element("dd", value)]);
  get("tags").replaceChildren(...facts.flat());
}

function addClass(name) {
  const row = get("bars").insertRow(), bar = element("div", element("i", ""), { className: "bar" });
  row.append(element("th", name, { scope: "row" }), element("td", bar), element("td", ""));
  get("classes").append(element("button", name, { onclick: () => correct(name) }));
}

async function correct(name) {
  const { names, tensor } = last.response.data, answer = names[tensor.values.indexOf(Math.max(...tensor.values))];
  const feedback = { ...last, reward: name === answer ? 1 : 0, truth: { data: { ndarray: [name] } } };
  get("verdict").disabled = true;
  const thank = ({ meta }) => { get("thanks").textContent = `Thank you: ${name}. ${meta?.tags?.feedback ?? ""}`; };
  await post("../feedback", feedback).then(thank, (error) => {
    show(error.message);
    get("verdict").disabled = false;
  });
}

function replace(image, ...place) {
  ink.fillRect(0, 0, SIZE, SIZE);
  if (image) ink.drawImage(image, ...place);
  update();
}

function draw(event) {
  const box = drawing.getBoundingClientRect(), scale = SIZE / box.width;
  const point = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  ink.lineWidth = get("brush").value * (event.pointerType === "pen" ? 0.5 + event.pressure : 1);
  ink.strokeStyle = `hsl(0 0% ${get("grey").value}%)`;
  ink.stroke(new Path2D(`M${at ?? [point[0] - 0.1, point[1]]}L${point}`));
  at = point;
  update();
}

// Any picture becomes light on black: its corners tell what the background is.
async function load(file) {
  const picture = await createImageBitmap(file).catch(() => show("This browser cannot read that file as a picture."));
  if (!picture) return;
  const scale = SIZE / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width, picture.height].map((length) => Math.max(1, Math.round(length * scale)));
  const context = element("canvas", "", { width, height }).getContext("2d", { willReadFrequently: true });
  Object.assign(context, { fillStyle: "#fff", imageSmoothingQuality: "high" }).fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
  const image = context.getImageData(0, 0, width, height), { data } = image, greys = [];
  for (let i = 0; i < data.length; i += 4) greys.push((data[i] + 2 * data[i + 1] + data[i + 2]) / 4);
  const corners = [0, width - 1, -width, -1].map((i) => greys.at(i)), background = corners.sort((a, b) => a - b)[1];
  greys.forEach((grey, i) => {
    const above = background > 127 ? background - grey : grey - background;
    data.fill(above > NOISE ? (255 * above) / Math.max(background, 255 - background) : 0, 4 * i, 4 * i + 3);
  });
  context.putImageData(image, 0, 0);
  replace(context.canvas, (SIZE - width) >> 1, (SIZE - height) >> 1);
}

async function addSamples() {
  const all = await createImageBitmap(await (await fetch("samples.png")).blob());
  for (let i = 0; i < all.width / SIDE; i++) {
    const sample = element("canvas", "", { width: SIDE, height: SIDE });
    sample.getContext("2d").drawImage(all, -i * SIDE, 0);
    const onclick = () => replace(sample, 0, 0, SIZE, SIZE);
    get("samples").append(element("button", sample, { onclick, ariaLabel: `Test image of class ${i}` }));
  }
  if (!last && !asking) get("samples").lastChild.click();
}

Object.assign(ink, { lineCap: "round", lineJoin: "round", imageSmoothingEnabled: false }).fillRect(0, 0, SIZE, SIZE);
drawing.onpointerdown = (event) => {
  if (event.button || !event.isPrimary) return;
  drawing.setPointerCapture(event.pointerId);
  draw(event);
};
drawing.onpointermove = (event) => { if (at && event.isPrimary) event.getCoalescedEvents().forEach(draw); };
drawing.onpointerup = drawing.onpointercancel = () => { at = null; };
get("clear").onclick = () => replace();
get("choose").onclick = () => get("file").click();
get("file").onchange = () => { load(get("file").files[0]); get("file").value = ""; };
document.onpaste = ({ clipboardData: { files } }) => { if (files[0]) load(files[0]); };
document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => { event.preventDefault(); load(event.dataTransfer.files[0]); };
addSamples();
