"use strict";
// What the file holds, and the ways to make elements.

const page = JSON.parse(document.getElementById("index").textContent);
const entries = page.entries;

/** The rest of the sample at a place among the entries. */
function detailOf(place) {
  return JSON.parse(document.getElementById(`detail${place}`).textContent);
}

/** The bytes of base64. */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** An element of HTML. Strings among its children are text, whatever they hold. */
function html(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An element of SVG. */
function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

/** A number with so many digits behind the point; a dash for none. */
function digits(value, count) {
  return value === null || value === undefined ? "–" : value.toFixed(count).replace("-", "−");
}
