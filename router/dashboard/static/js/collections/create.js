/** The dialog that creates a collection. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { button, copyButton, iconButton, whileBusy } from "../ui/buttons.js";
import { openDialog } from "../ui/dialog.js";
import { checkbox, field, fieldError, input, select } from "../ui/fields.js";
import { stringify } from "../core/json.js";
import { toast } from "../ui/toast.js";
import { creation, nameProblems } from "./config.js";

const DISTANCES = ["Cosine", "Dot", "Euclid", "Manhattan"];

/** @param {(name: string) => void} done */
export function createCollection(done) {
  const name = input({ autocomplete: "off", spellcheck: "false", maxlength: 255 });
  /** @type {ReturnType<typeof vectorForm>[]} */
  const vectors = [];
  const list = h("div.stack");
  const settings = settingsForm();
  const preview = h("pre.code");
  const draft = () => ({ vectors: vectors.map((each) => each.draft()), ...settings.draft() });
  const changed = () => fill(preview, stringify(creation(draft()), 2));
  const add = () => {
    const form = vectorForm(vectors.length === 0, () => {
      vectors.splice(vectors.indexOf(form), 1);
      form.element.remove();
      changed();
    });
    vectors.push(form);
    list.append(form.element);
    changed();
    return form;
  };
  const create = button("Create", () => {}, { kind: "primary" });
  create.type = "submit";
  const submit = () => whileBusy(create, async () => {
    if (!check(name, vectors)) return;
    await api.put(path("collections", name.value), creation(draft()));
    dialog.close();
    toast(`Created ${name.value}`);
    done(name.value);
  });
  const body = h("div.form", {}, field("Name", name), list,
    h("div", {}, button("Add vector", () => add().focus(), { kind: "small", icon: "plus" })), settings.element,
    h("details", {}, h("summary", {}, "The request"), h("div.code-box", {}, preview, copyButton(() => preview.textContent ?? ""))));
  body.addEventListener("input", changed);
  add();
  const dialog = openDialog("Create collection", body, { submit, foot: (close) => [button("Cancel", close), create] });
}

/** @param {HTMLInputElement} name @param {ReturnType<typeof vectorForm>[]} vectors */
function check(name, vectors) {
  fieldError(name, name.value ? null : "A collection needs a name.");
  const problems = nameProblems(vectors.map((each) => each.draft()));
  const fine = vectors.map((each, at) => each.show(problems[at]));
  const isFine = name.value !== "" && fine.every(Boolean);
  if (!isFine) /** @type {any} */ (name.closest("form"))?.querySelector('[aria-invalid="true"]')?.focus();
  return isFine;
}

/** @param {boolean} isFirst @param {() => void} remove */
function vectorForm(isFirst, remove) {
  const kind = select([["dense", "Dense"], ["multi", "Multivector"], ["sparse", "Sparse"]]);
  const name = input({ placeholder: isFirst ? "none" : "", autocomplete: "off", spellcheck: "false" });
  const size = input({ type: "number", min: 1, max: 65536, value: 384, required: true });
  const distance = select(DISTANCES);
  const datatype = select([["", "float32"], ["float16", "float16"], ["uint8", "uint8"]]);
  const onDisk = checkbox("Keep on disk");
  const idf = checkbox("Weigh by rarity (IDF)");
  const dense = h("div.form-row", {}, field("Size", size), field("Distance", distance), field("Datatype", datatype));
  const switched = () => {
    const isSparse = kind.value === "sparse";
    dense.hidden = isSparse;
    onDisk.element.hidden = isSparse;
    idf.element.hidden = !isSparse;
  };
  kind.addEventListener("input", switched);
  switched();
  const element = h("fieldset.group", {}, h("legend", {}, "Vector"),
    h("div.form-row", {}, field("Kind", kind), field("Name", name, "Optional if there is one vector alone")), dense,
    h("div.toolbar", {}, onDisk.element, idf.element,
      !isFirst && iconButton("trash", "Remove this vector", remove, "quiet small")));
  return {
    element,
    focus: () => kind.focus(),
    draft: () => ({ kind: kind.value, name: name.value, size: Number(size.value), distance: distance.value,
      datatype: datatype.value, onDisk: onDisk.box.checked, idf: idf.box.checked }),
    /** @param {string | null} problem */
    show(problem) {
      fieldError(name, problem);
      const whole = kind.value === "sparse" || /^[1-9]\d*$/.test(size.value);
      fieldError(size, whole ? null : "A whole number from 1 to 65,536.");
      return problem === null && whole;
    },
  };
}

function settingsForm() {
  const quantization = select([["", "None"], ["scalar", "Scalar (int8)"], ["product", "Product (×16)"], ["binary", "Binary"]]);
  const number = (/** @type {string} */ placeholder) => input({ type: "number", min: 1, placeholder });
  const shards = number("by the node");
  const replicas = number("1");
  const m = input({ type: "number", min: 0, placeholder: "16" });
  const efConstruct = input({ type: "number", min: 4, placeholder: "100" });
  const byKey = checkbox("Shards by key (needs a cluster)");
  const payloadOnDisk = checkbox("Payloads on disk", { checked: true });
  const element = h("details", {}, h("summary", {}, "More settings"), h("div.stack.indented", {},
    h("div.form-row", {}, field("Quantization", quantization), field("Shards", shards), field("Replicas of each", replicas)),
    h("div.form-row", {}, field("Links per node (m)", m), field("Search width while building", efConstruct, "ef_construct")),
    h("div.toolbar", {}, payloadOnDisk.element, byKey.element)));
  const value = (/** @type {HTMLInputElement} */ box) => (box.value === "" ? null : Number(box.value));
  return {
    element,
    draft: () => ({ quantization: quantization.value, shards: value(shards), replicas: value(replicas), m: value(m),
      efConstruct: value(efConstruct), byKey: byKey.box.checked, payloadOnDisk: payloadOnDisk.box.checked }),
  };
}
