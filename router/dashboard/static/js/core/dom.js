/**
 * Elements from data. Text only ever becomes text nodes, so nothing that a collection or payload holds is
 * read as HTML; no module assigns HTML.
 */

/** @typedef {Node | string | number | bigint | false | null | undefined | any[]} Child lists hold children again */

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "indeterminate", "open", "hidden"]);

/**
 * `h("button.primary", {type: "button", on: {click}}, "Save")`. Of the properties, `on` holds listeners, `data`
 * data attributes, `style` CSS properties; null and false leave an attribute out.
 * @param {string} tag a name and classes
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {any} an HTMLElement of the kind that the tag names
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) assign(element, key, value);
  append(element, children);
  return element;
}

/** @param {HTMLElement} element @param {string} key @param {any} value */
function assign(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key === "on") {
    for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
  } else if (key === "data") {
    Object.assign(element.dataset, value);
  } else if (key === "style") {
    for (const [name, each] of Object.entries(value)) element.style.setProperty(name, String(each));
  } else if (PROPERTIES.has(key)) {
    /** @type {any} */ (element)[key] = value;
  } else {
    element.setAttribute(key, value === true ? "" : String(value));
  }
}

/** @param {Node} parent @param {Child[]} children */
export function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(document.createTextNode(String(child)));
    }
  }
}

/** Put `children` in the place of what `parent` holds. @param {Element} parent @param {...Child} children */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {...SVGElement} children
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

let last = 0;

/** An id that no other element has. */
export function uniqueId() {
  last += 1;
  return `v${last}`;
}
