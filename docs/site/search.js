const asked = document.getElementById("asked"), found = document.getElementById("found");
const plain = text => text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
const known = window.INDEX.map(([page, title, href, words]) => ({page, title, href, words, inTitle: plain(title), inWords: plain(words)}));
function answers(text) {
  const terms = plain(text).split(/\s+/).filter(Boolean);
  if (!terms.length) return [];
  const scored = known.map(one => {
    let score = 0;
    for (const term of terms) {
      const title = one.inTitle.includes(term) ? 20 : 0, times = one.inWords.split(term).length - 1;
      if (!title && !times) return [0, one];
      score += title + Math.min(times, 5) + (plain(one.page).includes(term) ? 5 : 0);
    }
    return [score, one];
  });
  return scored.filter(([score]) => score).sort((a, b) => b[0] - a[0]).slice(0, 12).map(([, one]) => one);
}
function excerpt(words, text) {
  const near = Math.max(0, plain(words).indexOf(plain(text).trim().split(/\s+/)[0]) - 40);
  const at = near ? words.indexOf(" ", near) + 1 : 0;
  return (at ? "... " : "") + words.slice(at, at + 130) + (words.length > at + 130 ? " ..." : "");
}
function show() {
  const list = answers(asked.value);
  found.replaceChildren(...list.map(one => {
    const item = document.createElement("li"), link = document.createElement("a"), where = document.createElement("span"),
      words = document.createElement("p");
    link.href = one.href; link.textContent = one.title; where.textContent = one.page; words.textContent = excerpt(one.words, asked.value);
    link.append(where, words); item.append(link);
    return item;
  }));
  if (!list.length && asked.value.trim()) { const none = document.createElement("li"); none.textContent = "Nothing found."; found.append(none); }
  found.hidden = !asked.value.trim();
}
asked.addEventListener("input", show);
document.addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== asked) { event.preventDefault(); asked.focus(); }
  if (event.key === "Escape") { asked.value = ""; show(); asked.blur(); }
  if (event.key === "Enter" && document.activeElement === asked && found.querySelector("a")) found.querySelector("a").click();
});
document.addEventListener("click", event => { if (!event.target.closest("header") || event.target.closest("#found a")) found.hidden = true; });
const wanted = new URLSearchParams(location.search).get("q");
if (wanted) { asked.value = wanted; show(); }
